"""The charts of an answer about hardware."""

from __future__ import annotations

import pytest
from sizing_helpers import MIB, asked, evidence, question

from lmn_bench.report.sized.figures import latency_chart, memory_chart
from lmn_bench.sizing.answer import answer


def charts(length=3000, mode="decode", **limits):
    """Of memory, then of time."""
    case = asked(length=length, mode=mode)
    told = answer(question(case, **limits), evidence(case))
    return memory_chart(told), latency_chart(told)


def lines_of(chart):
    """The lines without a colour of their own: name -> lengths and values."""
    found = {}
    for point in chart.panels[0].bounds:
        found.setdefault(point.series, []).append((point.length, point.value))
    return found


def test_the_limit_is_told_of_only_where_there_is_one():
    memory, latency = charts(memory_bytes=512 * MIB)
    assert "grey across is the limit" in memory.reading
    assert lines_of(memory)["limit 512 MiB"][0][1] == 512 * MIB
    assert "limit" not in latency.reading
    assert "limit" not in "".join(lines_of(latency))


@pytest.mark.parametrize(("mode", "word"), [("decode", "context"), ("prefill", "length")])
def test_what_was_asked_about_is_marked_and_no_axis_grows_by_it(mode, word):
    for chart in charts(mode=mode):
        (panel,) = chart.panels
        (line,) = lines_of(chart).values()
        laws = [law.value for law in panel.laws]
        assert [length for length, _ in line] == [3000, 3000]
        assert line[0][1] <= min(laws) < max(laws) <= line[1][1]
        assert {value for _, value in line} <= {*laws, *(p.value for p in panel.points)}
        assert f"grey upright is the {word} asked about" in chart.reading
