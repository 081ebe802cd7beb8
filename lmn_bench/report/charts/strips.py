"""A row per series: at which lengths it finished, failed, or was not tried."""

from __future__ import annotations

from typing import Any

import altair as alt

from lmn_bench.report.chart import Chart
from lmn_bench.report.charts import theme
from lmn_bench.report.charts.axes import length_axis, length_values
from lmn_bench.report.charts.holes import fill
from lmn_bench.report.charts.scales import length_domain

_ROW = 26
_WIDTH = 330


def strip_specs(chart: Chart, *, interactive: bool) -> list[dict[str, Any]]:
    """One Vega-Lite specification per panel."""
    width = "width" if interactive else f"{_WIDTH}"
    names = [one.name for one in chart.series]
    lengths = [length for panel in chart.panels for length in panel.lengths]
    x = length_axis()
    y = alt.Y("s:N", scale=alt.Scale(domain=names),
              axis=alt.Axis(title=None, grid=True, labelLimit=130))  # fmt: skip
    range_ = [theme.colour(one.place) for one in chart.series]
    colour = alt.Color("s:N", scale=alt.Scale(domain=names, range=range_), legend=None)
    tips = [alt.Tooltip("s:N", title="model"), alt.Tooltip("n:Q", title="tokens", format=","),
            alt.Tooltip("t:N", title="outcome"), alt.Tooltip("i:N", title="reason")]  # fmt: skip
    base = alt.Chart(alt.NamedData("marks"))
    layers = [
        base.mark_point(filled=True, size=80).encode(x, y, colour, tooltip=tips)
        .transform_filter("datum.kind == 'ok'"),
        base.mark_point(size=16).encode(x, y, colour, tooltip=tips)
        .transform_filter("datum.kind == 'skipped'"),
        base.mark_text(text="✕", fontSize=15, fontWeight="bold").encode(x, y, colour, tooltip=tips)
        .transform_filter("datum.kind == 'failed'"),
        base.mark_text(dy=-11, fontSize=10, align=alt.ExprRef("datum.flip ? 'right' : 'left'"))
        .encode(x, y, colour, alt.Text("w:N")).transform_filter("datum.kind == 'failed'"),
    ]  # fmt: skip
    layered = alt.layer(*layers).properties(width=_WIDTH, height=_ROW * len(names))
    low, high = length_domain(lengths)
    spec = fill(layered.to_dict(validate=False), length_values(chart.x_title, (low, high), width))
    middle = (low * high) ** 0.5
    found = []
    for panel in chart.panels:
        rows: list[dict[str, Any]] = [
            {"s": p.series, "n": p.length, "kind": "ok", "t": p.hint, "i": ""} for p in panel.points
        ]
        told: set[tuple[str, str]] = set()
        for stop in panel.stops:
            kind = "failed" if stop.tried else "skipped"
            first = (stop.series, stop.word) not in told
            told.add((stop.series, stop.word))
            rows.append({"s": stop.series, "n": stop.length, "kind": kind, "t": stop.word,
                         "i": stop.reason, "w": stop.word if first else "",
                         "flip": stop.length > middle})  # fmt: skip
        found.append({**spec, "datasets": {"marks": rows}})
    return found
