"""A number with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Where e^x is still a number: wild data have limits that mean nothing but must not overflow.
_LARGEST = 700.0


@dataclass(frozen=True)
class Interval:
    """An estimate with a 95 % interval; low and high are None where there is none."""

    estimate: float
    low: float | None
    high: float | None

    def holds(self, value: float) -> bool:
        """Whether a value isn't excluded; without an interval nothing is."""
        above = self.low is None or value >= self.low
        return above and (self.high is None or value <= self.high)


def exponential(value: float) -> float:
    """e^value, kept within what a number can hold."""
    return math.exp(max(-_LARGEST, min(value, _LARGEST)))


def exponential_interval(middle: float, low: float | None, high: float | None) -> Interval:
    """An interval on a log scale as one of the quantity itself."""
    ends = [None if end is None else exponential(end) for end in (low, high)]
    return Interval(exponential(middle), *ends)
