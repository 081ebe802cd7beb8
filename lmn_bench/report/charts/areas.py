"""Values over time, stacked, with a line at their peak."""

from __future__ import annotations

from typing import Any

import altair as alt

from lmn_bench.report.chart import Chart
from lmn_bench.report.charts import theme
from lmn_bench.report.charts.axes import label_expression
from lmn_bench.report.charts.rows import words
from lmn_bench.report.charts.scales import binary_step

HEIGHT = 260
# Room above the highest value for the words at the peak.
_HEAD = 1.12


def area_specs(chart: Chart, *, interactive: bool) -> list[dict[str, Any]]:
    """One Vega-Lite specification per panel."""
    names = [one.name for one in chart.series]
    colours = [theme.colour(one.place) for one in chart.series]
    legend = alt.Legend(title=None, orient="bottom") if len(names) > 1 else None
    scale = alt.Scale(domain=names, range=colours)
    specs = []
    for panel in chart.panels:
        tops: dict[float, float] = {}
        for one in panel.moments:
            tops[one.seconds] = tops.get(one.seconds, 0.0) + one.value
        top = max(max(tops.values()), 1.0) * _HEAD
        step = binary_step(top)
        ticks = [step * k for k in range(int(top // step) + 1)]
        x = alt.X(
            "t:Q",
            scale=alt.Scale(domain=[0, max(*tops, 1e-9)], nice=False),
            axis=alt.Axis(
                title=chart.x_title, labelExpr=label_expression("s"), tickCount=6, grid=False
            ),
        )
        y = alt.Y(
            "y:Q",
            stack=True,
            scale=alt.Scale(domain=[0, top], nice=False),
            axis=alt.Axis(
                title=chart.y_title, values=ticks, labelExpr=label_expression(chart.unit)
            ),
        )
        # A part's memory stays as it is until the next moment.
        areas = (
            alt.Chart(alt.NamedData("moments"))
            .mark_area(interpolate="step-after", opacity=0.85)
            .encode(
                x,
                y,
                alt.Color("s:N", scale=scale, legend=legend),
                alt.Order("o:Q"),
                tooltip=[
                    alt.Tooltip("s:N", title="part"),
                    alt.Tooltip("w:N", title="bytes"),
                    alt.Tooltip("i:N", title="at"),
                ],
            )
        )
        peak = alt.Chart(alt.NamedData("peak"))
        line = peak.mark_rule(color=theme.INK, strokeDash=[4, 3]).encode(x="t:Q")
        label = peak.mark_text(
            align=alt.expr("datum.a"),
            dx=alt.expr("datum.a == 'left' ? 4 : -4"),
            baseline="top",
            color=theme.INK,
            fontSize=12,
        ).encode(x="t:Q", y=alt.value(0), text="w:N")
        whole = alt.layer(areas, line, label).properties(width=560, height=HEIGHT)
        spec: dict[str, Any] = whole.to_dict(validate=False)
        order = {name: place for place, name in enumerate(names)}
        specs.append(
            {
                **spec,
                "datasets": {
                    "moments": [
                        {
                            "t": one.seconds,
                            "s": one.series,
                            "y": one.value,
                            "o": order[one.series],
                            "w": words(one.value, chart.unit),
                            "i": words(one.seconds, "s"),
                        }
                        for one in panel.moments
                    ],
                    "peak": [
                        {
                            "t": one.seconds,
                            "w": f"peak {words(one.value, chart.unit)}",
                            "a": "left" if one.seconds < max(tops) / 2 else "right",
                        }
                        for one in ([panel.peak] if panel.peak else [])
                    ],
                },
            }
        )
    return specs
