"""Which process measured which x: told, used as far as it goes, and never beyond."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from lmn_bench.analysis.effects import connected_parts
from lmn_bench.analysis.growth import growth
from lmn_bench.analysis.observed import design_words, observed_sample
from lmn_bench.analysis.scaling import scaling

ROOT = Path(__file__).resolve().parents[2]
EVIDENCE = ROOT / "results" / "evidence" / "fit-designs.md"
REPEATS, FILES = 4, 60


@pytest.fixture
def script(monkeypatch):
    """The script behind the evidence, with few files and two designs."""
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "scripts"))
    import fit_designs

    monkeypatch.setattr(fit_designs, "FILES", 4)
    monkeypatch.setattr(fit_designs, "JUDGED", 2)
    monkeypatch.setattr(fit_designs, "LEVELS", (0.05,))
    monkeypatch.setattr(fit_designs, "REPEATS", (3,))
    yield fit_designs
    sys.modules.pop("fit_designs")


def measured(script, design, level=0.2, seed=0, repeats=REPEATS):
    """One made-up file of linear times."""
    rng = np.random.default_rng(seed)
    x, y, process = [], [], []
    for name, sizes in script.plan(design, repeats):
        own = level * rng.standard_normal()
        x += sizes
        y += [n * np.exp(own + 0.01 * rng.standard_normal()) for n in sizes]
        process += [name] * len(sizes)
    return observed_sample(x, y, process)


@pytest.mark.parametrize(
    ("design", "kind", "warned"),
    [("crossed", "crossed", None), ("gaps", "connected", None),
     ("chain", "connected", "few processes lead from the least x"),
     ("pairs", "disconnected", "no process leads from 64 to 128 on to 256 to 512"),
     ("halves", "disconnected", "measure every x in each process"), ("nested", "nested", None)],
)  # fmt: skip
def test_the_design_is_told_and_what_it_cannot_tell_is_warned_of(script, design, kind, warned):
    found = measured(script, design)
    assert found.design.kind == kind
    assert design_words(found.design).startswith(f"{len(script.plan(design, REPEATS))} processes")
    if warned is None:
        assert found.warnings == ()
    else:
        assert any(warned in warning for warning in found.warnings)


@pytest.mark.parametrize("design", ["crossed", "gaps", "chain", "pairs", "halves", "nested"])
def test_intervals_hold_the_truth_in_every_design(script, design):
    """A small piece of `tests/scripts/fit_designs.py`."""
    held = []
    for seed in range(FILES):
        found = growth(measured(script, design, seed=seed).sample)
        held += [found.exponent.holds(1.0), found.ratio.holds(128.0)]
    assert np.mean(held) >= 0.88


@pytest.mark.parametrize("design", ["pairs", "halves"])
def test_the_spread_between_processes_is_no_break(script, design):
    found = [scaling(measured(script, design, seed=s).sample, advice=False) for s in range(12)]
    assert sum(one.valid_from > 64 for one in found) == 0
    assert all("n" in one.plausible for one in found)


def test_processes_that_measured_all_tell_more_than_those_that_measured_parts(script):
    widths = []
    for design in ("crossed", "chain", "halves"):
        ratio = growth(measured(script, design, seed=3).sample).ratio
        widths.append(np.log(ratio.high / ratio.low))
    assert widths[0] < widths[1] < widths[2] / 3


def test_a_process_at_one_x_adds_nothing_to_those_that_connect(script):
    whole = measured(script, "crossed", seed=1)
    x = [n for _ in range(REPEATS) for n in script.SIZES]
    y = np.exp(whole.sample.values).ravel().tolist()
    names = [str(r) for r in range(REPEATS) for _ in script.SIZES]
    more = observed_sample([*x, 64], [*y, 500.0], [*names, "odd"])
    plain = growth(whole.sample).ratio
    assert more.design.kind == "connected"
    assert growth(more.sample).ratio.estimate == pytest.approx(plain.estimate, rel=0.01)


def test_repeats_of_one_process_at_one_x_count_as_their_median():
    found = observed_sample([1, 1, 1, 2], [1.0, 2.0, 9.0, 4.0], ["a", "a", "a", "a"])
    assert np.exp(found.sample.medians).tolist() == pytest.approx([2.0, 4.0])


def test_links_without_a_repeat_show_no_noise():
    # three processes at each x, but any two of them share one at most: nothing can be compared
    alone = [(f"s{n}{k}", n) for n in (1, 2, 4) for k in "12"]
    rows = [("a", 1), ("a", 2), ("b", 2), ("b", 4), *alone]
    found = observed_sample([n for _, n in rows], [float(n) for _, n in rows], [p for p, _ in rows])
    assert found.sample.freedom == 0
    assert any("no noise to judge by" in warning for warning in found.warnings)
    assert growth(found.sample).ratio.low is None
    assert scaling(found.sample).undecided == "too few processes"


def test_parts_are_what_processes_lead_between():
    present = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 1, 1]], dtype=bool)
    parts = [(rows.tolist(), columns.tolist()) for rows, columns in connected_parts(present)]
    assert parts == [([0, 2], [0, 2, 3]), ([1], [1])]


def test_the_script_tells_every_design(script):
    lines = list(script.table(seed=1))
    for design in script.DESIGNS:
        assert sum(line.startswith(f"| {design} |") for line in lines) == 1


def test_the_kept_table_shows_that_the_promises_are_kept():
    text = EVIDENCE.read_text()
    promises = [line for line in text.splitlines() if re.search(r"\| [<>]= [\d.]+ \|", line)]
    assert "200 files a cell" in text
    assert len(promises) == 4
    assert all(line.endswith("| yes |") for line in promises)
