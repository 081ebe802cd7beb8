"""No exit code lies: every command with its output closed, full, or in another encoding."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "scripts" / "exit_codes.py"
sys.path.insert(0, str(SCRIPT.parent))
try:
    from exit_codes import COMMANDS, OUTPUT, faults_of
finally:
    sys.path.pop(0)
LINES = {" ".join(command.words): command for command in COMMANDS}
TRIED = {line: faults for line, one in LINES.items() if (faults := faults_of(one, quick=True))}


@pytest.fixture(scope="module")
def endings():
    """How every command ended under every fault, by both."""
    done = subprocess.run([sys.executable, SCRIPT, "--quick"], capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return {(one["command"], one["fault"]): one for one in found}


@pytest.mark.parametrize("line", TRIED)
def test_a_command_ends_in_its_own_code_whatever_becomes_of_its_output(endings, line):
    found = [endings[line, fault] for fault in TRIED[line]]
    assert [one["code"] for one in found] == [one["expected"] for one in found], found
    assert not [one for one in found if "Traceback" in one["stderr"]]


def test_output_that_is_lost_is_told_on_the_other_stream(endings):
    assert (
        "cannot write to standard output: No space left"
        in (endings["compare base slow", "stdout full"]["stderr"])
    )
    assert "standard output: it is closed" in endings["list metrics", "stdout closed"]["stderr"]
    assert endings["report base", "reader left"]["stderr"] == ""


def test_the_table_that_is_kept_has_every_command_as_it_should_be():
    kept = OUTPUT.read_text(encoding="utf-8")
    assert all(f"`{line}`" in kept for line in LINES)
    assert "\n0 of " in kept


@pytest.mark.parametrize(
    ("redirection", "code"),
    [("| true; exit ${PIPESTATUS[0]}", 0), (">/dev/full", 2), (">&-", 2), (">&- 2>&-", 2),
     ("<&- >/dev/null", 0)],
)  # fmt: skip
def test_the_program_itself_ends_so_in_a_shell(redirection, code):
    line = f"'{sys.executable}' -m lmn_bench --version {redirection}"
    done = subprocess.run(
        ["bash", "-c", line], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )
    assert done.returncode == code
