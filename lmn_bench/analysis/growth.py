"""How a metric grows with length, free of any model: exponents and ratios with intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lmn_bench.analysis.results import Series
from lmn_bench.analysis.stats import percentile_interval, resampled_medians
from lmn_bench.disturbance import ENOUGH

# The exponent is taken over the last octaves: what matters is how it grows from here on.
TOP_LENGTHS = 4
# An exponent whose interval stays below this is called flat: doubling the length then changes
# the metric by less than 3.5 %.
FLAT_EXPONENT = 0.05


@dataclass(frozen=True)
class Growth:
    """Growth of one metric along a series.

    Attributes:
        first, last: shortest and longest measured length.
        ratio, ratio_low, ratio_high: metric at `last` over metric at `first`.
        exponent, exponent_low, exponent_high: slope of log metric over log length across the last
            `TOP_LENGTHS` lengths: 0 flat, 1 linear, 2 quadratic.
        top_from: shortest of those lengths.
        overall, overall_low, overall_high: the same slope across all lengths.
    """

    first: int
    last: int
    ratio: float
    ratio_low: float
    ratio_high: float
    exponent: float
    exponent_low: float
    exponent_high: float
    top_from: int
    overall: float
    overall_low: float
    overall_high: float

    @property
    def is_flat(self) -> bool:
        """Whether the metric neither grows nor falls any more over the last lengths."""
        return abs(self.exponent_low) < FLAT_EXPONENT and abs(self.exponent_high) < FLAT_EXPONENT

    @property
    def is_flat_throughout(self) -> bool:
        """Whether the slope across all lengths is flat: more lengths tell it from noise."""
        return max(abs(self.overall_low), abs(self.overall_high)) < FLAT_EXPONENT

    @property
    def verdict(self) -> str:
        """How it grows over the last lengths, in two words; "unclear" where flat is possible."""
        low, high = self.exponent_low, self.exponent_high
        if self.is_flat:
            return "flat"
        if high < 0:
            return "falls"
        if low <= FLAT_EXPONENT:
            return "unclear"
        for power, word in ((1, "linear"), (2, "quadratic")):
            if low <= power <= high:
                return word
        if high < 1:
            return "below linear"
        return "above linear" if high < 2 else "above quadratic"


def growth(series: Series, metric: str) -> Growth | None:
    """Growth of `metric` along a series, or None with fewer than two measured lengths."""
    lengths = [n for n, result in series.items() if result.values.get(metric) and n > 0]
    if len(lengths) < 2:
        return None
    medians = np.array([np.median(series[n].values[metric]) for n in lengths])
    if not (medians > 0).all():
        return None
    resampled = np.stack(
        [resampled_medians(series[n].values[metric], series[n].salt) for n in lengths]
    )
    top = slice(-TOP_LENGTHS, None)
    x = np.log(np.array(lengths[top], dtype=float))
    x = x - x.mean()
    slopes = x @ np.log(resampled[top]) / (x @ x)
    ratio_low, ratio_high = percentile_interval(resampled[-1] / resampled[0])
    exponent_low, exponent_high = percentile_interval(slopes)
    z = np.log(np.array(lengths, dtype=float))
    z = z - z.mean()
    overall = float(z @ np.log(medians) / (z @ z))
    overall_low, overall_high = percentile_interval(z @ np.log(resampled) / (z @ z))
    if min(len(series[n].values[metric]) for n in lengths) < ENOUGH:
        # Too few processes for an interval: nothing is excluded.
        ratio_low, ratio_high = 0.0, math.inf
        exponent_low = overall_low = -math.inf
        exponent_high = overall_high = math.inf
    return Growth(
        first=lengths[0],
        last=lengths[-1],
        ratio=float(medians[-1] / medians[0]),
        ratio_low=ratio_low,
        ratio_high=ratio_high,
        exponent=float(x @ np.log(medians[top]) / (x @ x)),
        exponent_low=exponent_low,
        exponent_high=exponent_high,
        top_from=lengths[top][0],
        overall=overall,
        overall_low=overall_low,
        overall_high=overall_high,
    )
