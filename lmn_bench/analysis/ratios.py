"""How many times as much one case takes as another, with an interval over processes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lmn_bench.analysis.results import CaseResult
from lmn_bench.analysis.seeds import welch_interval
from lmn_bench.analysis.stats import percentile_interval, resampled_medians
from lmn_bench.disturbance import ENOUGH
from lmn_bench.metrics import METRICS

# Medians of three or four values, drawn again and again, are too alike: over made-up processes of
# one and the same model their intervals excluded 1 in 7 to 10 % of comparisons, whatever the shape
# of the noise; with Welch's beside them in 2 to 6 %, and from five on without it in 3 to 4 %.
_ENOUGH_TO_RESAMPLE = 5


@dataclass(frozen=True)
class Ratio:
    """A ratio of medians; fewer than three processes on a side give it no interval.

    That of counts, the same in every process, is exact: low and high are the value.
    """

    value: float
    low: float | None
    high: float | None


def ratio(over: CaseResult, under: CaseResult, metric: str) -> Ratio | None:
    """Median of `over` by median of `under`; None where one lacks the metric or has none above 0.

    The interval holds 95 % of ratios of medians over resampled processes; where a side has fewer
    than `_ENOUGH_TO_RESAMPLE` it takes in Welch's interval of the logarithms too.
    """
    top, bottom = over.values.get(metric, ()), under.values.get(metric, ())
    if not top or not bottom or min(*top, *bottom) <= 0:
        return None
    value = float(np.median(top) / np.median(bottom))
    if METRICS[metric].exact and len(set(top)) == len(set(bottom)) == 1:
        return Ratio(value, value, value)
    if min(len(top), len(bottom)) < ENOUGH:
        return Ratio(value, None, None)
    ratios = resampled_medians(top, over.salt) / resampled_medians(bottom, under.salt)
    low, high = percentile_interval(ratios)
    if min(len(top), len(bottom)) < _ENOUGH_TO_RESAMPLE:
        found = welch_interval(np.log(top).tolist(), np.log(bottom).tolist())
        # Memory often is the same to the byte in all processes; times never are.
        if found.low is not None and found.high is not None:
            low, high = min(low, math.exp(found.low)), max(high, math.exp(found.high))
    return Ratio(value, low, high)
