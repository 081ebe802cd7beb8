"""`lmn-bench profile`, from the command line to the files."""

from __future__ import annotations

import errno
import gzip
import json
import os
import sys
from pathlib import Path

import pytest
from profile_helpers import seen

pytest.importorskip("torch")

from lmn_bench.cli import run_command_line
from lmn_bench.errors import ExitCode, ProfileError
from lmn_bench.run.process import ForkServer
from lmn_bench.run.reply import Reply, printed_words, profile_of

ROGUES = "rogue_subjects"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A results folder; rogue models can be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    return tmp_path / "results"


def profile(*arguments):
    return run_command_line(["profile", *arguments])


def the_folder(results):
    (found,) = results.iterdir()
    return found


@pytest.mark.parametrize(("model", "mode"), [("lmn", "decode"), ("gru", "train")])
def test_a_profile_is_told_and_kept(folder, capsys, model, mode):
    sizes = ["--width", "32", "--heads", "2"]
    assert profile(model, "--mode", mode, "--length", "64", *sizes, "--json", "-q") == ExitCode.OK
    out = capsys.readouterr().out
    data = json.loads(out)
    assert (data["subject"], data["mode"], data["length"]) == (model, mode, 64)
    names = {part["name"] for part in data["parts"]}
    assert {"norm", "feed-forward", "other"} <= names
    assert sum(part["share"] for part in data["parts"]) == pytest.approx(1)
    assert sum(one["share"] for one in data["operators"]) == pytest.approx(1)
    assert {one["part"] for one in data["operators"]} <= names
    assert data["agreement"]["time"]["measured"] == data["latency_s"]
    kept = the_folder(folder)
    assert kept.name.startswith(f"profile-{model}-{mode}-")
    assert json.loads((kept / "profile.json").read_text())["parts"] == data["parts"]
    trace = json.loads(gzip.decompress((kept / "trace.json.gz").read_bytes()))
    assert any(str(event.get("name", "")).startswith("part ") for event in trace["traceEvents"])
    assert (kept / "report.html").stat().st_size > 10_000
    assert set(data["files"]) == {"folder", "json", "trace", "report"}


def test_a_users_model_is_told_by_its_modules_and_lines(folder, capsys, tmp_path):
    output = tmp_path / "out.md"
    code = profile(
        f"{ROGUES}:good", "--mode", "prefill", "--length", "64", "--width", "16", "--lines",
        "-o", str(output),
    )  # fmt: skip
    out, err = capsys.readouterr()
    assert code == ExitCode.OK, err
    assert "map" in out
    assert "lines.txt" in err
    assert "ui.perfetto.dev" in err
    assert "total = x.cumsum(1)" in (the_folder(folder) / "lines.txt").read_text()
    assert "Memory line by line" in output.read_text()


def test_a_users_model_is_told_as_deep_as_was_asked_for(folder, capsys):
    arguments = [f"{ROGUES}:nested", "--mode", "prefill", "--length", "16", "--width", "8"]
    assert profile(*arguments, "--depth", "2", "--json", "-q") == ExitCode.OK
    data = json.loads(capsys.readouterr().out)
    assert data["depth"] == 2
    names = {part["name"] for part in data["parts"]}
    assert {"blocks.0 (itself)", "blocks.0.map", "blocks.1.map", "the model itself"} <= names
    assert json.loads((the_folder(folder) / "profile.json").read_text())["depth"] == 2


def test_what_a_users_model_said_and_changed_is_told(folder, capsys, tmp_path):
    output = tmp_path / "out.md"
    code = profile(
        "strange_subjects:moves_away", "--mode", "prefill", "--length", "64", "--width", "16",
        "--json", "-q", "-o", str(output),
    )  # fmt: skip
    out, err = capsys.readouterr()
    assert code == ExitCode.OK, err
    data = json.loads(out)
    assert "its code changed the working folder to /, and keeps it" in data["warnings"]
    assert [line.split(": ", 1)[-1] for line in data["stderr"]] == ["UserWarning: far from home"]
    for told in (err, output.read_text()):
        assert told.count("far from home") == 1
    assert "warning: its code changed the working folder to /, and keeps it" in err


@pytest.mark.parametrize(("output", "words"), [
    ("", ""), ("\n", ""), ("one\nlast\n\n", " (it printed: last)"),
])  # fmt: skip
def test_last_words_are_the_last_line_that_says_something(output, words):
    assert printed_words(Reply(None, -9, True, output)) == words


