"""The table of false alarms and misses: what it simulates, and what it and the README say of it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "scripts"))
try:
    import gate_table
    from gate_table import OUTPUT, World, rates, table, worlds
finally:
    sys.path.pop(0)

FEW = 40


@pytest.mark.parametrize("kind", ["ab", "compare"])
def test_equal_code_is_never_red_in_a_few_gates(kind):
    assert rates(kind, World(cases=5, drift=0.04), FEW, seed=1).red == 0


def test_a_slow_case_is_found_in_most_of_a_few_gates():
    assert rates("ab", World(cases=5, drift=0.02, planted=0.10), FEW, seed=1).found > 0.9


def test_code_slower_by_the_margin_seldom_passes():
    assert rates("ab", World(cases=1, all_slower=0.03), FEW, seed=1).passed < 0.2


def test_noise_costs_blocks():
    calm, noisy = (rates("ab", World(spread=spread), 5, seed=1) for spread in (0.005, 0.03))
    assert calm.blocks < noisy.blocks


def test_the_table_tells_its_worst_cells():
    cells = []
    for kind, part, world in worlds():
        red = 0.004 if part == "same" and world.cases == 20 else 0.0
        found = 0.97 if part == "planted" else 0.0
        cells.append((kind, part, world, gate_table.Rates(red, found, 0.0, 1 - red, 6.0)))
    text = table(cells, gates=10, seed=1)
    assert "any cell: 0.4%" in text
    assert "found in 97.0% of gates or more" in text
    assert "| heavy tails | 0.5% | 20 |" in text


def test_what_the_readme_says_is_in_the_table():
    readme, evidence = (ROOT / "README.md").read_text(), OUTPUT.read_text()
    (found,) = re.findall(r"red in ([\d.]+) % of gates or more", readme)
    assert f"found in {found}% of gates or more" in evidence
    assert "any cell: 0.0%" in evidence
    assert "Identical code was never red" in readme
