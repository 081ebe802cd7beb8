"""Scores: in the course of a training, or against bytes; linear upwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from lmn_bench.report.chart import Chart, Panel
from lmn_bench.report.charts import theme
from lmn_bench.report.charts.axes import label_expression
from lmn_bench.report.charts.labels import Label, free_places
from lmn_bench.report.charts.rows import words
from lmn_bench.report.charts.scales import even_ticks, powers_of_two, spread_labels

HEIGHT = 300
WIDTH = 460
_ROW = 13  # pixels of a line of text
_FADED = 0.1
_DIGITS = 6
_CHANCE = "\0chance"  # no name of a model
# Marks on 100 % and on 0 % are not cut in half.
_SHARES = (-0.03, 1.06)
# Losses of nearly one size are not blown up: this much of a loss is seen at least (nats).
_LEAST_SPAN = 0.05
_AIR = 0.06
# An axis of bytes begins this many octaves before its first mark.
_BEFORE = 0.7
# To place names: pixels of a letter, and of a plot as narrow as it is beside two others.
_LETTER, _NARROW_PLOT = 6.2, 330
_NAME_GAP = 9
# A longer name than this share of a plot runs out of it.
_MOST_NAMED = 0.5
# The name of chance stands so many rows above its line.
_ABOVE = 0.75
# Room for names behind the last point of a curve, as a share of the axis.
_NAMES = 0.32
# Past so many points of a curve its line alone is seen; marks are there to hover over.
_FEW = 25


def curve_specs(chart: Chart, *, interactive: bool) -> list[dict[str, Any]]:
    """One Vega-Lite specification per panel: a line and a band per series, its name at the end."""
    scores = [score for panel in chart.panels for score in panel.scores]
    # A page leaves names out where a plot is too narrow for them.
    last = max(score.x for score in scores)
    label = label_expression("s" if chart.x_title.startswith("time") else "")
    axis = alt.Axis(title=chart.x_title, values=even_ticks(last),
                    labelExpr=f"datum.value == 0 ? '0' : {label}")  # fmt: skip
    scale = alt.Scale(domain=[0, last * (1 + _NAMES)], nice=False)
    x = alt.X("x:Q", scale=scale, axis=axis)
    data = alt.Chart(alt.NamedData("scores"))
    parts = _Parts(chart, x, interactive=interactive)
    layers = [
        *parts.rules(),
        data.mark_area(clip=True).encode(
            x, parts.low, parts.high, parts.colour, opacity=parts.seen(0.16)
        ),
        data.mark_line(clip=True, strokeWidth=1.8).encode(
            x, parts.y, parts.colour, *parts.dash, opacity=parts.seen(0.95)
        ),
        parts.marks(24 if len(scores) <= _FEW * len(chart.series) else 4),
        *parts.names(),
    ]
    return _filled(alt.layer(*layers), chart, parts, last_wins=True)


def score_specs(chart: Chart, *, interactive: bool) -> list[dict[str, Any]]:
    """One Vega-Lite specification per panel: a mark per model and size, on an axis of bytes."""
    low, high = (2**end for end in _octaves(chart))
    ticks = powers_of_two(low, high, most=8)
    axis = alt.Axis(title=chart.x_title, values=ticks, labelExpr=label_expression("B"))
    x = alt.X("x:Q", scale=alt.Scale(type="log", base=2, domain=[low, high], nice=False), axis=axis)
    data = alt.Chart(alt.NamedData("scores"))
    parts = _Parts(chart, x, interactive=interactive)
    layers = [
        *parts.rules(),
        data.mark_line(clip=True, strokeWidth=1.2).encode(
            x, parts.y, parts.colour, *parts.dash, opacity=parts.seen(0.7)
        ),
        data.mark_rule(clip=True, strokeWidth=1.6).encode(
            x, parts.low, parts.high, parts.colour, opacity=parts.seen(0.75)
        ),
        parts.marks(90),
        *parts.names(),
    ]
    return _filled(alt.layer(*layers), chart, parts, last_wins=False)


class _Parts:
    """Axes, colours and marks that both kinds share."""

    def __init__(self, chart: Chart, x: alt.X, *, interactive: bool) -> None:
        self.interactive = interactive
        self.domain = _domain(chart)
        self.x = x
        scale = alt.Scale(domain=list(self.domain), nice=False)
        share = chart.unit == "share"
        axis = alt.Axis(
            title=chart.y_title,
            labelExpr=label_expression("share") if share else "format(datum.value, '~r')",
            values=[0, 0.2, 0.4, 0.6, 0.8, 1] if share else alt.Undefined,
        )
        self.y = alt.Y("y:Q", scale=scale, axis=axis)
        self.low, self.high = alt.Y("lo:Q", scale=scale, axis=axis), alt.Y2("hi:Q")
        self.beside = alt.Y("at:Q", scale=scale, axis=axis)
        names = [one.name for one in chart.series]
        legend = (
            alt.Legend(title=None, orient="bottom", direction="horizontal", symbolOpacity=1)
            if len(names) > 1
            else None
        )

        def scaled(values: Sequence[Any]) -> alt.Scale:
            return alt.Scale(domain=names, range=list(values))

        colours = scaled([theme.colour(one.place) for one in chart.series])
        shapes = scaled([theme.shape(one.place, one.run) for one in chart.series])
        self.colour = alt.Color("s:N", scale=colours, legend=legend)
        self.shape = alt.Shape("s:N", scale=shapes, legend=legend)
        looks = [theme.learned_dash(one.place, one.run) for one in chart.series]
        dash = alt.StrokeDash("s:N", scale=scaled(looks), legend=legend)
        self.dash = [dash] if len(set(map(tuple, looks))) > 1 else []
        self.pick = alt.selection_point(name="pick", fields=["s"], bind="legend")
        self.tips = [alt.Tooltip("s:N", title="model"), alt.Tooltip("a:N", title="at"),
                     alt.Tooltip("t:N", title=chart.y_title),
                     alt.Tooltip("i:N", title="seeds")]  # fmt: skip

    def seen(self, full: float) -> Any:
        """Full unless another series is picked."""
        if not self.interactive:
            return alt.value(full)
        return alt.when(self.pick).then(alt.value(full)).otherwise(alt.value(_FADED))

    def marks(self, size: int) -> alt.Chart:
        """The points themselves."""
        marks: alt.Chart = (
            alt.Chart(alt.NamedData("scores"))
            .mark_point(filled=True, size=size)
            .encode(
                self.x, self.y, self.colour, self.shape, opacity=self.seen(1), tooltip=self.tips
            )
        )
        return marks.add_params(self.pick) if self.interactive else marks

    def rules(self) -> list[alt.Chart]:
        """Chance, dashed, with its name where there is room."""
        data = alt.Chart(alt.NamedData("chance"))
        placed: dict[str, Any] = {"color": theme.SOFT_INK, "fontSize": 11}
        rim: dict[str, Any] = {"stroke": theme.PAGE, "strokeWidth": 4}
        bare: dict[str, Any] = {}
        line: dict[str, Any] = {"color": theme.SOFT_INK, "strokeDash": [4, 3]}
        return [
            data.mark_rule(**line).transform_filter("!isValid(datum.x)").encode(self.y),
            # As far as the curves: it goes through none of the names behind them.
            data.mark_rule(**line)
            .transform_filter("isValid(datum.x)")
            .encode(self.y, self.x, x2=alt.X2Datum(0)),
            # Beside the names of the curves, among which it has its place.
            *(
                data.mark_text(**placed, **look, align="left", dx=9)
                .transform_filter("isValid(datum.x)")
                .encode(self.x, self.beside, text="w:N")
                for look in (rim, bare)
            ),
            data.mark_text(**placed, align="right", dx=-4, dy=-3, baseline="bottom")
            .transform_filter("!isValid(datum.x)")
            .encode(self.y, x=alt.value("width"), text="w:N"),
        ]

    def names(self) -> list[alt.Chart]:
        """Names beside the last mark of each series, with a rim in the colour of the page."""
        data = alt.Chart(alt.NamedData("names"))
        placed: dict[str, Any] = {"align": "left", "dx": 9, "fontSize": 11}
        return [
            data.mark_text(**placed, stroke=theme.PAGE, strokeWidth=4).encode(
                self.x, self.y, alt.Text("s:N"), opacity=self.seen(0.9)
            ),
            data.mark_text(**placed).encode(
                self.x, self.y, self.colour, alt.Text("s:N"), opacity=self.seen(1)
            ),
        ]


def _filled(layered: Any, chart: Chart, parts: _Parts, *, last_wins: bool) -> list[dict[str, Any]]:
    spec: dict[str, Any] = layered.properties(width=WIDTH, height=HEIGHT).to_dict(validate=False)
    gap = _ROW * (parts.domain[1] - parts.domain[0]) / HEIGHT
    places = _ends if last_wins else _beside
    return [
        {
            **spec,
            "datasets": {
                "scores": _rows(panel, chart.unit),
                **places(panel, chart, gap),
            },
        }
        for panel in chart.panels
    ]


def _rows(panel: Panel, unit: str) -> list[dict[str, Any]]:
    return [
        {"s": one.series, "x": _short(one.x), "y": _short(one.value),
         "lo": _short(one.value if one.low is None else one.low),
         "hi": _short(one.value if one.high is None else one.high),
         "a": one.at, "t": words(one.value, unit), "i": one.hint}
        for one in panel.scores
    ]  # fmt: skip


def _ends(panel: Panel, chart: Chart, gap: float) -> dict[str, Any]:
    """A name per curve and chance, moved apart in one column behind the last point of all.

    One column, also where lines end earlier: no name covers another line.
    """
    places = {one.series: one.value for one in sorted(panel.scores, key=lambda score: score.x)}
    if panel.chance is not None:
        places[_CHANCE] = panel.chance
    spread = spread_labels(places, gap)
    last = _short(max(one.x for one in panel.scores))
    chance = {"x": last, "at": _short(spread.pop(_CHANCE))} if panel.chance is not None else {}
    names = [{"s": name, "x": last, "y": _short(at)} for name, at in spread.items()]
    return {"names": names, "chance": _chance(panel, chance)}


def _beside(panel: Panel, chart: Chart, gap: float) -> dict[str, Any]:
    """A name beside the last mark of every model, where it covers nothing; chance at the edge."""
    low, high = _octaves(chart)
    letter, bottom, top = _LETTER * (high - low) / _NARROW_PLOT, *_domain(chart)
    before = _NAME_GAP / _LETTER
    ends = {one.series: one for one in sorted(panel.scores, key=lambda score: score.x)}
    labels = [
        Label(name, math.log2(one.x), (len(name) + 2 * before) * letter, one.value)
        for name, one in ends.items()
    ]
    taken = []
    if panel.chance is not None:
        width = (len(panel.chance_words) + before) * letter
        taken = [Label(_CHANCE, high - width, width, panel.chance + gap * _ABOVE)]
    spread = free_places(
        labels, gap, (bottom + gap / 2, top - gap / 2), line=panel.chance, taken=taken,
        marks=[(math.log2(one.x), one.value) for one in panel.scores],
    )  # fmt: skip
    names = [{"s": name, "x": _short(ends[name].x), "y": _short(at)} for name, at in spread.items()]
    return {"names": names, "chance": _chance(panel, {})}


def _chance(panel: Panel, place: dict[str, float]) -> list[dict[str, Any]]:
    if panel.chance is None:
        return []
    return [{"y": _short(panel.chance), "w": f"chance {panel.chance_words}", **place}]


def _octaves(chart: Chart) -> tuple[float, float]:
    """Where the axis of bytes begins and ends, in powers of two: names have room behind marks."""
    scores = [score for panel in chart.panels for score in panel.scores]
    low = min(math.log2(one.x) for one in scores) - _BEFORE
    most = _NARROW_PLOT * _MOST_NAMED
    return low, low + max(
        (math.log2(one.x) - low)
        / (1 - min(len(one.series) * _LETTER + _NAME_GAP, most) / _NARROW_PLOT)
        for one in scores
    )


def _domain(chart: Chart) -> tuple[float, float]:
    if chart.unit == "share":
        return _SHARES
    ends = [end for panel in chart.panels for one in panel.scores
            for end in (one.value, one.low, one.high) if end is not None]  # fmt: skip
    low, high = min(ends), max(ends)
    lacking = max(_LEAST_SPAN - (high - low), 0.0) / 2
    air = _AIR * max(high - low, _LEAST_SPAN)
    return low - lacking - air, high + lacking + air


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
