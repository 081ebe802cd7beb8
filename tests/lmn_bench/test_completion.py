"""What shells complete, by click's own classes, and once by bash itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest
from bench_helpers import run_info
from click.shell_completion import ShellComplete

from lmn_bench.cli import COMPLETE_VARIABLE as VARIABLE
from lmn_bench.cli import lmn_bench, run_command_line
from lmn_bench.cli.completion import SHELLS, script
from lmn_bench.store import create_run
from lmn_bench.suite import builtin_suites

ROOT = Path(__file__).parents[2]


def completed(line):
    """What is offered for the last word of a line."""
    *before, last = line.split(" ")
    completer = ShellComplete(lmn_bench, {}, "lmn-bench", VARIABLE)
    return [item.value for item in completer.get_completions(before, last)]


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A working directory with a run, a baseline and a module of models."""
    create_run(tmp_path / "results", run_info(run_id="smoke-1"))
    create_run(tmp_path / "results" / "baselines", run_info(run_id="ci"))
    (tmp_path / "my_models.py").write_text(
        "import nothing\n\ndef make(spec): ...\n\ndef _hidden(): ...\n\nclass Model: ...\n"
    )
    (tmp_path / "broken.py").write_text("def (")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results"


def test_commands_and_options_are_completed():
    assert completed("si") == ["size"]
    assert completed("baseline s") == ["save", "show"]
    assert "--suite" in completed("run --s")
    assert completed("list dev") == ["devices"]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("run --models tr", ["transformer", "transformer-learned"]),
        ("run --models lmn,gr", ["lmn,gru"]),
        ("run --models=gr", ["gru"]),
        ("run --subjects gr", ["gru"]),
        ("run --modes decode,pre", ["decode,prefill"]),
        ("run --device cpu,", ["cpu,cuda"]),
        ("run --set wid", ["width="]),
        ("run --corpus py", ["python-docs"]),
        ("ab --models tr", ["transformer", "transformer-learned"]),
        ("ab --metric latency_l", ["latency_low_s"]),
        ("compare --allow flo", ["flops="]),
        ("size --model gr", ["gru"]),
        ("size --against lstm,gr", ["lstm,gru"]),
        ("size --mode dec", ["decode"]),
        ("size --device raspberry-pi-p", ["raspberry-pi-pico", "raspberry-pi-pico-2"]),
        ("size --dtype bf", ["bfloat16"]),
        ("train --tokens char", ["characters"]),
        ("profile gr", ["gru"]),
        ("validate smo", ["smoke"]),
    ],
)
def test_names_are_completed(line, offered):
    assert completed(line) == offered


def test_a_name_that_is_there_is_not_offered_again():
    assert "lmn,lmn" not in completed("run --models lmn,lm")


@pytest.mark.parametrize("line", ["run --suite ", "ab --suite ", "report --claims ", "validate "])
def test_suites_are_completed(line):
    assert completed(line) == [*builtin_suites()]


@pytest.mark.parametrize("line", ["report ", "show ", "run --resume ", "size --from "])
def test_runs_are_completed(results, line):
    assert completed(line) == ["smoke-1"]


def test_comparisons_take_baselines_and_runs(results):
    assert completed("compare ") == ["ci", "smoke-1"]
    assert completed("compare ci smoke-1,") == ["smoke-1,ci"]
    assert completed("baseline rm ") == ["ci"]


def test_runs_of_another_folder_are_completed_from_it(results, tmp_path):
    create_run(tmp_path / "mine", run_info(run_id="other-1"))
    assert completed("report --results mine ") == ["other-1"]


def test_models_of_ones_own_are_completed_without_importing_them(results):
    assert completed("run --models lmn,my") == ["lmn,my_models:"]
    assert completed("run --models my_models:") == ["my_models:make", "my_models:Model"]
    assert completed("profile my_models:ma") == ["my_models:make"]


@pytest.mark.parametrize("line", ["run --models broken:", "run --models absent:"])
def test_what_cannot_be_read_offers_nothing_and_says_nothing(results, capsys, line):
    assert completed(line) == []
    assert capsys.readouterr().err == ""


def test_after_a_command_that_there_is_not_the_commands_are_offered():
    assert "run" in completed("nothing --x ")
    assert "save" in completed("baseline nothing ")


def test_files_are_left_to_the_shell_where_no_name_fits():
    (item,) = ShellComplete(lmn_bench, {}, "lmn-bench", VARIABLE).get_completions(
        ["run", "--suite"], "./my"
    )
    assert item.type == "file"


def test_completing_imports_neither_torch_nor_what_reads_runs(results):
    code = (
        "import sys\n"
        "from click.shell_completion import ShellComplete\n"
        "from lmn_bench.cli import lmn_bench\n"
        f"completer = ShellComplete(lmn_bench, {{}}, 'lmn-bench', '{VARIABLE}')\n"
        "for line in ('run --models l', 'report ', 'size --device r', 'compare ', 'run --suite ',\n"
        "             'run --set w', 'ab --metric l'):\n"
        "    *before, last = line.split(' ')\n"
        "    assert completer.get_completions(before, last), line\n"
        "heavy = {'torch', 'pydantic', 'numpy', 'pandas'}\n"
        "print(sorted(heavy & {*sys.modules}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_a_script(capsys, shell):
    assert run_command_line(["completion", shell]) == 0
    out = capsys.readouterr().out
    assert out.rstrip("\n") == script(shell).rstrip("\n")
    assert VARIABLE in out
    assert "lmn-bench" in out


def test_fish_keeps_what_comes_after_a_comma():
    assert 'string split -m 1 "," $completion' in script("fish")


@pytest.mark.skipif(which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("line", "replies"),
    [
        ("lmn-bench run --mod", ["--models", "--modes"]),
        ("lmn-bench run --models lmn,gr", ["lmn,gru"]),
        ("lmn-bench report ", ["smoke-1"]),
        # Bash has taken the line apart at ":" and "=", and replaces the last part alone.
        ("lmn-bench run --models my_models:ma", ["make"]),
        ("lmn-bench run --models=gr", ["gru"]),
        ("lmn-bench size --context 64K --device raspberry-pi-5", ["raspberry-pi-5-8gb"]),
    ],
)
def test_bash_completes_a_line(results, tmp_path, line, replies):
    program = tmp_path / "lmn-bench"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m lmn_bench "$@"\n')
    program.chmod(0o755)
    (tmp_path / "complete.bash").write_text(script("bash"))
    asked = (
        "compopt() { :; }\n"  # there is none outside of a real completion
        "source ./complete.bash\n"
        f"COMP_LINE='{line}' COMP_POINT={len(line)}\n"
        "_lmn_bench_completion ./lmn-bench\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", asked], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (done.stdout.splitlines(), done.stderr) == (replies, "")
