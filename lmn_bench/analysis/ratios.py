"""How many times as much one case takes as another, with an interval over processes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmn_bench.analysis.results import CaseResult
from lmn_bench.analysis.stats import percentile_interval, resampled_medians
from lmn_bench.disturbance import ENOUGH
from lmn_bench.metrics import METRICS


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

    The interval holds 95 % of ratios of medians over resampled processes.
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
    return Ratio(value, *percentile_interval(ratios))
