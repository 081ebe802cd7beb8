"""At which lengths a standing holds, and its ratio there, in words."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

from lmn_bench.analysis.crossover import (
    LEVEL_MARGIN,
    Comparison,
)
from lmn_bench.report.phrases import say
from lmn_bench.report.standings import Versus
from lmn_bench.units import format_length, format_ratio_interval, format_share

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")

MARGIN = format_share(LEVEL_MARGIN)


def stretch(one: Versus, some: Sequence[Comparison]) -> str:
    """Where some of the comparisons are; lengths that are missing are never said to be in it."""
    every, missing = one.found.comparisons, one.found.missing
    first, last = every.index(some[0]), every.index(some[-1])
    if len(some) == len(every) > 1:
        return say("every length compared") if missing else say("every length")
    if last - first + 1 != len(some) or first == last:
        return say("at", lengths=", ".join(runs(one, some)))
    if last == len(every) - 1:
        gaps = any(gap.length > some[0].length for gap in missing)
        return say("from on compared" if gaps else "from on", length=length_of(some[0]))
    if first == 0:
        return say("up to", length=length_of(some[-1]))
    return say("from to", first=length_of(some[0]), last=length_of(some[-1]))


def runs(one: Versus, some: Sequence[Comparison]) -> Iterator[str]:
    """Lengths, three or more that follow each other as one: 128; 512 to 4,096.

    No length that is missing, or that stands otherwise, lies within what is told as one.
    """
    found = one.found
    every = sorted([c.length for c in found.comparisons] + [gap.length for gap in found.missing])
    places = [every.index(comparison.length) for comparison in some]
    for _, group in itertools.groupby(enumerate(places), key=lambda pair: pair[1] - pair[0]):
        lengths = [every[place] for _, place in group]
        if len(lengths) > 2:
            yield say("run", first=format_length(lengths[0]), last=format_length(lengths[-1]))
        else:
            yield from map(format_length, lengths)


def where_of(comparison: Comparison, some: Sequence[Comparison]) -> str:
    """The length of one of several; a single one's is told already."""
    return "" if len(some) == 1 else say("where", length=length_of(comparison))


def grouped(pairs: Iterable[tuple[_Key, _Value]]) -> dict[_Key, list[_Value]]:
    """The values of every key, in order."""
    found: dict[_Key, list[_Value]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def length_of(comparison: Comparison) -> str:
    """Where it was compared: 1,024."""
    return format_length(comparison.length)


def lengths_of(lengths: Sequence[int]) -> str:
    """Each of them: 64, 1,024."""
    return ", ".join(map(format_length, lengths))


def listed(parts: Iterable[str]) -> str:
    """One after the other."""
    return "; ".join(parts)


def times_of(comparison: Comparison) -> str:
    """The ratio of a comparison that has one, with its interval."""
    assert comparison.ratio is not None
    return format_ratio_interval(comparison.ratio, comparison.low, comparison.high)
