"""`lmn-bench train`: from the command line to the checkpoint, interrupted, resumed, refused."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from process_helpers import kill_learning_process_of

from lmn.checkpoint import load_model, read_notes, save_model
from lmn_bench.cli import run_command_line, train_run
from lmn_bench.errors import ExitCode, TrainingError, UsageError
from lmn_bench.learning.settings import QUICK
from lmn_bench.run_lock import claimed_file
from lmn_bench.worker.learning.train import TrainJob, train

ROOT = Path(__file__).resolve().parents[2]
TEXT = "the cat sat on the mat, and the dog sat on the log; " * 60
SIZES = {"width": 8, "heads": 2, "layers": 1, "banks": 1, "length": 16, "batch": 4}
TINY = [word for key, value in SIZES.items() for word in ("--set", f"{key}={value}")]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to be in, with a text to learn from."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cats.txt").write_text(TEXT)
    return tmp_path


@pytest.fixture
def cli(folder, capsys):
    def run(*arguments):
        code = run_command_line(["train", *map(str, arguments)])
        out, err = capsys.readouterr()
        return int(code), out, err

    return run


def command(*arguments):
    return ["--corpus", "cats.txt", "--threads", "1", *TINY, *map(str, arguments)]


def train_here(output, *, given=(), resume=False, corpus="cats.txt", stops=lambda: False, **keys):
    """The job itself, in this process; what it told, and the curve at its end."""
    settings = replace(QUICK, corpus=corpus, threads=1, **{**SIZES, "steps": 6, **keys})
    told = []
    job = TrainJob(settings, tuple(given), str(output), resume=resume, quiet=False)
    train(job, told.append, stops)
    return told


def curve_of(told):
    return told[-1]["ended"]["curve"]


# --------------------------------------------------------------------------------- what it makes


def test_a_training_ends_in_a_checkpoint_with_all_that_is_needed(cli):
    code, out, err = cli(
        *command("--steps", 30, "--set", "validate_every=10", "-o", "a.safetensors", "--json")
    )
    assert code == ExitCode.OK, err
    said = json.loads(out)
    assert (said["ended"], said["steps_done"]) == ("finished", 30)
    assert said["curve"]["training"][0] > said["training_loss"] > 0
    assert [step for step, _ in said["curve"]["validation"]] == [10, 20, 30]
    assert re.search(r"step 20: loss \d\.\d+, validation loss \d\.\d+, .* token/s", err)
    notes = read_notes("a.safetensors")
    assert notes["corpus"] == said["corpus"]
    assert notes["corpus"]["name"] == "cats.txt"
    assert notes["vocabulary"] == {"kind": "characters", "characters": "".join(sorted(set(TEXT)))}
    assert notes["curve"]["training"] == said["curve"]["training"]
    assert load_model("a.safetensors").config.vocabulary == len(set(TEXT))


def test_what_a_tokenizer_does_to_a_text_is_told_quiet_or_not(cli, folder):
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {letter: place for place, letter in enumerate(sorted({*TEXT, "_"}))}
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
    made.normalizer = tokenizers.normalizers.Replace(" ", "_")
    made.save("loud.json")
    code, out, err = cli(
        *command("--steps", 2, "--tokens", "loud.json", "-o", "a.safetensors", "-q", "--json")
    )
    assert code == ExitCode.OK, err
    (remark,) = json.loads(out)["remarks"]
    assert remark.startswith("the tokenizer changes the text")
    assert err.count(f"note: {remark}") == 1


def test_every_summarizer_and_vocabulary_trains(folder):
    for number, keys in enumerate(({"summarizer": "expander", "expansion": 1, "tokens": "bytes"},
                                   {"summarizer": "conv", "gradient_clip": 1.0})):  # fmt: skip
        told = train_here(f"{number}.safetensors", **keys)
        assert len(curve_of(told)["training"]) == 6


# ------------------------------------------------------------------------------------- resuming


def test_a_resumed_training_has_the_losses_of_one_that_was_not_interrupted(folder):
    whole = train_here("whole.safetensors", steps=12, validate_every=4)
    asked = []

    def after_five():
        asked.append(None)
        return len(asked) > 5

    half = train_here("half.safetensors", steps=12, validate_every=4, stops=after_five)
    assert half[-1]["ended"]["done"] == 5
    rest = train_here("half.safetensors", resume=True)
    assert rest[0]["started"]["done"] == 5
    # bit by bit: floats are compared for equality
    assert curve_of(rest)["training"] == curve_of(whole)["training"]
    assert curve_of(rest)["validation"] == curve_of(whole)["validation"]
    ours, others = (load_model(f"{name}.safetensors").state_dict() for name in ("half", "whole"))
    assert all(torch.equal(ours[name], others[name]) for name in others)


def start(*arguments):
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "lmn_bench", "train", *command(*arguments)],
        env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_control_c_saves_and_resume_goes_on_as_if_nothing_had_been(folder, cli):
    process = start("--steps", 100_000, "--set", "validate_every=20", "--set",
                    "save_every=100000", "-o", "a.safetensors")  # fmt: skip
    for line in process.stderr:
        if line.startswith("step 40:"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == ExitCode.INTERRUPTED, err
    assert "stopping after this step" in err
    assert "lmn-bench train --resume -o a.safetensors" in err
    assert "interrupted" not in out
    done = len(read_notes("a.safetensors")["curve"]["training"])
    assert 40 <= done < 100_000
    code, out, err = cli("--resume", "--steps", done + 5, "-o", "a.safetensors", "--json")
    assert code == ExitCode.OK, err
    assert f"going on from step {done:,}" in err
    # in another process, and in one go
    whole = train_here("b.safetensors", steps=done + 5)
    assert json.loads(out)["curve"]["training"] == curve_of(whole)["training"]


def test_a_quiet_training_that_is_interrupted_says_on_stderr_how_to_go_on(folder):
    process = start("--steps", 100_000, "--set", "save_every=5", "-q", "--json", "-o",
                    "a b.safetensors")  # fmt: skip
    deadline = time.monotonic() + 60
    while not Path("a b.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == ExitCode.INTERRUPTED, err
    done = json.loads(out)["steps_done"]
    assert err == (
        f"interrupted; a b.safetensors keeps step {done:,} of 100,000; to go on:\n"
        "  lmn-bench train --resume -o 'a b.safetensors'\n"
    )


def test_the_learning_process_ends_with_its_parent(folder):
    process = start("--steps", 100_000, "--set", "validate_every=5", "--set", "save_every=5", "-o",
                    "a.safetensors")  # fmt: skip
    for line in process.stderr:
        if line.startswith("step 10:"):
            break
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{children[0]}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{children[0]}").exists()
    # whatever it was doing, the checkpoint is whole
    assert len(read_notes("a.safetensors")["curve"]["training"]) >= 5


def test_a_killed_training_says_what_it_keeps_and_goes_on_from_there(folder):
    process = start("--steps", 100_000, "--set", "validate_every=5", "--set", "save_every=5", "-o",
                    "a.safetensors")  # fmt: skip
    for line in process.stderr:
        if line.startswith("step 10:"):
            break
    kill_learning_process_of(process)
    # The rest of its talk is read to its end: nobody who was started holds the pipe open.
    _, err = process.communicate()
    assert process.returncode == ExitCode.CASES_FAILED
    done = len(read_notes("a.safetensors")["curve"]["training"])
    assert "error: killed by signal 9" in err
    assert "; a.safetensors keeps step " in err
    assert "hint: go on with `lmn-bench train --resume -o a.safetensors`" in err
    rest = train_here("a.safetensors", resume=True, given=["steps"], steps=done + 3)
    whole = train_here("b.safetensors", steps=done + 3)
    assert curve_of(rest)["training"] == curve_of(whole)["training"]


def test_a_training_killed_before_its_first_save_says_so(folder):
    process = start("--steps", 100_000, "-o", "a.safetensors")
    kill_learning_process_of(process)
    _, err = process.communicate()
    assert process.returncode == ExitCode.CASES_FAILED
    assert "nothing had been saved" in err


def test_a_checkpoint_that_cannot_be_saved_once_costs_nothing_and_twice_ends_it(folder):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def full(*, once):
        told = []

        def tell(message):
            told.append(message)
            if once and "unsaved" in message:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)

        settings = replace(QUICK, corpus="cats.txt", threads=1,
                           **{**SIZES, "steps": 6, "save_every": 2})  # fmt: skip
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        try:
            train(TrainJob(settings, (), "a.safetensors", resume=False, quiet=True), tell,
                  lambda: False)  # fmt: skip
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        return told

    with pytest.raises(TrainingError, match=r"learned by step 4 cannot be kept.*no checkpoint"):
        full(once=False)
    assert not Path("a.safetensors").exists()
    told = full(once=True)
    said = [name for message in told for name in message if name in ("saved", "unsaved")]
    assert said == ["unsaved", "saved", "saved"]
    assert sorted(path.name for path in folder.iterdir()) == ["a.safetensors", "cats.txt"]


def test_another_corpus_or_config_is_not_gone_on_with(folder):
    train_here("a.safetensors")
    before = Path("a.safetensors").read_bytes()
    Path("dogs.txt").write_text(TEXT.replace("cat", "dog"))
    with pytest.raises(UsageError, match=r"trained on another corpus: cats\.txt, sha256"):
        train_here("a.safetensors", resume=True, given=["corpus"], corpus="dogs.txt")
    given = ["width", "learning_rate", "steps"]
    with pytest.raises(UsageError) as caught:
        train_here("a.safetensors", resume=True, given=given, width=16, learning_rate=0.5)
    assert "width is 8 there and 16 here" in caught.value.message
    assert "learning_rate is 0.003 there and 0.5 here" in caught.value.message
    with pytest.raises(UsageError, match="trained with other tokens"):
        train_here("a.safetensors", resume=True, given=["tokens"], tokens="bytes")
    with pytest.raises(UsageError, match="has done all its 6 steps"):
        train_here("a.safetensors", resume=True)
    assert Path("a.safetensors").read_bytes() == before


def test_a_corpus_that_has_moved_is_the_same_corpus(folder):
    train_here("a.safetensors")
    Path("cats.txt").rename("moved.txt")
    told = train_here("a.safetensors", resume=True, given=["corpus", "steps"],
                      corpus="moved.txt", steps=7)  # fmt: skip
    assert len(curve_of(told)["training"]) == 7


# --------------------------------------------------------------------------------- what goes wrong


def test_a_training_that_diverges_ends_in_1_and_says_where(cli):
    code, out, err = cli(*command("--steps", 50, "--set", "learning_rate=1000", "--set",
                                  "save_every=50", "-q", "-o", "a.safetensors"))  # fmt: skip
    assert (code, out) == (ExitCode.CASES_FAILED, "")
    # quiet: nothing but the error
    assert re.match(r"error: the loss is nan at step \d+: the training has diverged; no ch", err)
    assert "hint: take a smaller learning_rate" in err
    assert not Path("a.safetensors").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--set", "learning_rate=1e38"], "less than or equal to 1000"),
        (["--set", "layers=1000000000"], "less than or equal to 10000"),
        (["--set", "width=1048576"], "and this machine has"),
        (["--threads", 100_000], "100,000 threads asked for"),
        (["-o", "/dev/null", "--force"], "it is no file"),
        (["-o", "/proc/a.safetensors"], "/proc/a.safetensors: it cannot be written"),
        (["-o", "a" * 300], "File name too long"),
    ],
)
def test_what_no_machine_can_do_is_refused_before_anything_is_learned(cli, words, told):
    code, _, err = cli(*command("--steps", 2, "-q"), *words)
    assert code == ExitCode.USAGE
    assert told in err


def test_a_training_is_not_resumed_to_fewer_steps_than_it_has_done(folder):
    train_here("a.safetensors")
    with pytest.raises(UsageError, match="has done 6 steps, and 4 in all are asked for") as caught:
        train_here("a.safetensors", resume=True, given=["steps"], steps=4)
    assert caught.value.hint == "give --steps above 6"


def test_a_divergence_after_a_checkpoint_leaves_it_as_it_was(folder):
    train_here("a.safetensors", save_every=2)
    before = Path("a.safetensors").read_bytes()
    with pytest.raises(TrainingError, match=r"a\.safetensors keeps that of step 6"):
        diverging_resume("a.safetensors")
    assert Path("a.safetensors").read_bytes() == before


def diverging_resume(path):
    """Go on with a model whose loss is no number from now on."""
    from lmn import LMNLanguageModel

    honest = LMNLanguageModel.loss
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LMNLanguageModel, "loss", lambda *given: honest(*given) * float("nan"))
        train_here(path, resume=True, given=["steps"], steps=20)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("short", "other.txt is too short: of its 5 tokens 1 is"),
        (None, "unknown corpus"),
    ],
)
def test_a_corpus_that_does_not_do_is_refused(folder, text, words):
    if text is not None:
        Path("other.txt").write_text(text)
    with pytest.raises(UsageError, match=words):
        train_here("a.safetensors", corpus="other.txt")
    assert not Path("a.safetensors").exists()


def test_a_refusal_of_the_learning_process_is_told_as_ours(cli):
    Path("empty.txt").write_text("")
    # Of a training that was killed while it was saved: whoever trains there next removes it.
    half = Path(".model.safetensors.01234567.part")
    half.write_bytes(b"half")
    code, out, err = cli("--corpus", "empty.txt")
    assert (code, out) == (ExitCode.USAGE, "")
    assert err.startswith("error: corpus 'empty.txt' is empty")
    assert "hint: give another file" in err
    assert not half.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "there"], "there is there already"),
        (["-o", "there", "--resume", "--force"], "--resume and --force are both given"),
        (["--resume", "-o", "nowhere"], "there is no checkpoint nowhere"),
        (["-o", "no/folder"], "there is no folder no"),
        (["--steps", "0", "--seed", "-1"], "the command line has 2 mistakes"),
    ],
)
def test_what_can_be_told_at_once_is_told_before_anything_starts(
    cli, monkeypatch, arguments, words
):
    monkeypatch.setattr(train_run, "LearningProcess", None)
    Path("there").write_text("something")
    code, _, err = cli(*arguments)
    assert code == ExitCode.USAGE
    assert words in err
    assert Path("there").read_text() == "something"


def test_a_checkpoint_of_another_program_or_half_of_one_is_not_resumed(folder):
    train_here("a.safetensors")
    save_model("other.safetensors", load_model("a.safetensors"))
    with pytest.raises(UsageError, match="without the notes of `lmn-bench train`"):
        train_here("other.safetensors", resume=True)
    half = Path("a.safetensors").read_bytes()[:-100]
    Path("half.safetensors").write_bytes(half)
    with pytest.raises(UsageError, match="truncated or no safetensors file"):
        train_here("half.safetensors", resume=True)


def test_force_replaces_what_is_there(folder):
    train_here("a.safetensors")
    first = read_notes("a.safetensors")["curve"]["training"]
    train_here("a.safetensors", seed=1)
    assert read_notes("a.safetensors")["curve"]["training"] != first


def test_two_trainings_never_save_to_one_checkpoint(cli, folder):
    (folder / "link.safetensors").symlink_to("one.safetensors")
    with claimed_file(folder / "one.safetensors", "training into"):
        code, _, err = cli(*command("-o", "link.safetensors"))
    assert code == 2
    assert "another lmn-bench is training into" in err
    assert sorted(path.name for path in folder.glob("*one*")) == []
