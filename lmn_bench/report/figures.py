"""The charts of a mode: which there are, and their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lmn.tree import slot_count
from lmn_bench.analysis.achieved import Achieved, achieved
from lmn_bench.analysis.scaling import Scaling
from lmn_bench.analysis.sentences import growth_words
from lmn_bench.disturbance import ENOUGH
from lmn_bench.metrics import METRICS
from lmn_bench.report.chart import Chart, LawPoint, Panel, Point
from lmn_bench.report.figures_memory import memory_chart
from lmn_bench.report.sources import Source, points_of, series_of, stops_of
from lmn_bench.report.words import setting_title
from lmn_bench.subjects.names import LMN_FAMILY
from lmn_bench.units import format_value

_EXPANDER = "lmn-expander"
_LAW_READING = "the dashed line and its band are the best law that fits and its 95% interval"
_FLAT_READING = "a flat line is constant, one that doubles when the length doubles grows with n"


def mode_charts(sources: Sequence[Source], key: str, *, with_state: bool) -> tuple[Chart, ...]:
    """The charts of one setting, of one run or of several.

    Args:
        sources: the setting in each run that has it.
        key: what the charts' own keys begin with.
        with_state: whether state and slots are told here.
    """
    memory = memory_chart(sources, key)
    lengths = {n for s in sources for n in s.findings.results.lengths(s.setting)}
    if len(lengths) < 2:
        # One length makes no line: the tables say it better.
        return () if memory is None else (memory,)
    found = [latency_chart(sources, key)]
    if sources[0].setting.mode != "decode":
        found.append(metric_chart(sources, key, "working_memory_bytes", "Working memory"))
    found.append(memory)
    if with_state:
        found.append(metric_chart(sources, key, "state_bytes", "State kept per sequence"))
        found.append(slots_chart(sources, key))
    found += [metric_chart(sources, key, "tokens_per_s", "Throughput"), *rate_charts(sources, key)]
    return tuple(chart for chart in found if chart is not None)


def latency_chart(sources: Sequence[Source], key: str) -> Chart | None:
    """Time against length, with laws and failures; in decode beside it the worst step."""
    decode = sources[0].setting.mode == "decode"
    laws = tuple(law for source in sources for law in _laws(source))
    mean = Panel("mean step" if decode else "", points_of(sources, "latency_s"), laws,
                 stops=stops_of(sources))  # fmt: skip
    panels = [mean]
    worst = points_of(sources, "latency_worst_s")
    if decode and worst:
        panels.append(Panel("worst step at that context", worst))
    title = "Time per decoded token" if decode else METRICS["latency_s"].title.capitalize()
    reading = (
        f"Lower is faster; {_FLAT_READING}; marks are medians over processes with their "
        f"intervals, {_LAW_READING}, × marks a length that did not finish."
    )
    return _lines(sources, f"{key}-latency", title, reading, "s", panels)


def metric_chart(sources: Sequence[Source], key: str, metric: str, title: str) -> Chart | None:
    """One metric against length."""
    about = METRICS[metric]
    better = {"lower": "Lower is better", "higher": "Higher is better"}.get(about.better, "")
    reading = f"{better}: {about.meaning}; {_FLAT_READING}."
    panel = Panel("", points_of(sources, metric))
    return _lines(sources, f"{key}-{metric}", title, reading, about.unit, [panel])


def slots_chart(sources: Sequence[Source], key: str) -> Chart | None:
    """Vectors that a token attends to, against the bound of the tree."""
    points = points_of(sources, "slots")
    bounds = tuple(_bounds(sources))
    reading = (
        "Vectors that the last token attends to; dashed is the most that a tree may have, "
        "1 + K(L + vL(L + 1)/2) with L = floor(log2 n): marks of an LMN lie on it or below."
    )
    panel = Panel("", points, bounds=bounds)
    title = "Slots against their bound" if bounds else "Slots"
    return _lines(sources, f"{key}-slots", title, reading, "", [panel])


def rate_charts(sources: Sequence[Source], key: str) -> Iterator[Chart | None]:
    """FLOP/s and bytes/s, as shares of the machine's ceiling where that is known."""
    known = all(source.ceiling is not None for source in sources)
    found = [
        (name, result.case.length, rates)
        for source in sources
        for name, result in source.cases()
        if (rates := achieved(result, source.ceiling)) is not None
    ]
    for title, unit, rate, share in (
        ("matrix products", "FLOP/s", "flops_per_s", "matrix_share"),
        ("memory traffic", "B/s", "bytes_per_s", "copy_share"),
    ):
        points = [
            _rate_point(name, length, rates, share if known else rate, rate, unit)
            for name, length, rates in found
        ]
        panel = Panel("", tuple(one for one in points if one is not None))
        what = f"{title.capitalize()}, share of the ceiling" if known else f"{title} achieved"
        reading = (
            "Higher is nearer to what this machine was seen to do at best (100%)."
            if known
            else "Higher uses the machine better; its ceiling was not measured in this run."
        )
        yield _lines(sources, f"{key}-{rate}", what.capitalize(), reading,
                     "share" if known else unit, [panel])  # fmt: skip


def _rate_point(
    name: str, length: int, rates: Achieved, field: str, rate: str, unit: str
) -> Point | None:
    value: float | None = getattr(rates, field)
    if not value:
        return None
    return Point(name, length, value, hint=format_value(getattr(rates, rate), unit))


def _laws(source: Source) -> Iterator[LawPoint]:
    for subject in source.subjects:
        found = source.findings.scaling(source.setting, subject)
        if found is None or not found.plausible or found.processes < ENOUGH:
            continue
        yield from _curve(source.name(subject), found)


def _curve(name: str, found: Scaling) -> Iterator[LawPoint]:
    law = f"{found.plausible[0]} (left: {growth_words(found)})"
    for one in found.curve:
        yield LawPoint(name, one.length, one.value.estimate, one.value.low, one.value.high, law)


def _bounds(sources: Sequence[Source]) -> Iterator[LawPoint]:
    """The bound of every tree that the LMNs of these settings may have."""
    own = [s for s in sources if not LMN_FAMILY.isdisjoint(s.subjects)]
    trees = {
        (source.setting.model.banks, v)
        for source in own
        for v in (0, source.setting.model.expansion)
        if v == 0 or _EXPANDER in source.subjects
    }
    lengths = sorted({n for source in own for n in source.findings.results.lengths(source.setting)})
    for banks, v in sorted(trees):
        for n in lengths:
            most = float(slot_count(n, banks, v))
            yield LawPoint(f"bound, K = {banks}, v = {v}", n, most, None, None, "bound")


def _lines(
    sources: Sequence[Source], key: str, title: str, reading: str, unit: str,
    panels: Sequence[Panel],
) -> Chart | None:  # fmt: skip
    if not any(panel.points for panel in panels):
        return None
    shown = {one.series for panel in panels for one in panel.points}
    shown |= {one.series for panel in panels for one in panel.stops}
    setting = sources[0].setting
    return Chart(
        key=key,
        title=f"{title} · {setting_title(setting)}",
        reading=reading,
        kind="lines",
        x_title="context (tokens)" if setting.mode == "decode" else "length (tokens)",
        y_title=title,
        unit=unit,
        series=tuple(one for one in series_of(sources) if one.name in shown),
        panels=tuple(panels),
    )
