"""A few dozen of the hostile inputs that `tools/fuzz_inputs.py` tries by the thousand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

import fuzz_targets
from fuzz_inputs import SEED, fuzz
from fuzz_strategies import toml_text
from fuzz_targets import KINDS

from lmn_bench.reading import toml_data

# Of each kind, what takes a second at most.
_TRIED = {
    "suites": 6, "runs": 3, "tables": 10, "checkpoints": 8, "kept": 4, "typed": 12, "options": 12
}  # fmt: skip


@pytest.mark.parametrize("name", list(KINDS))
def test_no_hostile_input_ends_in_an_internal_error(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fuzz_targets, "STEPS_ON", False)
    tally = fuzz(KINDS[name], _TRIED[name], SEED, tmp_path)
    assert tally.inputs == _TRIED[name]
    assert tally.is_clean, tally.failures


def test_what_is_written_as_toml_reads_back():
    data = {"a": 1, "b": [1.5, True, "x\n"], "c": {"d": "e.f", "g h": -(2**63)}}
    assert toml_data(toml_text(data)) == data


def test_an_attempt_that_fails_is_counted_with_its_seed(tmp_path):
    from fuzz_targets import Kind

    def broken(draw, folder, number):
        return lambda: 1 / 0

    tally = fuzz(Kind("x", "made up", 1, broken), 1, 7, tmp_path)
    assert (tally.inputs, tally.internal) == (1, 1)
    assert "7-x-0" in tally.failures[0]
    assert not tally.is_clean
