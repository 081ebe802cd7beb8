"""A chart as plain data: what is shown, with nothing said about looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# lines: values against length, both logarithmic. stack: parts of a whole per length. strip: a row
# per series that says at which lengths it finished. forest: a row per case with the change of one
# version against another. area: values over time, stacked. curves: scores in the course of a
# training. scores: scores against bytes.
Kind = Literal["lines", "stack", "strip", "forest", "area", "curves", "scores"]


@dataclass(frozen=True)
class Series:
    """One line of a chart, or one part of a stack.

    Attributes:
        name: as it is shown.
        place: which colour and shape: that of its subject, the same in all charts of a report.
        run: which run of several it belongs to, from 0.
    """

    name: str
    place: int
    run: int = 0


@dataclass(frozen=True)
class Point:
    """A measured value at one length, its interval where it has one, and words for hovering."""

    series: str
    length: int
    value: float
    low: float | None = None
    high: float | None = None
    hint: str = ""


@dataclass(frozen=True)
class LawPoint:
    """A fitted law, or a bound, at one length, with its 95 % band where it has one."""

    series: str
    length: float
    value: float
    low: float | None
    high: float | None
    law: str


@dataclass(frozen=True)
class Stop:
    """Where a series did not finish: the outcome's name, and why. `tried`: False if skipped."""

    series: str
    length: int
    word: str
    reason: str
    tried: bool = True


@dataclass(frozen=True)
class Effect:
    """What a change made of one case.

    Attributes:
        name: of the case, distinct within a panel.
        series: its verdict.
        ratio: new by base, above 0.
        low, high: its interval, where it has one.
        change, interval, values: the same in words, for hovering.
    """

    name: str
    series: str
    ratio: float
    low: float | None
    high: float | None
    change: str
    interval: str
    values: str


@dataclass(frozen=True)
class Moment:
    """A value of a series at a moment, and until the next one (s, and the unit of the chart)."""

    series: str
    seconds: float
    value: float


@dataclass(frozen=True)
class Score:
    """How well a series did at some place of the x axis, with words for hovering.

    Attributes:
        series: whose.
        x: steps, seconds or bytes.
        value: loss or accuracy.
        low, high: its interval or range, where it has one.
        at: x in words.
        hint: what low and high are, in words.
    """

    series: str
    x: float
    value: float
    low: float | None
    high: float | None
    at: str
    hint: str


@dataclass(frozen=True)
class Panel:
    """One plot of a chart; the panels of a chart share their axes.

    `chance`: a score that is had without learning anything, and the same in words.
    """

    title: str
    points: tuple[Point, ...] = ()
    laws: tuple[LawPoint, ...] = ()
    bounds: tuple[LawPoint, ...] = ()
    stops: tuple[Stop, ...] = ()
    effects: tuple[Effect, ...] = ()
    moments: tuple[Moment, ...] = ()
    peak: Moment | None = None
    scores: tuple[Score, ...] = ()
    chance: float | None = None
    chance_words: str = ""

    @property
    def lengths(self) -> list[float]:
        """Every length that something stands at."""
        measured = [float(point.length) for point in self.points]
        stopped = [float(stop.length) for stop in self.stops]
        drawn = [law.length for law in (*self.laws, *self.bounds)]
        return measured + stopped + drawn

    @property
    def values(self) -> list[float]:
        """Every measured value, every law and every bound."""
        drawn = [law.value for law in (*self.laws, *self.bounds)]
        return [point.value for point in self.points] + drawn


@dataclass(frozen=True)
class Chart:
    """One chart.

    Attributes:
        key: name of its file and its place in a page, distinct within a document.
        title: what is shown, with its setting.
        reading: one sentence on how to read it.
        kind: see `Kind`.
        x_title, y_title: of the axes.
        unit: of the values: s, B, token/s, FLOP/s, B/s, nat/token, "share" (1 is all), "change" (a
            ratio, 1 is none) or "" for a count.
        series: in the order of the legend.
        panels: at least one.
        band: changes up to this share count as none.
    """

    key: str
    title: str
    reading: str
    kind: Kind
    x_title: str
    y_title: str
    unit: str
    series: tuple[Series, ...]
    panels: tuple[Panel, ...]
    band: float = 0.0
