"""`compare` as it is called: what stands last, the exit code, and commands that can be typed."""

from __future__ import annotations

import ast
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import click
import pytest
from bench_helpers import environment, run_info
from gate_helpers import cases, measured

from lmn_bench.cli import lmn_bench, run_command_line
from lmn_bench.gates import GateInfo, save_gate
from lmn_bench.store import RecordWriter, create_run

PACKAGE = Path(__file__).parents[2] / "lmn_bench"
# Whose messages name commands on comparisons and on what learned.
SPEAKING = [
    *(PACKAGE / "cli" / f"{name}.py" for name in (
        "ab", "ab_run", "alternate", "baseline", "compare", "gate_options", "learning_runs",
        "sides", "verdict", "versions")),
    *(PACKAGE / f"{name}.py" for name in ("baselines", "pooling", "differences", "gates")),
    *sorted((PACKAGE / "report" / "compared").glob("*.py")),
    *sorted((PACKAGE / "report" / "learned").glob("*.py")),
    *(PACKAGE / "analysis" / f"{name}.py" for name in (
        "alternated", "compare", "counted", "gate", "gate_reasons", "leaning", "measured")),
]  # fmt: skip


@pytest.fixture
def results(tmp_path):
    """Runs of one machine: two alike, one slower, one noisy; and one of another machine."""
    slow, noisy = measured(cases(), 1.2, seed=2), measured(cases(), spread=0.2, seed=3)
    made = {"base": measured(cases()), "same": measured(cases(), seed=1), "slow": slow,
            "noisy": noisy, "moved": measured(cases(), seed=1)}  # fmt: skip
    for name, records in made.items():
        info = run_info(run_id=name)
        if name == "moved":
            info = replace(info, environment=environment(cpu_model="Other CPU"))
        with RecordWriter(create_run(tmp_path, info)) as writer:
            for record in records:
                writer.append(record)
    return tmp_path


def told(capsys, *arguments):
    """Exit code, stdout and stderr."""
    code = run_command_line([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def compared(capsys, results, new, *options):
    return told(capsys, "compare", "base", new, "--results", results, "--margin", "5%", *options)


@pytest.mark.parametrize(
    ("new", "options", "code", "last"),
    [
        ("same", (), 0, "PASS: none of 24 comparisons regressed (exit code 0: nothing got worse by "
                        "more than is allowed)"),
        ("slow", (), 1, "REGRESSION: 3 of 24 comparisons regressed (exit code 1: something got "
                        "worse)"),
        ("noisy", (), 0, "INCONCLUSIVE: 3 of 24 comparisons cannot be told (exit code 0: nothing "
                         "is shown to be worse; with --fail-on inconclusive it is 4)"),
        ("noisy", ("--fail-on", "inconclusive"), 4,
         "INCONCLUSIVE: 3 of 24 comparisons cannot be told (exit code 4: whether "
         "anything got worse is open)"),
        ("moved", (), 5, "INCOMPARABLE: moved cannot be set against base (exit code 5: nothing "
                         "could be compared)"),
    ],
)  # fmt: skip
def test_the_verdict_stands_first_and_last_with_what_the_exit_code_means(
    results, capsys, new, options, code, last
):
    found, out, _ = compared(capsys, results, new, *options)
    assert found == code
    assert out.rstrip().splitlines()[-1] == last
    verdict = last.partition(" (exit")[0]
    assert f"• {verdict[0].lower()}{verdict[1:]}".lower() in " ".join(out.split()).lower()


def test_json_is_nothing_but_json(results, capsys):
    code, out, _ = compared(capsys, results, "slow", "--json")
    assert (code, json.loads(out)["exit_code"]) == (1, 1)


@pytest.mark.parametrize(
    "options",
    [("--allow", "flops=5"), ("--allow", "flops=0.5"), ("--margin", "3"), ("--margin", "0.03"),
     ("--allow", "flops=1%", "--allow", "flops=5%")],
)  # fmt: skip
def test_a_share_is_a_percentage_and_said_once(results, capsys, options):
    code, _, err = compared(capsys, results, "same", *options)
    assert code == 2
    assert "lacks its percent sign" in err or "is given twice" in err


def test_a_folder_of_ab_beside_another_is_told_with_a_command_that_works(
    results, capsys, monkeypatch
):
    monkeypatch.chdir(results)
    gate = Path("ab of mine")
    save_gate(gate, GateInfo("main", "working tree"))
    code, _, err = told(capsys, "compare", "base", gate, "--results", ".")
    assert code == 2
    (command,) = re.findall("`(lmn-bench [^`]+)`", err)
    assert shlex.split(command) == ["lmn-bench", "compare", "ab of mine"]


# ------------------------------------------------------------------ commands that are to be typed


def commands():
    """Every command between backticks in a message, with a word in place of each value."""
    for path in SPEAKING:
        tree = ast.parse(path.read_text())
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
            and node.body and isinstance(node.body[0], ast.Expr)
        }  # fmt: skip
        inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
                 for part in node.values}  # fmt: skip
        for node in ast.walk(tree):
            if id(node) in docstrings or id(node) in inner:
                continue
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else "VALUE"
                               for part in node.values)  # fmt: skip
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
            else:
                continue
            yield from ((path.name, found) for found in re.findall("`(lmn-bench [^`]+)`", text))


FOUND = sorted(set(commands()))


def test_there_are_commands_to_be_typed():
    assert len(FOUND) >= 6


@pytest.mark.parametrize(("place", "text"), FOUND)
def test_a_command_that_is_told_can_be_typed(place, text):
    name, *rest = shlex.split(text)[1:]
    command: click.Command | None = lmn_bench.get_command(click.Context(lmn_bench), name)
    context = None
    while isinstance(command, click.Group):
        context = click.Context(command, parent=context, info_name=name)
        name, *rest = rest
        command = command.get_command(context, name)
    assert command is not None, f"{place}: {text}"
    if "--help" not in rest:
        command.make_context(name, rest)
