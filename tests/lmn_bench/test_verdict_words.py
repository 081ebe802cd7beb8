"""One closed set of verdicts on rows, in the same words wherever a comparison is seen."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from compared_helpers import cases, compared, counter, mended, row
from rich.console import Console
from test_html import Page

from lmn_bench.analysis.comparison import OUTCOME, Row, Verdict
from lmn_bench.report.compared.annotations import annotations
from lmn_bench.report.compared.data import comparison_csv, comparison_json
from lmn_bench.report.compared.document import comparison_document
from lmn_bench.report.compared.junit import comparison_junit
from lmn_bench.report.compared.markdown import comparison_markdown
from lmn_bench.report.compared.page import comparison_page
from lmn_bench.report.compared.words import row_words, verdict_words
from lmn_bench.report.text import render_document
from lmn_bench.schema import Outcome

WORDS = {verdict.value for verdict in Verdict}
README = Path(__file__).parents[2] / "README.md"


def one_of_each():
    """A row for every verdict, of cases of their own."""
    of = iter(cases(len(Verdict)))
    return [
        row(next(of), 0.8),
        row(next(of), 1.2),
        counter(next(of), 1000, 900),
        counter(next(of), 1000, 1100),
        counter(next(of), 1000, 1100, verdict=Verdict.MORE_ALLOWED, regression=False, allowed=0.2),
        row(next(of), 1.0),
        row(next(of), 0.97, 0.05, verdict=Verdict.NOT_WORSE, reason="open"),
        row(next(of), None, reason="too few processes"),
        Row(next(of), OUTCOME, Verdict.BROKEN, regression=True, new_outcome=Outcome.ERROR),
        mended(next(of)),
    ]


EVERY = compared(one_of_each())


def in_terminal():
    console = Console(width=80, file=io.StringIO(), color_system=None)
    console.print(render_document(comparison_document(EVERY, everything=True), console))
    return console.file.getvalue()


def in_tables():
    document = comparison_document(EVERY, everything=True)
    tables = [t for section in document.sections for t in section.tables if "verdict" in t.columns]
    cells = [cells[t.columns.index("verdict")] for t in tables for cells in t.rows]
    return [cell.partition(" ")[2] for cell in cells]


def in_markdown():
    rows = [line for line in comparison_markdown(EVERY).splitlines() if line.startswith("| ")]
    cells = [re.split(r"(?<!\\)\|", line)[7].strip() for line in rows[1:] if ":--" not in line]
    return [cell.partition(" ")[2].partition(":")[0] for cell in cells if cell != "verdict"]


def in_page():
    return Page(comparison_page(EVERY)).text


def in_junit():
    tests = ET.fromstring(comparison_junit(EVERY).encode()).iter("testcase")
    said = [
        next(text for text in (found.get("message"), found.text) if text)
        for test in tests for found in test
    ]  # fmt: skip
    return [told_of(text) for text in said]


def told_of(text):
    """The verdict in a sentence on a row: the longest that follows its name."""
    after = text.partition(": ")[2]
    return max((word for word in WORDS if after.startswith(word)), key=len, default=after)


@pytest.mark.parametrize(
    "seen",
    [in_tables, in_markdown, in_junit,
     lambda: [one["verdict"] for one in comparison_json(EVERY, 1)["cases"]],
     lambda: [one["verdict"] for one in csv.DictReader(io.StringIO(comparison_csv(EVERY)))],
     lambda: [told_of(row_words(one, {one.case: "x"})) for one in EVERY.rows]],
    ids=["tables", "markdown", "junit", "json", "csv", "sentences"],
)  # fmt: skip
def test_every_format_has_each_verdict_once_in_its_own_words(seen):
    assert Counter(seen()) == Counter(verdict.value for verdict in EVERY_VERDICT)


EVERY_VERDICT = [one.verdict for one in EVERY.rows]


def test_there_is_a_row_for_every_verdict():
    assert Counter(EVERY_VERDICT) == Counter(Verdict)


@pytest.mark.parametrize("seen", [in_terminal, in_page], ids=["terminal", "page"])
def test_what_people_read_has_every_verdict_behind_its_sign(seen):
    text = " ".join(seen().split())
    assert [one for one in EVERY.rows if verdict_words(one) not in text] == []


def test_annotations_name_the_verdict_of_what_is_red():
    errors = [line for line in annotations(EVERY) if line.startswith("::error")]
    assert {re.findall("lmn-bench%3A ([a-z ]+)%3A", line)[0] for line in errors} == {
        one.verdict.value for one in EVERY.rows if one.regression
    }


def test_the_forest_plot_is_told_in_verdicts():
    (chart,) = comparison_document(EVERY).charts
    told = {
        effect.change.partition("(")[2].rstrip(")") for p in chart.panels for effect in p.effects
    }
    assert told == {one.verdict.value for one in EVERY.rows if one.ratio and not one.exact}
    for series in chart.series:
        plain = series.name.removesuffix(" (regression)").removesuffix(", not gated")
        assert set(plain.split(", ")) <= WORDS


def test_the_readme_lists_the_same_verdicts():
    (said,) = re.findall(r"`verdict` \(times: (.*?)\) and", README.read_text(), flags=re.DOTALL)
    assert set(re.findall("`([^`]+)`", said)) - {OUTCOME} == WORDS
