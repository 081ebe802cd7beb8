"""The table of requirements says what a run shows, and no more."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from bench_helpers import ok, run_info

from lmn_bench.analysis.results import result_set
from lmn_bench.plan import all_cases
from lmn_bench.schema import Ceiling, Outcome
from lmn_bench.store import RecordWriter, create_run
from lmn_bench.suite import find_suite, load_suite

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
try:
    import speed_table
finally:
    sys.path.pop(0)

SUITE = load_suite(find_suite("speed"))
CEILING = Ceiling("cpu", 2, "float32", matrix_flops_per_s=100e9, copy_bytes_per_s=10e9)
# A run that meets every requirement: times of lmn, and how many times as much the others take.
TIMES = {"lmn-published": 10.0, "transformer": 20.0}


def meets_all(case):
    """(seconds, working memory, state) of a case."""
    seconds = case.length * 1e-6 if case.mode != "decode" else 1e-4
    seconds /= 3 if case.dtype == "bfloat16" else 1
    factor = TIMES.get(case.subject, 1.0)
    return seconds * factor, 1000.0 * factor, 1.0 if case.subject == "lmn" else 2000.0


def records(of=meets_all):
    for case in all_cases(SUITE):
        seconds, memory, state = of(case)
        for replicate in range(5):
            yield ok(case, replicate, seconds, working_memory_bytes=memory, state_bytes=state,
                     flops=0.7e11 * case.length * 1e-6)  # fmt: skip


def rows(found, ceilings=(CEILING,)):
    info = run_info(SUITE, ceilings=ceilings)
    return list(speed_table.Speed(info, result_set(found)).rows())


def test_a_run_of_the_suite_has_all_that_the_table_asks_for():
    found = rows(records())
    assert len(found) == 10
    assert [row.met for row in found] == [True] * 10


def test_a_run_without_records_meets_nothing_and_says_so():
    found = rows([], ceilings=())
    assert [row.met for row in found] == [None] * 10
    assert {row.cells[-1] for row in found} == {"not measured"}


@pytest.mark.parametrize(
    ("mode", "change", "place"),
    [
        ("train", (2.0, 1.0), 2),  # twice as slow
        ("train", (1.0, 2.0), 2),  # twice as large
        ("read", (2.0, 1.0), 6),
        ("read", (1.0, 1.2), 6),
        ("decode", (1.3, 1.0), 7),
    ],
)
def test_what_is_too_slow_or_too_large_is_not_met(mode, change, place):
    def of(case):
        seconds, memory, state = meets_all(case)
        worse = case.subject == "lmn" and case.mode == mode
        # Of a series only the long end is worse, or nothing would grow.
        if worse and (case.length in (32768, 1048576) or mode == "train"):
            seconds, memory = seconds * change[0], memory * change[1]
        return seconds, memory, state

    found = rows(records(of))
    assert found[place].met is False
    assert "no" in found[place].cells[-1]


def test_one_case_that_failed_leaves_its_row_unmeasured():
    found = [
        replace(r, outcome=Outcome.OUT_OF_MEMORY, metrics={})
        if (r.subject, r.mode) == ("lmn-published", "train")
        else r
        for r in records()
    ]
    assert [row.met for row in rows(found)].count(None) == 2


def test_without_ceilings_only_the_share_is_unmeasured():
    assert [row.met for row in rows(records(), ceilings=())] == [True] * 9 + [None]


def test_the_table_of_a_run_goes_into_the_readme_between_its_marks(tmp_path):
    folder = create_run(tmp_path, run_info(SUITE, ceilings=(CEILING,)))
    with RecordWriter(folder) as writer:
        for record in records():
            writer.append(record)
    text = speed_table.speed_table(folder)
    assert text.count("| yes |") == 10
    assert r"10× \[10, 10]" in text
    assert "2^10 to 2^20" in text
    readme = f"above\n{speed_table.PLACE.begin}old{speed_table.PLACE.end}\nbelow\n"
    new = speed_table.with_speed(readme, lambda: text)
    assert new.startswith("above\n")
    assert new.endswith("below\n")
    assert text in new
    assert speed_table.with_speed(new, lambda: text) == new


def test_a_readme_without_marks_stays_as_it_is():
    assert speed_table.with_speed("# title\n", lambda: "table") == "# title\n"
