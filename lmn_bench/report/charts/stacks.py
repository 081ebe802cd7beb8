"""Parts of a whole per length, a panel per subject."""

from __future__ import annotations

from typing import Any

import altair as alt

from lmn_bench.report.chart import Chart
from lmn_bench.report.charts import theme
from lmn_bench.report.charts.axes import label_expression
from lmn_bench.report.charts.rows import words
from lmn_bench.report.charts.scales import binary_step

HEIGHT = 170


def stack_specs(chart: Chart, *, interactive: bool) -> list[dict[str, Any]]:
    """One Vega-Lite specification per panel, all to the same height of axis."""
    parts = [one.name for one in chart.series]
    colours = [theme.PART_COLOURS[one.place][0] for one in chart.series]
    tops: dict[tuple[str, int], float] = {}
    for panel in chart.panels:
        for p in panel.points:
            key = (panel.title, p.length)
            tops[key] = tops.get(key, 0.0) + p.value
    step = binary_step(max(tops.values()))
    count = int(max(tops.values()) // step) + 1
    lengths = sorted({p.length for panel in chart.panels for p in panel.points})
    across = alt.Axis(title=chart.x_title, labelExpr="format(datum.value, ',d')")
    x = alt.X("n:O", scale=alt.Scale(domain=lengths, paddingInner=0.15), axis=across)
    y = alt.Y("y:Q", stack=True, scale=alt.Scale(domain=[0, step * count], nice=False),
              axis=alt.Axis(title=None, values=[step * k for k in range(count + 1)],
                            labelExpr=label_expression(chart.unit)))  # fmt: skip
    legend = None if interactive else alt.Legend(title=None, orient="bottom")
    scale = alt.Scale(domain=parts, range=colours)
    opacity: Any = alt.value(1)
    if interactive:
        picked = alt.when("part == '' || datum.s == part")
        opacity = picked.then(alt.value(1)).otherwise(alt.value(0.15))
    tips = [alt.Tooltip("s:N", title="part"), alt.Tooltip("n:O", title="tokens"),
            alt.Tooltip("t:N", title="size"), alt.Tooltip("i:N", title="share")]  # fmt: skip
    bars = (
        alt.Chart(alt.NamedData("points"))
        .mark_bar(stroke=theme.PAGE, strokeWidth=0.5)
        .encode(
            x, y, alt.Color("s:N", scale=scale, legend=legend), alt.Order("o:Q"),
            opacity=opacity, tooltip=tips,
        )
        .properties(width=240, height=HEIGHT)
    )  # fmt: skip
    if interactive:
        bars = bars.add_params(alt.param(name="part", value=""))
    spec: dict[str, Any] = bars.to_dict(validate=False)
    order = {name: place for place, name in enumerate(parts)}
    return [
        {**spec, "datasets": {"points": [
            {"s": p.series, "n": p.length, "y": round(p.value), "o": order[p.series],
             "t": words(p.value, chart.unit), "i": p.hint}
            for p in panel.points
        ]}}
        for panel in chart.panels
    ]  # fmt: skip
