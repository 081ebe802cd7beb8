"""The forest plot and the page of a comparison."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
from bench_helpers import case
from compared_helpers import NASTY, OWN, broken, cases, compared, counter, large, row, typical
from hypothesis import given
from hypothesis import strategies as st
from test_charts import texts
from test_html import Page, downloaded
from test_html_browser import CHROMIUM, opened

from lmn_bench.report.charts.forest import _SHAPES
from lmn_bench.report.charts.scales import change_ticks
from lmn_bench.report.compared.data import comparison_json
from lmn_bench.report.compared.document import comparison_document
from lmn_bench.report.compared.figure import _PLACES, MOST_ROWS
from lmn_bench.report.compared.page import comparison_page
from lmn_bench.report.vega import picture

# What a page can be written with: no half of a character.
PRINTABLE = NASTY.replace("\ud800", "")


def chart(comparison):
    (found,) = comparison_document(comparison).charts
    return found


def plotted(comparison):
    """The data of each panel as the page has them."""
    page = Page(comparison_page(comparison))
    return [panel["datasets"] for panel in page.charts["changes"]]


@given(st.floats(0.01, 1), st.floats(1, 100))
def test_ticks_are_few_inside_and_mark_no_change(low, high):
    ticks = change_ticks(low, high)
    assert 1.0 in ticks
    assert len(ticks) <= 10
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)


def test_a_row_is_a_point_with_its_interval_and_verdict():
    ((panel,), of) = plotted(compared([row(ratio=1.2)])), case()
    (point,) = panel["effects"]
    assert (point["x"], point["lo"], point["hi"]) == (1.2, 1.188, 1.212)
    assert (point["s"], point["t"]) == ("slower (regression)", "+20 % (slower)")
    assert point["c"] == f"{of.subject} {of.mode} {of.length}"


def test_the_margin_is_a_band_around_no_change():
    (panel,) = plotted(compared([row()]))
    assert panel["band"] == [{"lo": pytest.approx(1 / 1.03), "hi": 1.03, "none": 1}]


def test_the_worst_stands_on_top_also_where_more_is_better():
    of = cases(3)
    for key, order in (("latency_s", [1.3, 1.0, 0.7]), ("tokens_per_s", [0.7, 1.0, 1.3])):
        rows = [row(one, ratio, metric=key) for one, ratio in zip(of, (1.0, 0.7, 1.3), strict=True)]
        (panel,) = chart(compared(rows)).panels
        assert [effect.ratio for effect in panel.effects] == order


def test_each_metric_has_a_panel_that_says_which_way_is_better():
    panels = chart(compared([row(), row(metric="tokens_per_s")])).panels
    assert [panel.title for panel in panels] == [
        "latency (less is better)", "throughput (more is better)",
    ]  # fmt: skip


def test_rows_that_are_left_out_are_counted_and_the_least_changed():
    comparison = large(100, ("latency_s",))
    found = chart(comparison)
    (panel,) = found.panels
    assert len(panel.effects) == MOST_ROWS
    assert "40 rows with the smallest changes are left out" in found.reading
    drawn = [abs(math.log(effect.ratio)) for effect in panel.effects
             if effect.series != "slower (regression)"]  # fmt: skip
    every = sorted((abs(math.log(one.ratio)) for one in comparison.rows if not one.regression),
                   reverse=True)  # fmt: skip
    assert sorted(drawn, reverse=True) == every[: len(drawn)]


def test_rows_without_a_ratio_are_counted_not_drawn():
    of = cases(3)
    infinite = dataclasses.replace(row(of[1]), ratio=math.inf, low=None, high=None)
    found = chart(compared([row(of[0]), infinite, row(of[2], None)]))
    assert len(found.panels[0].effects) == 1
    assert "2 rows without a ratio are not drawn" in found.reading


def test_a_point_without_an_interval_is_drawn_alone():
    (panel,) = plotted(compared([row(ratio=1.2, low=None, high=None)]))
    (point,) = panel["effects"]
    assert point["lo"] == point["x"] == point["hi"]


def test_a_wild_interval_does_not_squash_the_rest():
    wild = row(ratio=1.02, low=1e-6, high=1e6)
    (panel,) = plotted(compared([wild]))
    (point,) = panel["effects"]
    assert 0.8 < point["lo"] < point["hi"] < 1.25


@pytest.mark.parametrize("margin", [0.0, 0.03, 2.0])
def test_every_margin_can_be_drawn(margin):
    assert picture(chart(compared([row()], margin=margin)), "svg")


def test_no_measured_row_means_no_chart():
    for rows in ([], [counter()], [broken()]):
        assert comparison_document(compared(rows)).charts == ()


def test_verdicts_differ_in_colour_and_in_shape():
    assert len(set(_PLACES.values())) == len(_PLACES)
    assert len({_SHAPES[place] for place in _PLACES.values()}) == len(_PLACES)


def test_a_picture_names_cases_changes_and_verdicts():
    words = set(texts(picture(chart(typical()), "svg")))
    assert {"lmn prefill 64", "+10 %", "0 %", "slower (regression)", "faster", "same"} <= words


def test_a_picture_can_be_a_png():
    assert picture(chart(large(8)), "png").startswith(b"\x89PNG")


# ------------------------------------------------------------------------------- page


@pytest.mark.parametrize(
    "comparison",
    [compared(), compared([row()]), large(200), compared([counter()]), compared([broken()]),
     compared([row(case(OWN))])],
    ids=["nothing", "one", "large", "counters", "outcomes", "own"],
)  # fmt: skip
def test_every_kind_of_comparison_has_a_page(comparison):
    page = Page(comparison_page(comparison))
    assert page.open == []
    for answer in comparison_document(comparison).answers:
        assert answer in page.text


def test_the_page_holds_the_data():
    comparison = typical()
    page = Page(comparison_page(comparison, 1))
    assert json.loads(downloaded(page, ".json")) == comparison_json(comparison, 1)
    assert len(downloaded(page, ".csv").splitlines()) == 1 + 38 + 12


def test_unchanged_rows_are_folded_in_the_page():
    text = comparison_page(typical())
    assert "<details><summary>Show unchanged</summary>" in text


def test_data_never_become_markup():
    nasty = row(case(PRINTABLE), None, reason=PRINTABLE)
    comparison = compared([nasty, row(case("gru"))], base=PRINTABLE, new=PRINTABLE,
                          reasons=(PRINTABLE,), notes=(PRINTABLE,))  # fmt: skip
    page = Page(comparison_page(comparison))
    assert len(page.scripts) == 3
    assert page.open == []


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_a_browser_draws_every_panel_without_a_word_on_the_console(tmp_path):
    path = tmp_path / "comparison.html"
    path.write_text(comparison_page(large(20)))
    dom, complaints = opened(path, tmp_path / "profile", "--window-size=400,900")
    assert complaints == []
    assert 'data-drawn="4"' in dom
