"""What programs, pull requests and CI see of a comparison."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import re
from xml.etree import ElementTree as ET

import pytest
from bench_helpers import case
from compared_helpers import NASTY, OWN, broken, cases, compared, counter, large, row, typical
from hypothesis import given
from hypothesis import strategies as st

from lmn_bench.analysis.comparison import Gate
from lmn_bench.report.compared.annotations import annotations
from lmn_bench.report.compared.data import comparison_csv, comparison_json
from lmn_bench.report.compared.junit import comparison_junit
from lmn_bench.report.compared.markdown import MOST_CHARACTERS, comparison_markdown

EVERY_NASTY = compared(
    [row(case(NASTY), 1.2, reason=NASTY), row(case("gru"), None, reason=NASTY),
     broken(case("lmn"), NASTY)],
    base=NASTY, new=NASTY, reasons=(NASTY,), notes=(NASTY,),
)  # fmt: skip

# ------------------------------------------------------------------------------- data


def test_the_contract_for_programs():
    of = case("lmn", "decode", 4096)
    comparison = compared([row(of, 1.2)], reasons=("slower",), notes=("turn by turn",),
                          null=(row(of, 1.01),))  # fmt: skip
    found = comparison_json(comparison, 1)
    (one,) = found.pop("cases")
    (null,) = found.pop("null")
    assert found == {
        "schema": 1, "verdict": "regression", "exit_code": 1, "base": "main",
        "new": "faster-merge", "margin": 0.03, "reasons": ["slower"], "notes": ["turn by turn"],
    }  # fmt: skip
    assert one == {
        "case_id": of.id, "metric": "latency_s", "ratio": 1.2, "low": 1.188, "high": 1.212,
        "verdict": "slower", "regression": True, "exact": False, "base": 1e-3, "new": 1.2e-3,
        "base_median": None, "new_median": None,
        "base_processes": 5, "new_processes": 5, "base_outcome": "ok", "new_outcome": "ok",
        "reason": "",
    }  # fmt: skip
    assert null.keys() == one.keys()


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_numbers_for_programs_are_finite(value):
    bad = dataclasses.replace(row(), ratio=value, low=value, high=value, base=value, new=value)
    found = comparison_json(compared([bad]), 0)
    assert json.loads(json.dumps(found, allow_nan=False))["cases"][0]["ratio"] is None


def test_the_csv_has_a_line_per_row_with_its_unit():
    comparison = compared([row(reason="a, b\nc"), broken()], null=(row(),))
    lines = list(csv.DictReader(io.StringIO(comparison_csv(comparison))))
    assert [(line["part"], line["unit"]) for line in lines] == [
        ("cases", "s"), ("cases", ""), ("null", "s"),
    ]  # fmt: skip
    assert lines[0]["reason"] == "a, b\nc"


# ------------------------------------------------------------------------------- pull request


@pytest.mark.parametrize(
    ("gate", "sign"),
    [(Gate.PASS, "✅"), (Gate.REGRESSION, "❌"), (Gate.INCONCLUSIVE, "⚠️"),
     (Gate.INCOMPARABLE, "⚠️")],
)  # fmt: skip
def test_a_comment_begins_with_the_verdict_and_its_sign(gate, sign):
    assert comparison_markdown(compared([row()], verdict=gate)).startswith(f"### {sign} {gate}: ")


def test_a_comment_shows_the_worst_and_folds_the_rest():
    head, _, folded = comparison_markdown(typical(), limit=3).partition("<details>")
    assert len(re.findall(r"^\| (?!case|:--)", head, flags=re.MULTILINE)) == 3
    assert len(re.findall(r"^\| (?!case|:--)", folded, flags=re.MULTILINE)) == 34
    assert "1 of 4 exact counters are equal." in head
    assert folded.startswith(
        "<summary>34 more: 1 broken (regression), 1 more (regression), "
        "1 cannot tell, 1 faster, 1 less, 1 mended, 28 same<"
    )


def test_a_comment_ends_with_how_it_was_measured_and_repeated():
    *_, last = comparison_markdown(typical(), command="lmn-bench ab --base main").splitlines()
    assert "38 comparisons of 34 cases, 5 processes on either side" in last
    assert "Base against base: 0 of 12 came out as a change." in last
    assert last.endswith("Repeat it: `lmn-bench ab --base main`")


@pytest.mark.parametrize("wide", ["x", "&", "|", "`"])
def test_a_comment_stays_below_what_github_takes(wide):
    long = wide * 5000
    rows = [row(dataclasses.replace(of, subject=of.subject + long), 1.2, metric=key, reason=long)
            for of in cases(200) for key in ("latency_s", "peak_memory_bytes")]  # fmt: skip
    comparison = compared(rows, base=long, new=long, reasons=(long,) * 50, notes=(long,) * 50)
    text = comparison_markdown(comparison, limit=200, command=long)
    assert len(text) < MOST_CHARACTERS
    assert "more rows do not fit" in text


def test_data_in_a_comment_are_no_markup_and_call_nobody():
    text = comparison_markdown(EVERY_NASTY, command="run `x` ``y``")
    for markup in ("@user", "#12", "~~", "&lt;", "\x1b", "\x00", "\ud800"):
        assert markup not in text
    nasty = [line for line in text.splitlines() if "user" in line]
    assert not re.search(r"(?<!\\)[<`_\[]", " ".join(nasty))
    assert nasty
    assert "``` run `x` ``y`` ```" in text


def test_every_row_of_a_comment_has_as_many_cells_as_its_head():
    rows = [line for line in comparison_markdown(EVERY_NASTY).splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} == {8}


# ------------------------------------------------------------------------------- JUnit


def suite_of(comparison):
    (suite,) = ET.fromstring(comparison_junit(comparison).encode())
    return suite


def test_every_row_is_a_test_named_by_case_and_metric():
    of = case(OWN, "decode", 64)
    (test,) = suite_of(compared([row(of)])).iter("testcase")
    assert test.get("classname") == f"{OWN}.decode"
    assert test.get("name") == f"{of.id} latency"


def test_regressions_fail_and_what_cannot_be_told_is_skipped_with_its_reason():
    of = cases(3)
    rows = [row(of[0], 1.2), row(of[1], None, reason="too few"), row(of[2], 0.8)]
    suite = suite_of(compared(rows))
    failed, skipped, fine = suite.iter("testcase")
    assert "+20 %" in failed.find("failure").get("message")
    assert skipped.find("skipped").get("message").endswith("cannot tell; too few")
    assert fine.find("failure") is None
    assert [suite.get(key) for key in ("tests", "failures", "errors", "skipped")] == [
        "3", "1", "0", "1",
    ]  # fmt: skip


def test_the_suite_says_the_verdict_of_all():
    properties = {p.get("name"): p.get("value") for p in suite_of(typical()).iter("property")}
    assert properties["verdict"] == "regression"
    assert properties["margin"] == "0.03"


def test_versions_that_cannot_be_compared_are_one_test_in_error():
    suite = suite_of(compared([row(ratio=1.2)], verdict=Gate.INCOMPARABLE, reasons=("no GPU",)))
    (test,) = suite.iter("testcase")
    assert test.find("error").get("message") == "no GPU"
    assert (suite.get("errors"), suite.get("failures")) == ("1", "0")


@given(st.text(st.characters(exclude_categories=[]), max_size=30))
def test_no_text_breaks_the_xml(text):
    comparison = compared([row(case(text), 1.2, reason=text), row(ratio=None, reason=text)],
                          base=text, reasons=(text,))  # fmt: skip
    assert suite_of(comparison).get("tests") == "2"


# ------------------------------------------------------------------------------- annotations


def test_a_regression_is_an_error_and_the_verdict_a_notice():
    error, notice = annotations(compared([row(ratio=1.2)], reasons=("a: 5 %, b",)))
    assert error.startswith("::error title=lmn-bench%3A slower%3A lmn prefill 64::latency of lmn ")
    assert notice == ("::notice title=lmn-bench%3A regression::regression: 1 of 1 comparison "
                      "regressed; a: 5 %25, b")  # fmt: skip


def test_at_most_ten_errors_of_which_the_last_counts_the_rest():
    rows = [row(of, 1.2) for of in cases(34)]
    errors = [line for line in annotations(compared(rows)) if line.startswith("::error")]
    assert len(errors) == 10
    assert errors[-1].endswith("::25 more regressions are not shown here.")


def test_ten_errors_need_no_count():
    errors = [line for line in annotations(compared([row(of, 1.2) for of in cases(10)]))
              if line.startswith("::error")]  # fmt: skip
    assert len(errors) == 10
    assert "more" not in errors[-1]


@pytest.mark.parametrize(
    ("gate", "level"),
    [(Gate.PASS, "notice"), (Gate.INCONCLUSIVE, "warning"), (Gate.INCOMPARABLE, "error")],
)
def test_the_verdict_decides_the_level(gate, level):
    (line,) = annotations(compared([row()], verdict=gate, reasons=("why",)))
    assert line.startswith(f"::{level} title=lmn-bench%3A {gate}::{gate}: ")
    assert line.endswith("why")


def test_data_cannot_add_a_command_or_a_property():
    for line in annotations(EVERY_NASTY):
        assert "\n" not in line
        assert "\r" not in line
        properties = line.split("::")[1].split(" ", 1)[1]
        assert not {",", ":"} & set(properties)
        assert line.encode()


def test_counters_and_a_large_comparison_are_told_too():
    assert "from 1,000 to 1,001 (+1)" in annotations(compared([counter()]))[0]
    assert len(annotations(large(200))) <= 11
