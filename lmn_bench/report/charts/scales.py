"""Where axes begin and end, what stands along them, and labels that don't overlap."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

# Values of nearly one size are not blown up: noise of 5 % would look like growth.
_LEAST_SPAN = math.log(4)
_MARGIN = 0.04
_MOST_TICKS = 9
# Changes are marked in even steps as long as a logarithm is nearly straight; then by halves and
# doubles.
_MOST_EVEN = 3.0
_CHANGE_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5)
# Data that differ by more than this are told by their middle, not by their interval's end.
_MOST_REACH = 4.0


def log_domain(values: Sequence[float], ends: Sequence[float] = ()) -> tuple[float, float]:
    """A logarithmic axis for values (> 0) and, as far as they don't outgrow them, their intervals.

    Raises:
        ValueError: there is no value.
    """
    low, high = min(values), max(values)
    near = [end for end in ends if low / _MOST_REACH <= end <= high * _MOST_REACH]
    low, high = math.log(min(low, *near, low)), math.log(max(high, *near, high))
    lacking = max(_LEAST_SPAN - (high - low), 0.0) / 2
    margin = _MARGIN * max(high - low, _LEAST_SPAN)
    return math.exp(low - lacking - margin), math.exp(high + lacking + margin)


def length_domain(lengths: Sequence[float]) -> tuple[float, float]:
    """The axis of lengths: a fifth of an octave beyond the ends, or an octave around a single one.

    Raises:
        ValueError: there is no length.
    """
    low, high = max(min(lengths), 1.0), max(lengths)
    beyond = 2.0 if low == high else 2**0.2
    return low / beyond, high * beyond


def powers_of_two(low: float, high: float, most: int = 24) -> list[float]:
    """Powers of two between two ends, thinned out to `most`."""
    first, last = math.ceil(math.log2(low)), math.floor(math.log2(high))
    step = max(1, -(-(last - first + 1) // most))
    return [2.0**k for k in range(first, last + 1) if k % step == 0]


def decimal_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, … between two ends; only powers of ten over more than three decades."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for mantissas in ((1, 2, 5), (1,)):
        found = [m * 10.0**k for k in decades for m in mantissas if low <= m * 10.0**k <= high]
        if len(found) <= _MOST_TICKS:
            return found
    step = -(-len(found) // _MOST_TICKS)
    return found[::step]


def change_ticks(low: float, high: float) -> list[float]:
    """Ratios between two ends that are round changes, no change always among them.

    Raises:
        ValueError: 1 does not lie between the ends.
    """
    if not low <= 1 <= high:
        raise ValueError(f"no change lies outside {low:g} to {high:g}")
    if high / low < _MOST_EVEN:
        for step in _CHANGE_STEPS:
            first, last = math.ceil((low - 1) / step), math.floor((high - 1) / step)
            if last - first < _MOST_TICKS:
                return [1 + k * step for k in range(first, last + 1)]
    return powers_of_two(low, high, _MOST_TICKS)


def even_ticks(top: float, most: int = 6) -> list[float]:
    """0 and round multiples of 1, 2 or 5 times a power of ten up to `top`, at most `most` steps.

    Raises:
        ValueError: `top` is not above 0.
    """
    if not 0 < top < math.inf:
        raise ValueError(f"expected a top above 0, got {top:g}")
    decade = math.floor(math.log10(top / most))
    steps = (m * 10.0**k for k in (decade, decade + 1) for m in (1, 2, 5))
    step = next(step for step in steps if top / step <= most)
    return [step * k for k in range(int(top / step * (1 + 1e-9)) + 1)]


def binary_step(top: float, most: int = 5) -> float:
    """The power of two of which at most `most` reach `top`."""
    return float(2.0 ** math.ceil(math.log2(max(top, 1.0) / most)))


def spread_labels(places: Mapping[str, float], gap: float) -> dict[str, float]:
    """Places (on any linear scale) moved apart until neighbours are `gap` apart, order kept.

    Each group of labels that would overlap is centred on the mean of where they belong.
    """
    groups: list[tuple[float, list[str]]] = []
    for name in sorted(places, key=lambda name: places[name]):
        groups.append((places[name], [name]))
        while len(groups) > 1 and _overlap(groups[-2], groups[-1], gap):
            (_, upper), (_, lower) = groups.pop(), groups.pop()
            names = lower + upper
            groups.append((sum(places[n] for n in names) / len(names), names))
    return {
        name: middle + (at - (len(names) - 1) / 2) * gap
        for middle, names in groups
        for at, name in enumerate(names)
    }


def _overlap(below: tuple[float, list[str]], above: tuple[float, list[str]], gap: float) -> bool:
    end = below[0] + (len(below[1]) - 1) / 2 * gap
    return above[0] - (len(above[1]) - 1) / 2 * gap - end < gap * (1 - 1e-9)
