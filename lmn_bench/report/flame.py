"""A flame graph as plain data: bars in bars, as wide as their share of the bar around them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        name: on the bar.
        share: of the bar that it is in, from 0 to 1.
        hint: the bar in words, for hovering.
        place: which colour.
        bars: below it; together they may be narrower than it is.
    """

    name: str
    share: float
    hint: str
    place: int
    bars: tuple[Bar, ...] = ()


@dataclass(frozen=True)
class Flame:
    """A whole graph, and one sentence on how to read it."""

    title: str
    reading: str
    bars: tuple[Bar, ...]
