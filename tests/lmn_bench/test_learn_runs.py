"""Runs of suites that learn: from the suite to records, interrupted, resumed, refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from process_helpers import kill_learning_process_of

from lmn_bench.cli import run_command_line
from lmn_bench.errors import ExitCode, UsageError
from lmn_bench.lessons import Budget, Learning, Lesson
from lmn_bench.schema import Case, ModelSpec, Outcome
from lmn_bench.store import dump_record, read_run
from lmn_bench.worker.learning.interim import Course, Interim
from lmn_bench.worker.learning.lesson import LessonJob, learn_lesson

TEXT = "the cat sat on the mat, and the dog sat on the log; " * 60
SMALL = ModelSpec(width=8, heads=2, banks=1)
ROOT = Path(__file__).resolve().parents[2]
SIX = Budget(6)
# No busy machine takes so long.
HANGS_S = 600
SUITE = """
name = "cats"
[learning]
corpus = "cats.txt"
steps = 6
seeds = 2
examples = 4
validate_every = 3
save_every = 2
[[sweep]]
modes = ["learn"]
subjects = ["lmn", "gru"]
lengths = [16]
batch = 2
width = 8
heads = 2
banks = 1
"""


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cats.txt").write_text(TEXT)
    (tmp_path / "cats.toml").write_text(SUITE)
    return tmp_path


@pytest.fixture
def cli(folder, capsys):
    def run(*arguments):
        code = run_command_line([*map(str, arguments)])
        out, err = capsys.readouterr()
        return int(code), out, err

    return run


def sha256_of(path):
    import hashlib

    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def job(folder, subject="lmn", *, task="text", seed=0, budget=SIX, length=16, **lesson):
    """A small lesson in this process, told to a list."""
    text = task == "text"
    learning = Learning(corpus=str(folder / "cats.txt"), validate_every=3, save_every=2)
    what = Lesson(
        task=task, corpus_sha256=sha256_of(folder / "cats.txt") if text else "",
        tokens="characters" if text else "", budget=budget, examples=4, **lesson,
    )  # fmt: skip
    case = Case(subject, "learn", length, batch=2, model=SMALL, lesson=what)
    return LessonJob(case, learning, seed, str(folder / "interim.pt"))


def learn_here(wanted, stops=lambda: False):
    told = []
    learn_lesson(wanted, told.append, stops)
    return told


def ending(told):
    return told[-1]["ended"]


def test_a_run_has_a_record_per_model_and_seed_with_scores_and_curves(cli, folder):
    code, out, err = cli("run", "--suite", "cats.toml", "--json")
    assert code == ExitCode.OK, err
    run = read_run(Path(json.loads(out)["run"]))
    assert sorted((r.subject, r.replicate) for r in run.records) == [
        ("gru", 0), ("gru", 1), ("lmn", 0), ("lmn", 1)]  # fmt: skip
    for record in run.records:
        assert record.lesson.corpus_sha256 == sha256_of("cats.txt")
        assert record.learned.seed == record.replicate
        assert [step for step, *_ in record.learned.validation] == [3, 6]
        assert record.metrics["validation_loss"] == record.learned.validation[-1][1]
        assert [step for step, _ in record.learned.training] == [1, 2, 3, 4, 5, 6]
        assert {"tokens_per_s", "learning_s", "peak_memory_bytes", "state_bytes",
                "parameters"} <= set(record.metrics)  # fmt: skip
    assert not (run.folder / "interim").exists()


def test_all_models_read_the_same_in_the_same_order(folder, monkeypatch):
    from lmn_bench.learning.windows import TextWindows

    draw, seen = TextWindows.training_batch, {}

    def listening(self, size, *, seed, step):
        batch = draw(self, size, seed=seed, step=step)
        seen.setdefault(subject, []).append(batch.inputs.tolist())
        return batch

    monkeypatch.setattr(TextWindows, "training_batch", listening)
    for subject in ("lmn", "transformer"):
        learn_here(job(folder, subject))
        (folder / "interim.pt").unlink()
    assert seen["lmn"] == seen["transformer"]


def test_an_interrupted_training_goes_on_with_the_same_numbers(folder):
    whole = ending(learn_here(job(folder)))
    (folder / "interim.pt").unlink()
    steps = []

    def after_three():
        steps.append(None)
        return len(steps) > 3

    assert learn_here(job(folder), after_three)[-1] == {"stopped": 3}
    resumed = ending(learn_here(job(folder)))
    assert resumed["learned"]["training"] == whole["learned"]["training"]
    assert resumed["learned"]["validation"] == whole["learned"]["validation"]
    assert resumed["learned"]["resumptions"] == 1


def test_a_damaged_interim_file_is_told_and_the_training_starts_anew(folder):
    whole = ending(learn_here(job(folder)))
    content = (folder / "interim.pt").read_bytes()
    (folder / "interim.pt").write_bytes(content[: len(content) // 2])
    again = ending(learn_here(job(folder)))
    assert again["learned"]["training"] == whole["learned"]["training"]
    assert "started anew: interim.pt cannot be read" in again["warnings"][0]


def test_an_interim_file_of_another_training_is_not_taken(folder):
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    Interim(folder / "one.pt", "one").save(model, optimizer, Course([1.0], [0.1]))
    course, warning = Interim(folder / "one.pt", "other").restore(
        model, optimizer, torch.device("cpu")
    )
    assert course == Course()
    assert "another training" in warning


def test_a_training_that_diverges_is_a_result_that_says_where(folder):
    told = ending(learn_here(job(folder, learning_rate=1e30)))
    assert told["outcome"] == "diverged"
    assert "step" in told["reason"]


def test_a_model_that_cannot_be_built_is_a_result_that_says_why(folder):
    told = ending(learn_here(job(folder, "transformer", parameters=10)))
    assert told["outcome"] == "error"
    assert "parameters" in told["reason"]


def test_a_time_budget_ends_with_the_step_that_spends_it(folder):
    told = ending(learn_here(job(folder, budget=Budget(1e-6, "s"))))
    assert told["learned"]["steps"] == 1
    assert len(told["learned"]["validation"]) == 1


def test_a_task_ends_early_once_it_is_learned_well_enough(folder):
    # answering at random is right now and then: any accuracy is enough here
    told = ending(learn_here(
        job(folder, task="copy-16", length=32, budget=Budget(300), enough_accuracy=0.001)
    ))  # fmt: skip
    assert told["learned"]["steps"] < 300
    assert told["learned"]["steps"] % 3 == 0


def test_a_task_is_tested_at_all_its_lengths_but_not_beyond_learned_positions(folder):
    tests = ending(learn_here(job(folder, task="copy-16", length=32)))["learned"]["tests"]
    assert [length for length, _ in tests] == [32, 64]
    (folder / "interim.pt").unlink()
    limited = job(folder, "transformer-learned", task="copy-16", length=32)
    assert [length for length, _ in ending(learn_here(limited))["learned"]["tests"]] == [32]


def test_tied_weights_save_a_table(folder):
    free = ending(learn_here(job(folder)))["metrics"]["parameters"]
    (folder / "interim.pt").unlink()
    tied = ending(learn_here(job(folder, tie_weights=True)))["metrics"]["parameters"]
    assert free - tied == len(set(TEXT)) * SMALL.width


def test_a_text_that_changed_under_a_training_is_refused(folder):
    wanted = job(folder)
    (folder / "cats.txt").write_text(TEXT + "!")
    with pytest.raises(UsageError, match="has changed"):
        learn_here(wanted)


def test_a_run_is_not_resumed_with_another_text(cli, folder):
    code, out, _ = cli("run", "--suite", "cats.toml", "--models", "gru", "--seeds", "1", "--json")
    assert code == ExitCode.OK
    (folder / "cats.txt").write_text(TEXT + "!")
    code, _, err = cli("run", "--resume", json.loads(out)["run"])
    assert code == ExitCode.USAGE
    assert "cats.txt has changed" in err
    assert "never mixed" in err


def test_a_resumed_run_learns_only_what_was_killed(cli, folder):
    _, out, _ = cli("run", "--suite", "cats.toml", "--models", "gru", "--json")
    run = Path(json.loads(out)["run"])
    whole = {record.replicate: record for record in read_run(run).records}
    lines = (run / "records.jsonl").read_text().splitlines(keepends=True)
    killed = dump_record(replace(whole[1], outcome=Outcome.KILLED, learned=None, reason="killed"))
    (run / "records.jsonl").write_text(lines[0] + killed)
    code, _, err = cli("run", "--resume", run)
    assert code == ExitCode.OK, err
    assert "set aside" not in err
    # The killed one stays where it was written, and gives way to how it went on.
    assert (run / "records.jsonl").read_text().startswith(lines[0] + killed)
    resumed = read_run(run)
    assert resumed.bad_lines == ()
    assert {record.replicate: record.learned for record in resumed.records} == {
        replicate: record.learned for replicate, record in whole.items()
    }


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("", (), "is empty"),
        ("too short", (), "too short"),
        (TEXT, ("--corpus", "dogs.txt"), "dogs.txt"),
        (TEXT, ("--set", "tokens=dogs.json"), "dogs.json"),
    ],
)
def test_a_corpus_that_cannot_be_learned_is_told_before_anything_is_started(
    cli, folder, text, arguments, message
):
    (folder / "cats.txt").write_text(text)
    code, _, err = cli("run", "--suite", "cats.toml", *arguments)
    assert code == ExitCode.USAGE
    assert message in err
    assert not (folder / "results").exists()


def test_a_dry_run_finds_a_corpus_that_is_missing(cli, folder):
    (folder / "cats.txt").unlink()
    code, _, err = cli("run", "--suite", "cats.toml", "--dry-run")
    assert code == ExitCode.USAGE
    assert "cats.txt" in err


def test_what_a_tokenizer_does_to_a_text_is_told_before_anything_is_started(cli, folder):
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {letter: place for place, letter in enumerate(sorted(set(TEXT)))}
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
    made.enable_truncation(8)
    made.save("short.json")
    code, _, err = cli("run", "--suite", "cats.toml", "--dry-run", "--set", "tokens=short.json")
    assert code == ExitCode.OK, err
    assert "note: switched off of the tokenizer file: truncation at 8 tokens" in err


def test_a_dry_run_downloads_nothing(cli, folder, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    code, _, err = cli("run", "--suite", "cats.toml", "--dry-run", "--corpus", "tinyshakespeare")
    assert code == ExitCode.OK, err
    assert not (folder / "cache").exists()


def test_a_run_in_which_nothing_is_learned_is_a_failure(cli, folder):
    code, _, err = cli("run", "--suite", "cats.toml", "--models", "gru", "--seeds", "1",
                       "--set", "learning_rate=1000", "--set", "steps=40")  # fmt: skip
    assert code == ExitCode.CASES_FAILED, err


def test_a_full_disk_keeps_what_was_learned_before(folder, monkeypatch):
    from lmn_bench.errors import TrainingError

    def full(self, *_):
        raise OSError(28, "No space left on device")

    learn_here(job(folder, budget=Budget(2)))
    before = (folder / "interim.pt").read_bytes()
    shutil.copy("interim.pt", "kept.pt")
    monkeypatch.setattr(Interim, "save", full)
    with pytest.raises(TrainingError, match="the disk is full"):
        learn_here(job(folder, seed=1))
    assert (folder / "interim.pt").read_bytes() == before


def test_ctrl_c_saves_the_training_and_resuming_it_killed_again_ends_with_the_same_scores(folder):
    # long enough to be interrupted, and with a seed that no default would give
    command = [sys.executable, "-m", "lmn_bench", "run", "--suite", "cats.toml", "--models", "gru",
               "--seeds", "1", "--steps", "400", "--seed", "3", "--set",
               "save_every=20"]  # fmt: skip
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    whole = subprocess.run([*command, "--results", "whole"], env=environ, capture_output=True)
    assert whole.returncode == ExitCode.OK, whole.stderr
    process = subprocess.Popen(
        [*command, "--results", "cut"], env=environ, stderr=subprocess.PIPE, text=True
    )
    while not list(Path("cut").glob("*/interim/*.pt")):
        assert process.poll() is None, "it ended before anything was saved"
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=HANGS_S)
    assert process.returncode == ExitCode.INTERRUPTED, err
    assert "stopping after this step" in err
    (cut,) = Path("cut").iterdir()
    assert f"lmn-bench run --resume {cut}" in err
    resumed = subprocess.Popen(
        [*command[:3], "run", "--resume", str(cut)], env=environ, stderr=subprocess.PIPE, text=True
    )
    kill_learning_process_of(resumed)
    _, err = resumed.communicate(timeout=HANGS_S)
    assert resumed.returncode == ExitCode.OK, err
    assert "killed by signal 9" in err
    (whole_run,) = Path("whole").iterdir()
    (one,), (other,) = read_run(whole_run).records, read_run(cut).records
    assert other.learned.seed == 3
    assert other.learned.resumptions >= 1
    assert "continued once by itself" in other.warnings[0]
    assert other.learned.training == one.learned.training
    assert other.learned.validation == one.learned.validation
