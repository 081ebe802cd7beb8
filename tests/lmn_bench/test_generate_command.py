"""`lmn-bench generate`: text as it comes, and what cannot be gone on with."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lmn.checkpoint import load_model, read_notes, save_model
from lmn_bench.cli import generate_run, run_command_line
from lmn_bench.errors import ExitCode, UsageError
from lmn_bench.learning.settings import QUICK
from lmn_bench.worker.learning.generate import GenerateJob, generate
from lmn_bench.worker.learning.train import TrainJob, train

ROOT = Path(__file__).parents[2]
TEXT = "the cat sat on the mat, and the dog sat on the log; " * 60


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A model that knows the text by heart, nearly."""
    folder = tmp_path_factory.mktemp("generate")
    (folder / "cats.txt").write_text(TEXT)
    path = folder / "a.safetensors"
    settings = replace(QUICK, corpus=str(folder / "cats.txt"), threads=1, width=16, heads=2,
                       layers=1, banks=1, length=32, batch=8, steps=150)  # fmt: skip
    before = torch.get_num_threads()
    train(TrainJob(settings, (), str(path), resume=False, quiet=True), lambda told: None,
          lambda: False)  # fmt: skip
    torch.set_num_threads(before)
    return path


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = run_command_line(["generate", *map(str, arguments)])
        out, err = capsys.readouterr()
        return int(code), out, err

    return run


def generate_here(checkpoint, **changes):
    """The job itself, in this process: its text, and what it told."""
    job = GenerateJob(checkpoint=str(checkpoint), prompt="the ", tokens=40, temperature=0.0,
                      top_k=None, top_p=None, seed=None, stops=(), threads=1)  # fmt: skip
    told = []
    generate(replace(job, **changes), told.append)
    return "".join(one["text"] for one in told if "text" in one), told


def test_text_goes_to_stdout_and_what_it_took_to_stderr(cli, checkpoint):
    code, out, err = cli(checkpoint, "--prompt", "the cat ", "--tokens", 30, "--temperature", 0)
    assert code == ExitCode.OK, err
    assert out == generate_here(checkpoint, prompt="the cat ", tokens=30)[0] + "\n"
    assert len(out) == 31
    assert re.fullmatch(
        r"prompt: 8 tokens, read in .+s; 30 tokens in .+s, .+ token/s; state .+B; seed \d+\n", err
    )


def test_a_single_token_is_one(cli, checkpoint):
    _, _, err = cli(checkpoint, "--prompt", "t", "--tokens", 1)
    assert "prompt: 1 token, read" in err
    assert "; 1 token in" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--stop", ""], "--stop is empty"),
        (["--threads", 100_000], "100,000 threads asked for"),
    ],
)
def test_what_cannot_be_done_is_refused(cli, checkpoint, words, told):
    code, out, err = cli(checkpoint, "--prompt", "the", *words)
    assert (code, out) == (ExitCode.USAGE, "")
    assert told in err


@pytest.mark.parametrize(("path", "told"), [(".", ". is a folder"), ("a" * 300, "no checkpoint")])
def test_what_is_no_file_is_no_checkpoint(cli, path, told):
    code, _, err = cli(path, "--prompt", "the")
    assert code == ExitCode.USAGE
    assert told in err


def test_json_holds_text_and_figures(cli, checkpoint, tmp_path):
    (tmp_path / "prompt.txt").write_text("the dog ")
    code, out, _ = cli(checkpoint, "--prompt-file", "prompt.txt", "--seed", 3, "--tokens", 25,
                       "--top-k", 5, "--top-p", 0.9, "--json")  # fmt: skip
    said = json.loads(out)
    assert code == ExitCode.OK
    assert (said["prompt"], said["prompt_tokens"], said["tokens"]) == ("the dog ", 8, 25)
    assert (said["seed"], said["ended"], said["step"]) == (3, "length", 150)
    assert len(said["text"]) == 25
    assert said["corpus"] == read_notes(checkpoint)["corpus"]
    assert said["tokens_per_s"] > 0
    assert 0 < said["state_bytes"] < 100_000


def test_the_model_writes_what_it_learned(checkpoint):
    text, _ = generate_here(checkpoint, prompt="the cat sat on ", tokens=8)
    assert text.startswith("the ")


def test_text_comes_in_pieces(checkpoint):
    _, told = generate_here(checkpoint)
    assert len([one for one in told if "text" in one]) == 40


def test_the_same_seed_draws_the_same_text(checkpoint):
    drawn = [generate_here(checkpoint, temperature=2.0, seed=seed)[0] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_stop_text_ends_it_and_is_not_shown(checkpoint):
    text, told = generate_here(checkpoint, stops=("sat",), prompt="the cat ", tokens=40)
    whole, _ = generate_here(checkpoint, prompt="the cat ", tokens=40)
    assert told[-1]["ended"]["stopped"]
    assert text == whole.partition("sat")[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"prompt": "the §"}, "not in the vocabulary: '§' at 4"),
        ({"top_k": 3}, "with temperature 0"),
    ],
)
def test_what_the_model_cannot_do_is_told(checkpoint, changes, words):
    with pytest.raises(UsageError, match=words):
        generate_here(checkpoint, **changes)


def test_a_checkpoint_that_is_none_is_told(checkpoint, tmp_path):
    half, plain, other = tmp_path / "half", tmp_path / "plain", tmp_path / "other"
    half.write_bytes(checkpoint.read_bytes()[:-50])
    with pytest.raises(UsageError, match="truncated or no safetensors file"):
        generate_here(half)
    save_model(plain, load_model(checkpoint))
    with pytest.raises(UsageError, match="without the notes of `lmn-bench train`"):
        generate_here(plain)
    other.write_text("no tensors")
    with pytest.raises(UsageError, match="truncated or no safetensors file"):
        generate_here(other)


def test_a_refusal_of_the_process_is_told_as_ours(cli, checkpoint):
    code, out, err = cli(checkpoint, "--prompt", "Łódź")
    assert (code, out) == (ExitCode.USAGE, "")
    assert err.startswith("error: not in the vocabulary: 'Ł' at 0")
    assert "hint: leave them out" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "--prompt", "a"], "there is no checkpoint nowhere"),
        (["x"], "got neither"),
        (["x", "--prompt", "a", "--prompt-file", "latin"], "got both"),
        (["x", "--prompt", ""], "the prompt is empty"),
        (["x", "--prompt-file", "latin"], "not UTF-8: byte 0xe9 at 1"),
    ],
)
def test_a_wrong_call_is_told_before_anything_starts(cli, arguments, words):
    Path("latin").write_bytes("né".encode("latin-1"))
    code, _, err = cli(*arguments)
    assert code == ExitCode.USAGE
    assert words in err


def test_control_characters_do_not_reach_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    shown = Terminal()
    monkeypatch.setattr(sys, "stdout", shown)
    generate_run._show("a\x1b[2Jb\tc\n")
    assert shown.getvalue() == "a\\x1b[2Jb\tc\n"


def test_it_stops_writing_where_nobody_reads(checkpoint):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "lmn_bench", "generate", checkpoint, "--prompt", "the ", "--tokens",
         "100000000"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=writing, stderr=subprocess.PIPE,
        text=True, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
