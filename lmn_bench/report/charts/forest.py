"""A row per case: the change with its interval, the margin shaded, a line at no change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from lmn_bench.report.chart import Chart, Effect, Panel
from lmn_bench.report.charts import theme
from lmn_bench.report.charts.scales import change_ticks

_ROW = 17
_WIDTH = 400
_LABEL = 240
# An interval is followed up to this many times as far as the farthest point; then it is cut.
_REACH = 2.0
# The margin takes at most this share of half the axis, so that it is seen as a band.
_LEAST = 1.6
_AIR = 0.06
_NARROWEST = math.log(1.01)
# Of marks per verdict, in the order of the palette: no two verdicts share one.
_SHAPES = {1: "diamond", 2: "square", 3: "cross", 4: "triangle-up", 5: "triangle-left",
           6: "triangle-down", 7: "circle"}  # fmt: skip
# Vega writes numbers with a true minus sign; so does nothing else here.
_LABEL_WORDS = (
    "(datum.value > 1.00001 ? '+' : '') + "
    "replace(format((datum.value - 1) * 100, ',.3~r'), '\\u2212', '-') + ' %'"
)


def forest_specs(chart: Chart, *, interactive: bool) -> list[dict[str, Any]]:
    """One Vega-Lite specification per panel, all on the same axis of changes."""
    effects = [effect for panel in chart.panels for effect in panel.effects]
    low, high = _domain(effects, chart.band)
    definition = _definition(chart, (low, high), interactive=interactive)
    return [
        {
            **definition,
            "height": _ROW * len(panel.effects),
            "datasets": _datasets(panel, chart, (low, high)),
        }
        for panel in chart.panels
    ]


def _definition(chart: Chart, domain: tuple[float, float], *, interactive: bool) -> dict[str, Any]:
    ticks = alt.Axis(title=chart.x_title, values=change_ticks(*domain), labelExpr=_LABEL_WORDS,
                     grid=True)  # fmt: skip
    scale = alt.Scale(type="log", domain=list(domain), nice=False)
    x = alt.X("x:Q", scale=scale, axis=ticks)
    rows = alt.Axis(title=None, grid=True, domain=False, ticks=False, labelOverlap=False)
    if not interactive:
        # The page sets a limit of its own, by its width.
        rows.labelLimit = _LABEL
    y = alt.Y("c:N", sort=None, axis=rows)
    kinds = [one.name for one in chart.series]
    colours = alt.Scale(domain=kinds, range=[theme.colour(one.place) for one in chart.series])
    shapes = alt.Scale(domain=kinds, range=[_SHAPES[one.place] for one in chart.series])
    legend = alt.Legend(title=None, orient="top" if interactive else "bottom",
                        direction="horizontal", symbolOpacity=1)  # fmt: skip
    colour = alt.Color("s:N", scale=colours, legend=legend)
    tips = [alt.Tooltip("c:N", title="case"), alt.Tooltip("t:N", title="change"),
            alt.Tooltip("i:N", title="95 % interval"), alt.Tooltip("v:N", title="base → new"),
            alt.Tooltip("s:N", title="verdict")]  # fmt: skip
    band = alt.Chart(alt.NamedData("band"))
    data = alt.Chart(alt.NamedData("effects"))
    layers = [
        band.mark_rect(color=theme.SOFT_INK, opacity=0.13).encode(
            alt.X("lo:Q", scale=scale, axis=ticks), alt.X2("hi:Q")
        ),
        band.mark_rule(color=theme.SOFT_INK, strokeWidth=1.2).encode(
            alt.X("none:Q", scale=scale, axis=ticks)
        ),
        data.mark_rule(clip=True, strokeWidth=1.7).encode(
            alt.X("lo:Q", scale=scale, axis=ticks), alt.X2("hi:Q"), y, colour, tooltip=tips
        ),
        data.mark_point(filled=True, opacity=1, clip=True).encode(
            x,
            y,
            colour,
            alt.Shape("s:N", scale=shapes, legend=legend),
            tooltip=tips,
            # What makes the gate red is seen first.
            size=alt.when("datum.s == 'regression'").then(alt.value(150)).otherwise(alt.value(60)),
        ),
    ]
    layered = alt.layer(*layers).properties(width=_WIDTH)
    found: dict[str, Any] = layered.to_dict(validate=False)
    return found


def _datasets(panel: Panel, chart: Chart, domain: tuple[float, float]) -> dict[str, Any]:
    band = {"lo": max(1 / (1 + chart.band), domain[0]), "hi": 1 + chart.band, "none": 1}
    return {
        "band": [band],
        "effects": [
            {"c": one.name, "s": one.series, "x": _short(one.ratio), "lo": _short(low),
             "hi": _short(high), "t": one.change, "i": one.interval, "v": one.values}
            for one in panel.effects
            for low, high in [_ends(one, domain)]
        ],
        # Panels share their definition in a page, which gives each its own height.
        "size": [{"height": _ROW * len(panel.effects)}],
        # The page makes columns of the legend as wide as the longest.
        "names": [{"s": one.name} for one in chart.series],
    }  # fmt: skip


def _ends(effect: Effect, domain: tuple[float, float]) -> tuple[float, float]:
    """An interval within the axis; one without is the point itself."""
    low = effect.ratio if effect.low is None else effect.low
    high = effect.ratio if effect.high is None else effect.high
    return max(low, domain[0]), min(high, domain[1])


def _domain(effects: Sequence[Effect], margin: float) -> tuple[float, float]:
    """An axis that holds every point, the margin, and intervals that don't outgrow them."""
    points = [math.log(effect.ratio) for effect in effects]
    least = max(math.log1p(margin) * _LEAST, _NARROWEST)
    far = _REACH * max(least, *(abs(point) for point in points))
    ends = [math.log(end) for one in effects for end in (one.low, one.high) if end]
    near = [min(max(end, -far), far) for end in ends]
    low, high = min(*points, *near, -least), max(*points, *near, least)
    air = _AIR * (high - low)
    return math.exp(low - air), math.exp(high + air)


def _short(value: float) -> float:
    return float(f"{value:.6g}")