@pytest.mark.parametrize(("arguments", "words"), [
    (["lmn", "--mode", "decode", "--length", "8", "--depth", "2"],
     ["--depth 2", "parts of lmn are what it does", "leave out --depth"]),
    (["lmn", "--mode", "decode", "--length", "8", "--depth", "1"], ["leave out --depth"]),
    (["m:make", "--mode", "decode", "--length", "8", "--depth", "0"], ["'--depth'", "0"]),
    (["transfomer", "--mode", "decode", "--length", "64"], ["unknown model", "'transformer'"]),
    (["transformer", "--mode", "read", "--length", "64"], ["has no read"]),
    (["lmn", "--mode", "decode", "--length", "0"], ["'0' is out of range"]),
    (["lmn", "--mode", "decode", "--length", "many"], ["cannot read 'many'"]),
    (["lmn", "--mode", "nap", "--length", "8"], ["'nap'"]),
    (["lmn", "--length", "8"], ["--mode"]),
    (["lmn", "--mode", "decode", "--length", "8", "--device", "cuda"], ["GPU", "--device cpu"]),
    (["lmn", "--mode", "decode", "--length", "8", "--threads", "5000"], ["cores here"]),
    (["lmn", "--mode", "decode", "--length", "8", "-o", "no/such.html"], ["no folder"]),
    (["transformer", "--mode", "decode", "--length", "8", "--heads", "3"], ["3 does not divide"]),
    (["lmn", "--mode", "decode", "--length", "8", "-o", "x.pdf"], ["as .pdf", ".html, .htm, .md"]),
])  # fmt: skip
def test_mistakes_are_told_before_anything_starts(folder, capsys, monkeypatch, arguments, words):
    monkeypatch.setattr("lmn_bench.cli.profile_run.ForkServer", None, raising=False)
    assert profile(*arguments) == ExitCode.USAGE
    err = " ".join(capsys.readouterr().err.split())
    for word in words:
        assert word in err
    assert "Traceback" not in err
    assert not folder.exists()


@pytest.mark.parametrize(("arguments", "code", "words"), [
    ([f"{ROGUES}:no_decode", "--mode", "decode"], ExitCode.USAGE, ["has no decode", "prefill"]),
    ([f"{ROGUES}:nothing", "--mode", "decode"], ExitCode.USAGE, ["no 'nothing'"]),
    ([f"{ROGUES}:raises", "--mode", "prefill"], ExitCode.CASES_FAILED, ["ValueError: boom"]),
    ([f"{ROGUES}:exits", "--mode", "prefill"], ExitCode.CASES_FAILED, ["exit code 7"]),
    ([f"{ROGUES}:hangs", "--mode", "prefill", "--timeout", "1"], ExitCode.CASES_FAILED,
     ["longer than 1 s"]),
])  # fmt: skip
def test_a_model_that_fails_is_told_of_and_leaves_no_folder(folder, capsys, arguments, code, words):
    assert profile(*arguments, "--length", "64") == code
    err = " ".join(capsys.readouterr().err.split())
    for word in words:
        assert word in err
    assert folder.name not in err  # nor is one announced
    assert "Traceback" not in err
    assert not list(folder.iterdir())


@pytest.mark.parametrize(("reply", "words"), [
    (Reply(None, -9, False, ""), "signal 9"),
    (Reply(None, 1, False, "RuntimeError: can't allocate memory: you tried to allocate 64 bytes"),
     "out of memory"),
    (Reply({"failed": {"message": "it failed", "hint": None}}, 0, False, ""), "it failed"),
])  # fmt: skip
def test_every_end_of_the_process_is_an_error_with_words(reply, words):
    with pytest.raises(ProfileError, match=words):
        profile_of(reply, 60.0)


def test_a_page_that_fails_loses_nothing(folder, capsys, monkeypatch):
    import lmn_bench.cli.profile_run as module

    def broken(*_):
        raise RuntimeError("no charts today")

    monkeypatch.setattr(module, "profile_page", broken)
    assert profile("gru", "--mode", "prefill", "--length", "32", "--width", "8", "--json") == 0
    out, err = capsys.readouterr()
    assert "no charts today" in err
    assert "report" not in json.loads(out)["files"]
    assert (the_folder(folder) / "profile.json").exists()


def test_a_disk_that_is_full_at_the_end_takes_no_answer_with_it(folder, capsys, monkeypatch):
    monkeypatch.setattr(ForkServer, "profile", lambda *_: seen())

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    words = ["lmn", "--mode", "prefill", "--length", "64", "--json", "-q"]
    assert profile(*words) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert json.loads(out)["latency_s"] == seen()["latency_s"]
    assert "profile.json: the disk is full" in err
    assert not list(folder.iterdir())


def test_help_loads_nothing_heavy(capsys):
    before = set(sys.modules)
    assert profile("--help") == 0
    assert not {"torch", "pandas", "altair"} & (set(sys.modules) - before)
