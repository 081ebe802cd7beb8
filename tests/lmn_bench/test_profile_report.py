"""A profile as people see it."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest
from bench_helpers import case, environment
from profile_helpers import LINES, seen
from rich.console import Console

from lmn_bench.errors import ReportError
from lmn_bench.profiles import profile_of
from lmn_bench.report.profiled.document import profile_document
from lmn_bench.report.profiled.figure import flame_of, memory_chart, resident_chart
from lmn_bench.report.profiled.page import operators_csv, profile_markdown, profile_page
from lmn_bench.report.profiled.tree import render_profile


def profile(mode="prefill", subject="lmn", **changes):
    return profile_of(case(subject, mode, 4096), seen(**changes), environment(), "2026-01-01")


def rendered(found, width):
    console = Console(width=width, no_color=True, highlight=False)
    with console.capture() as captured:
        console.print(render_profile(found, console))
    return captured.get()


def test_what_the_parts_of_a_users_model_are_is_told_and_of_a_builtin_one_nothing():
    own = replace(profile(subject="mine:make"), depth=2)
    for text in (rendered(own, 200), profile_markdown(own)):
        assert "arts are modules down to level 2 (--depth)" in text
        assert '"(itself)" is what a module does outside of those below it' in text
    assert "--depth" not in rendered(profile(), 200) + profile_markdown(profile())


@pytest.mark.parametrize("width", [80, 140])
def test_the_tree_fits_its_terminal_and_names_parts_and_operators(width):
    text = rendered(profile(), width)
    assert max(map(len, text.splitlines())) <= width
    for word in ("project", "norm", "other: Python and dispatch", "addmm", "rms_norm", "51 %"):
        assert word in text
    assert ("FLOP/s" in text) == (width == 140)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
def test_names_give_way_in_a_narrow_terminal_and_numbers_never(width):
    uses = [[1, f"aten::{'long_' * 20}name", 12_345, 993e-6], [2, "aten::mm", 1, 2.84e-3]]
    changes = {"uses": uses, "site_s": [151e-6, 284e-6, 8.88e-3, 1e-3],
               "peak_bytes": [0, 14 * 2**20, 4 * 2**20, 0]}  # fmt: skip
    text = rendered(profile(**changes), width)
    assert max(map(len, text.splitlines())) <= width
    _, _, table = text.partition(" part, and its")
    lines = table.splitlines()
    (name,) = [line for line in lines if "long_" in line]
    assert "…" in name
    assert "993 µs" in name
    for whole in ("time", "profiled", "284 µs", "151 µs", "9.88 ms"):
        assert whole in table
    for title, least, cell in (("share", 48, "95.8 %"), ("calls", 66, "12,345"),
                               ("at peak", 66, "14.0 MiB"), ("rate", 100, "FLOP/s")):  # fmt: skip
        assert (title in lines[0]) == (cell in table) == (width >= least)


def test_the_tree_says_how_far_parts_are_from_the_whole():
    text = " ".join(rendered(profile(), 80).split())
    assert "takes 10.0 ms" in text
    assert "add up to 9.80 ms: ✓ -2.0 %" in text
    assert "✗ -18 %" in " ".join(rendered(profile(latency_s=12e-3), 80).split())


def test_times_of_decode_are_those_of_a_token():
    text = rendered(profile("decode", per="token"), 140)
    assert "A token at a context of 4,096 takes" in text


def test_energy_is_told_or_why_not():
    assert "not available here: no counters" in rendered(profile(), 140)
    energy = {"joules_per_token": 2.5e-4, "reason": None, "source": "RAPL", "power_w": 12.0,
              "clock_hz": None, "throttle_reasons": []}  # fmt: skip
    assert "Energy: 250 µJ a token (RAPL), power 12.0 W" in rendered(profile(energy=energy), 140)


def test_bars_lie_in_bars_that_are_as_wide():
    def check(bars):
        assert sum(bar.share for bar in bars) <= 1 + 1e-9
        for bar in bars:
            check(bar.bars)

    flame = flame_of(profile())
    check(flame.bars)
    assert [bar.name for bar in flame.bars] == ["project", "norm", "other"]
    assert [bar.name for bar in flame.bars[0].bars] == ["_attend", "_project"]
    assert "addmm" in [bar.name for bar in flame.bars[0].bars[0].bars]


def test_the_chart_of_memory_marks_the_peak():
    chart = memory_chart(profile())
    (panel,) = chart.panels
    assert (panel.peak.seconds, panel.peak.value) == (2e-3, 8 * 2**20)
    at_peak = [one.value for one in panel.moments if one.seconds == 2e-3]
    assert sum(at_peak) == panel.peak.value


def test_without_memory_or_samples_there_are_no_charts_of_them():
    nothing = {"seconds": [0.0], "points": [[0, 0, 0, 0]], "peak_at": 0}
    found = profile(timeline=nothing, peak_bytes=[0] * 4, resident_timeline=[[0.0, 1.0]])
    assert memory_chart(found) is None
    assert resident_chart(found) is None


def test_many_parts_share_the_last_colour():
    names = [f"part {n}" for n in range(12)]
    sites = [[name, "f"] for name in names]
    found = profile(
        sites=sites, site_s=[1e-3] * 12, between_s=[0.0] * 12, uses=[], flops=[],
        peak_bytes=[2**20] * 12,
        timeline={"seconds": [0.0], "points": [[2**20] * 12], "peak_at": 0},
    )  # fmt: skip
    chart = memory_chart(found)
    assert [one.name for one in chart.series][-1] == "smaller parts"
    assert sum(one.value for one in chart.panels[0].moments) == 12 * 2**20


def page_of(found):
    pytest.importorskip("altair")
    try:
        return profile_page(found, {"json": "profile.json"})
    except ReportError as error:  # no drawing packages here
        pytest.skip(str(error))


def test_the_page_holds_the_flame_graph_the_charts_and_the_data():
    page = page_of(profile(subject="mine:<b>", lines=LINES))
    assert 'class="flame"' in page
    assert re.search(r'<li class="c0" style="width:51\.020%"><span title="project: 5\.00 ms', page)
    assert 'id="memory"' in page
    assert 'id="resident"' in page
    assert "mine:<b>" not in page
    assert html.escape("return <x>") in page
    assert "profile.json" in page


def test_markdown_has_every_part_and_line():
    text = profile_markdown(profile(lines=LINES))
    for word in ("project", "rms\\_norm", "Memory line by line", "Method"):
        assert word in text


def test_lines_are_told_without_what_the_first_one_would_claim():
    document = profile_document(profile(lines=LINES))
    (section,) = [one for one in document.sections if one.title == "Memory line by line"]
    rows = section.tables[0].rows
    assert rows[0][1] == ""
    assert rows[1][1] == "+1.00 MiB"


def test_the_csv_has_a_row_per_operator():
    rows = operators_csv(profile()).splitlines()
    assert rows[0].startswith("name,part,function,calls")
    assert len(rows) == 5
