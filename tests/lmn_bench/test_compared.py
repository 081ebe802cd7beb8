"""What the document of a comparison says, and how it looks in a terminal."""

from __future__ import annotations

import dataclasses
import io
import math

import pytest
from bench_helpers import SMALL, case
from compared_helpers import OWN, broken, cases, compared, counter, large, mended, row, typical
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lmn_bench.analysis.comparison import Gate, Verdict
from lmn_bench.report.compared.document import comparison_document
from lmn_bench.report.compared.names import case_names
from lmn_bench.report.compared.words import Kind, kind, verdict_words
from lmn_bench.report.text import render_document
from lmn_bench.units import format_change, format_change_range, format_share, read_value


def section(comparison, title, **options):
    found = comparison_document(comparison, **options).sections
    (one,) = [part for part in found if part.title == title]
    return one


def titles(comparison, **options):
    return [part.title for part in comparison_document(comparison, **options).sections]


def printed(document, width):
    text = io.StringIO()
    console = Console(file=text, width=width, highlight=False)
    console.print(render_document(document, console))
    return text.getvalue()


# ------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("ratio", "words"),
    [(1.049, "+4.9 %"), (0.62, "-38 %"), (1.0, "0.0 %"), (0.9999, "0.0 %"), (1.0996, "+10 %"),
     (15.0, "+1,400 %"), (math.inf, "n/a")],
)  # fmt: skip
def test_a_ratio_is_told_as_a_change(ratio, words):
    assert format_change(ratio) == words


@given(st.floats(0.001, 1000))
def test_a_change_reads_back(ratio):
    assert read_value(format_change(ratio)) == pytest.approx(100 * (ratio - 1), abs=0.51)


def test_an_interval_says_percent_once():
    assert format_change_range(0.97, 1.1) == "-3.0 to +10 %"


def test_a_margin_has_no_more_digits_than_it_needs():
    assert [format_share(share) for share in (0.03, 0.005, 0.125)] == ["3 %", "0.5 %", "12.5 %"]


# ------------------------------------------------------------------------------- names


def test_what_all_cases_share_is_said_once():
    found = case_names([case("lmn", "decode", 4096), case("gru", "decode", 128)])
    assert [found[one] for one in found.names] == ["lmn 4,096", "gru 128"]
    assert found.shared.startswith("decode, cpu, 1 thread, float32, batch 1, width 32")


def test_a_part_that_alone_tells_cases_apart_is_written_out():
    found = case_names([case(length=64), case(length=128)])
    assert list(found.names.values()) == ["64 tokens", "128 tokens"]


def test_a_single_case_is_named_by_subject_mode_and_length():
    assert case_names([case(OWN, "decode", 64)])[case(OWN, "decode", 64)] == f"{OWN} decode 64"


def test_a_case_without_any_form_beside_one_of_several_has_a_name():
    plain = case("lmn", "decode")
    both = dataclasses.replace(plain, compile=True, cuda_graph=True)
    assert case_names([plain, both])[plain] == "plain"


@given(
    st.sets(
        st.builds(
            case,
            st.sampled_from(["lmn", "gru", OWN]),
            st.sampled_from(["decode", "train"]),
            st.sampled_from([64, 128]),
            threads=st.sampled_from([1, 2]),
            memory_cap_bytes=st.sampled_from([None, 2**26]),
            model=st.sampled_from([SMALL, dataclasses.replace(SMALL, width=64)]),
            compile=st.booleans(),
            cuda_graph=st.booleans(),
        ),
        min_size=1,
    )
)
def test_names_are_distinct_whatever_the_cases_differ_in(some):
    found = case_names(some)
    assert len(set(found.names.values())) == len(some)
    assert all(found.names.values())


# ------------------------------------------------------------------------------- verdicts


@pytest.mark.parametrize(
    ("comparison", "words"),
    [(typical(), "regression: 5 of 38 comparisons regressed"),
     (compared([row()]), "pass: none of 1 comparison regressed"),
     (compared(), "pass: there was nothing to compare"),
     (compared([row(ratio=None)], verdict=Gate.INCONCLUSIVE),
      "inconclusive: 1 of 1 comparison cannot be told"),
     (compared([row()], verdict=Gate.INCONCLUSIVE),
      "inconclusive: none of 1 comparison regressed, but not all could be compared"),
     (compared([row()], verdict=Gate.INCONCLUSIVE, null=[row(passes=False)]),
      "inconclusive: none of 1 comparison regressed, but identical code differed"),
     (compared(verdict=Gate.INCOMPARABLE), "incomparable: faster-merge cannot be set against main"),
     ],
)  # fmt: skip
def test_the_verdict_comes_first_in_words(comparison, words):
    assert comparison_document(comparison).answers[0] == words


def test_reasons_follow_the_verdict():
    said = comparison_document(compared(reasons=("because", "and so"))).answers
    assert said[1:] == ("because", "and so")


def test_less_of_what_should_be_high_is_worse():
    slower = row(ratio=0.8, metric="tokens_per_s", regression=False)
    assert (slower.verdict, kind(slower)) == (Verdict.SLOWER, Kind.WORSE)
    assert kind(counter(new=999)) is Kind.BETTER
    assert kind(counter(metric="parameters", regression=False)) is Kind.CHANGED


