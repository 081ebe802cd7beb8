"""The table of laws on known data, and the script that writes it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EVIDENCE = ROOT / "results" / "evidence" / "laws.md"


@pytest.fixture
def script(monkeypatch):
    """The script, with few runs of the short design."""
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "scripts"))
    import laws_table

    designs = dict(list(laws_table.DESIGNS.items())[-1:])
    monkeypatch.setattr(laws_table, "RUNS", 3)
    monkeypatch.setattr(laws_table, "NOISES", (0.01,))
    monkeypatch.setattr(laws_table, "DESIGNS", designs)
    yield laws_table
    sys.modules.pop("laws_table")


def test_the_script_tells_every_law_and_whether_the_promises_are_kept(script):
    lines = list(script.table(seed=1))
    for law in script.GROWING:
        assert sum(line.startswith(f"| {law} |") for line in lines) == len(script.OVERHEADS)
    assert sum(line.endswith("| yes |") for line in lines) == 3


def test_the_same_seed_gives_the_same_table(script):
    assert list(script.table(seed=1)) == list(script.table(seed=1))


def test_the_kept_table_shows_that_the_promises_are_kept():
    text = EVIDENCE.read_text()
    assert re.search(r"200 runs a cell", text)
    promises = [line for line in text.splitlines() if re.search(r"\| [<>]= \d+% \|", line)]
    assert len(promises) == 3
    assert all(line.endswith("| yes |") for line in promises)
