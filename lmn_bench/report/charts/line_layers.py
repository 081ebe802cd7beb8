"""The layers of a chart of lines: medians, intervals, laws, bounds and failures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import altair as alt

from lmn_bench.report.charts import theme
from lmn_bench.report.charts.axes import length_axis, value_axis
from lmn_bench.report.charts.holes import hole, list_hole

# Of a plot in a picture; in a page a plot is as wide as its place.
WIDTH = 460
_FADED = 0.1


@dataclass(frozen=True)
class Shape:
    """What a chart of lines consists of; charts of one shape share their definition."""

    interactive: bool
    legend: bool
    several_runs: bool
    laws: bool
    bounds: bool
    stops: bool


@cache
def definition(shape: Shape) -> dict[str, Any]:
    """A chart of lines as Vega-Lite, with holes for names and axes."""
    channels = _Channels(shape)
    layers = _measured(channels)
    if shape.laws:
        layers = [*_laws(channels), *layers]
    if shape.bounds:
        layers += _bounds(channels)
    if shape.stops:
        layers += _stops(channels)
    chart = alt.layer(*layers).properties(width=WIDTH)
    if shape.interactive:
        chart = chart.add_params(alt.param(name="laws", value=True))
    found: dict[str, Any] = chart.to_dict(validate=False)
    return found


class _Channels:
    """Axes, colours and marks that the layers share."""

    def __init__(self, shape: Shape) -> None:
        self.interactive = shape.interactive
        self.x, self.y = length_axis(), value_axis("y")
        self.low, self.high = value_axis("lo"), alt.Y2("hi:Q")
        legend = (
            alt.Legend(title=None, orient="bottom", direction="horizontal", symbolOpacity=1)
            if shape.legend
            else None
        )
        names = list_hole("names")

        def scale(name: str) -> alt.Scale:
            return alt.Scale(domain=names, range=list_hole(name))

        self.colour = alt.Color("s:N", scale=scale("colours"), legend=legend)
        self.shape = alt.Shape("s:N", scale=scale("shapes"), legend=legend)
        # One dash for all needs no legend.
        dash = alt.StrokeDash("s:N", scale=scale("dashes"), legend=legend)
        self.dash = [dash] if shape.several_runs else []
        self.pick = alt.selection_point(name="pick", fields=["s"], bind="legend")
        self.tips = [
            alt.Tooltip("s:N", title="model"), alt.Tooltip("n:Q", title="tokens", format=","),
            alt.Tooltip("t:N", title=hole("y_title")),
        ]  # fmt: skip

    def seen(self, full: float, switch: str = "") -> Any:
        """Full unless another series is picked, or the switch is off."""
        if not self.interactive:
            return alt.value(full)
        shown = alt.value(alt.ExprRef(f"{switch} ? {full} : 0") if switch else full)
        faded = alt.value(0 if switch == "laws" else _FADED)
        return alt.when(self.pick).then(shown).otherwise(faded)


def _measured(to: _Channels) -> list[alt.Chart]:
    points = alt.Chart(alt.NamedData("points"))
    names = alt.Chart(alt.NamedData("names"))
    placed: dict[str, Any] = {"align": "left", "dx": 8, "fontSize": 11}
    tips = [*to.tips, alt.Tooltip("i:N", title=hole("hint"))]
    marks = points.mark_point(filled=True, size=46, clip=True).encode(
        to.x, to.y, to.colour, to.shape, opacity=to.seen(1), tooltip=tips
    )
    return [
        points.mark_line(clip=True, strokeWidth=1.2).encode(
            to.x, to.y, to.colour, *to.dash, opacity=to.seen(0.8)
        ),
        points.mark_rule(clip=True, strokeWidth=1.5).encode(
            to.x, to.low, to.high, to.colour, opacity=to.seen(0.75)
        ),
        marks.add_params(to.pick) if to.interactive else marks,
        # A rim in the colour of the page keeps names readable across lines.
        names.mark_text(**placed, stroke=theme.PAGE, strokeWidth=4).encode(
            to.x, to.y, alt.Text("s:N"), opacity=to.seen(0.9)
        ),
        names.mark_text(**placed).encode(
            to.x, to.y, to.colour, alt.Text("s:N"), opacity=to.seen(1)
        ),
    ]


def _laws(to: _Channels) -> list[alt.Chart]:
    laws = alt.Chart(alt.NamedData("laws"))
    tips = [*to.tips, alt.Tooltip("i:N", title="band"), alt.Tooltip("k:N", title="law")]
    return [
        laws.mark_area(clip=True).encode(
            to.x, to.low, to.high, to.colour, opacity=to.seen(0.13, "laws")
        ),
        laws.mark_line(clip=True, strokeDash=list(theme.LAW_DASH), strokeWidth=1.5).encode(
            to.x, to.y, to.colour, opacity=to.seen(0.9, "laws"), tooltip=tips
        ),
    ]


def _bounds(to: _Channels) -> list[alt.Chart]:
    """Dashed and without a colour of their own: a bound is no model."""
    bounds = alt.Chart(alt.NamedData("bounds"))
    grey = alt.ColorValue(theme.SOFT_INK)
    name = bounds.mark_text(align="right", dy=-11, fontSize=11).encode(
        to.x, to.y, alt.Text("s:N"), grey
    )
    return [
        bounds.mark_line(strokeDash=[6, 4], clip=True).encode(to.x, to.y, alt.Detail("s:N"), grey),
        name.transform_filter("datum.named"),
    ]


def _stops(to: _Channels) -> list[alt.Chart]:
    stops = alt.Chart(alt.NamedData("stops"))
    tips = [*to.tips[:2], alt.Tooltip("t:N", title="outcome"), alt.Tooltip("i:N", title="reason")]
    cross = stops.mark_text(text="✕", fontSize=13, fontWeight="bold")
    word = stops.mark_text(
        fontSize=11,
        align=alt.ExprRef("datum.flip ? 'right' : 'left'"),
        dx=alt.ExprRef("datum.flip ? -9 : 9"),
    )
    return [
        cross.encode(to.x, to.y, to.colour, opacity=to.seen(1), tooltip=tips),
        word.encode(to.x, to.y, to.colour, alt.Text("w:N"), opacity=to.seen(1)),
    ]
