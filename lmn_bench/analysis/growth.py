"""How a metric grows with length, free of any law: exponents and ratios with intervals.

Intervals are Student's t on the log scale, from the moderated spread between processes (see
`sample.spreads`): a bootstrap of three or five values is too narrow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from lmn_bench.analysis.covariance import part, slope_of
from lmn_bench.analysis.intervals import Interval, exponential_interval
from lmn_bench.analysis.laws import Array
from lmn_bench.analysis.sample import Sample, covariance_of
from lmn_bench.disturbance import ENOUGH

# The exponent is taken over the lengths from an eighth of the longest on, three octaves: what
# matters is how it grows from here on, and over a wider span no one exponent need hold.
TOP_SPAN = 8
# Lengths nearer to each other than this say nothing of a doubling.
_LEAST_STEP = 1.5
# Standard deviation of a median, where there is no noise at all.
_LEAST_ERROR = 1e-6
_HAIR = 1e-9


@dataclass(frozen=True)
class Doubling:
    """By how much the metric is multiplied when the length doubles, between two lengths."""

    first: float
    last: float
    ratio: Interval


@dataclass(frozen=True)
class Growth:
    """Growth of one metric along lengths.

    Attributes:
        first, last: shortest and longest length.
        ratio: metric at `last` over metric at `first`.
        exponent: slope d ln T / d ln n across the lengths from 1/`TOP_SPAN` of the longest on,
            two at least: 0 flat, 1 linear, 2 quadratic.
        top_from: shortest of those lengths.
        overall: the same slope across all lengths.
        doublings: from every length to the next one that is 1.5 times as long or more.
    """

    first: float
    last: float
    ratio: Interval
    exponent: Interval
    top_from: float
    overall: Interval
    doublings: tuple[Doubling, ...]


def growth(sample: Sample) -> Growth | None:
    """Growth along a sample, or None with fewer than two lengths.

    Fewer than three processes at some length give no intervals.
    """
    lengths = sample.lengths
    if len(lengths) < 2:
        return None
    covariance = covariance_of(sample, tolerance=_LEAST_ERROR)
    freedom = sample.freedom if sample.counts.min() >= ENOUGH else 0
    x, y = np.log(np.array(lengths)), sample.medians
    doublings = []
    for at in range(len(lengths)):
        next_ = int(np.searchsorted(x, x[at] + np.log(_LEAST_STEP)))
        if next_ < len(lengths):
            pair = [at, next_]
            found = _line(x[pair], y[pair], part(covariance, pair), freedom)
            ratio = _power(found, float(np.log(2)))
            doublings.append(Doubling(lengths[at], lengths[next_], ratio))
    ends = [0, -1]
    whole = _line(x[ends], y[ends], part(covariance, ends), freedom)
    # A hair below: lengths of a made-up grid may be off by rounding.
    first_top = int(np.searchsorted(x, x[-1] - np.log(TOP_SPAN) - _HAIR))
    top = slice(min(first_top, len(lengths) - 2), None)
    return Growth(
        first=lengths[0],
        last=lengths[-1],
        ratio=_power(whole, float(x[-1] - x[0])),
        exponent=_line(x[top], y[top], part(covariance, top), freedom),
        top_from=lengths[top][0],
        overall=_line(x, y, covariance, freedom),
        doublings=tuple(doublings),
    )


def end_errors(sample: Sample) -> float:
    """Variance of ln(last / first) over what it would be of as many processes at both ends.

    1 where each process measured every length; more where they are linked by way of others.
    """
    effects = sample.effects
    if effects is None:
        return 1.0
    ends = [0, -1]
    there = np.isfinite(sample.values[:, ends])
    whole = effects.covariance
    variance = float(whole[0, 0] + whole[-1, -1] - 2 * whole[0, -1])
    return variance / (effects.error**2 * float((1 / there.sum(axis=0)).sum()))


def _line(x: Array, y: Array, covariance: Array, freedom: int) -> Interval:
    """Slope of y over x, weighted by how sure each y is, and all of them are together."""
    slopes, information = slope_of(y[None], x[None], covariance)
    slope = float(slopes[0, 0])
    if not freedom:
        return Interval(slope, None, None)
    reach = float(special.stdtrit(freedom, 0.975)) / float(information[0]) ** 0.5
    return Interval(slope, slope - reach, slope + reach)


def _power(slope: Interval, span: float) -> Interval:
    """exp(slope · span) with its limits."""
    low, high = (None if end is None else end * span for end in (slope.low, slope.high))
    return exponential_interval(slope.estimate * span, low, high)