@pytest.mark.parametrize(
    ("one", "words"),
    [(row(ratio=1.2), "✗ slower"), (row(ratio=1.2, regression=False), "! slower"),
     (row(ratio=0.8), "✓ faster"), (row(), "= same"), (row(ratio=None), "? cannot tell"),
     (broken(), "✗ broken"), (mended(), "✓ mended")],
)  # fmt: skip
def test_every_verdict_has_a_sign(one, words):
    assert verdict_words(one) == words


# ------------------------------------------------------------------------------- tables


def test_regressions_stand_first_and_then_the_largest_changes():
    ratios = [1.001, 0.5, 1.05, 1.2]
    rows = [row(of, ratio) for of, ratio in zip(cases(4), ratios, strict=True)]
    (table,) = section(compared(rows), "Measured").tables
    assert [cells[3] for cells in table.rows] == ["+20 %", "+5.0 %", "-50 %", "+0.1 %"]


def test_a_table_of_one_metric_names_it_above():
    (one,) = section(compared([row()]), "Measured").tables
    both = compared([row(), row(metric="tokens_per_s")])
    (two,) = section(both, "Measured").tables
    assert one.caption.startswith("Latency")
    assert "metric" not in one.columns
    assert {cells[1] for cells in two.rows} == {"latency", "throughput"}


def test_many_unchanged_rows_are_counted_and_listed_on_request():
    comparison = large(20, ("latency_s",))
    same = len(comparison.of([Verdict.SAME]))
    shown = section(comparison, "Measured")
    assert f"{same} comparisons came out the same" in " ".join(shown.sentences)
    assert sum(len(cells.rows) for cells in shown.tables[:1]) == 20 - same
    assert "Unchanged" not in titles(comparison)
    assert len(section(comparison, "Unchanged", everything=True).tables[0].rows) == same


def test_a_few_unchanged_rows_stand_among_the_others():
    comparison = compared([row(of) for of in cases(3)])
    assert len(section(comparison, "Measured").tables[0].rows) == 3
    assert "Unchanged" not in titles(comparison, everything=True)


def test_reasons_why_it_cannot_be_told_are_said_once_each():
    rows = [row(of, None, reason="too few processes") for of in cases(3)]
    *_, table = section(compared(rows), "Measured").tables
    assert table.rows == (("too few processes", "3", "lmn"),)


def test_a_counter_that_differs_in_its_last_digit_shows_it():
    (table,) = section(compared([counter(base=5e9, new=5e9 + 64, metric="flops")]),
                       "Exact counters").tables  # fmt: skip
    _, base, new, difference, _ = table.rows[0]
    assert base != new
    assert difference == "+64 FLOP"


def test_small_counts_are_written_out():
    (table,) = section(compared([counter(base=12_345, new=12_340)]), "Exact counters").tables
    assert table.rows[0][1:4] == ("12,345", "12,340", "-5")


def test_what_cases_share_is_said_whatever_there_is_to_say_of_them():
    told = section(compared([counter()]), "Exact counters").sentences
    assert told[0].startswith("All cases: cpu, 1 thread")


def test_equal_counters_are_counted_only():
    equal = section(compared([counter(new=1000)]), "Exact counters")
    assert equal.sentences[1:] == ("1 of 1 counters is equal.",)
    assert equal.tables == ()


def test_broken_and_mended_cases_are_told_with_their_reason():
    of = cases(2)
    (table,) = section(compared([mended(of[0]), broken(of[1])]), "How cases ended").tables
    assert [cells[1:] for cells in table.rows] == [
        ("ok", "out of memory", "✗ broken", "could not allocate 64 MiB"),
        ("error", "ok", "✓ mended", "bad shape"),
    ]


def test_what_is_shown_not_to_be_worse_is_not_called_undecided():
    shown = row(ratio=0.97, width=0.04, verdict=Verdict.NOT_WORSE)
    assert verdict_words(shown) == "≤ not worse"
    told = section(compared([shown]), "Measured")
    assert len(told.tables) == 1


def test_the_null_run_tells_its_largest_difference_and_false_alarms():
    of = cases(3)
    null = (row(of[0], 1.004), row(of[1], 0.9, passes=False), row(of[2], 1.01))
    told = section(compared([row()], null=null), "Base against base")
    assert "The largest difference is -10 % (latency of transformer)." in told.sentences
    assert [cells[-1] for cells in told.tables[0].rows] == ["✓ faster"]


def test_a_comparison_of_stored_runs_says_nothing_of_a_null_run():
    assert "Base against base" not in titles(compared([row()]))


@pytest.mark.parametrize("ratio", [None, math.inf, math.nan, 0.0])
def test_a_row_without_a_usable_ratio_stands_in_the_table(ratio):
    bad = row(ratio=1.0, verdict=Verdict.CANNOT_TELL)
    bad = dataclasses.replace(bad, ratio=ratio, low=None, high=None)
    (table,) = section(compared([bad]), "Measured").tables
    assert table.rows[0][4] == "–"


# ------------------------------------------------------------------------------- terminal


@pytest.mark.parametrize("width", [80, 140])
@pytest.mark.parametrize("comparison", [typical(), large(24)], ids=["typical", "large"])
def test_a_terminal_shows_rows_whole(comparison, width):
    text = printed(comparison_document(comparison, everything=True), width)
    assert max(map(len, text.splitlines())) <= width
    heads = [line for line in text.splitlines() if "95 %" in line and line.startswith(" case ")]
    assert heads
    assert all("verdict" in line for line in heads)
