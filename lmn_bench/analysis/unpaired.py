"""Two versions measured apart: Welch's test on the logarithms of one value per process."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special
from scipy import stats as distributions

from lmn_bench.analysis.paired import MISS, Judgement, Rules
from lmn_bench.disturbance import ENOUGH

# Runs of one side that differ at this level are no sample of one thing.
_RUNS_LEVEL = 0.01


def welch(base: Sequence[float], new: Sequence[float], rules: Rules) -> Judgement | None:
    """The judgement on logarithms of costs; None with fewer than three processes on a side.

    The two sides may have different numbers of processes and different spreads (Welch 1947); the
    degrees of freedom are Satterthwaite's.
    """
    if min(len(base), len(new)) < ENOUGH:
        return None
    shares = [float(np.var(side, ddof=1)) / len(side) for side in (base, new)]
    middle = float(np.mean(new) - np.mean(base))
    error = math.sqrt(sum(shares))
    shift = rules.log_margin
    if error == 0:
        # Every process gave the same number: nothing varies.
        slower, faster = float(middle <= shift), float(middle >= -shift)
        return Judgement(middle, middle, middle, slower, faster, middle < shift, len(new))
    freedom = sum(shares) ** 2 / sum(
        share**2 / (len(side) - 1) for share, side in zip(shares, (base, new), strict=True)
    )
    reach = float(special.stdtrit(freedom, 1 - MISS / 2)) * error
    return Judgement(
        middle=middle,
        low=middle - reach,
        high=middle + reach,
        p_slower=float(special.stdtr(freedom, -(middle - shift) / error)),
        p_faster=float(special.stdtr(freedom, (middle + shift) / error)),
        passes=middle + reach < shift,
        pairs=min(len(base), len(new)),
    )


def runs_differ(values: Sequence[Sequence[float]]) -> bool:
    """Whether the runs of one side differ more than their processes explain (one-way F test)."""
    usable = [run for run in values if len(run) > 1]
    if len(usable) < 2 or all(len(set(run)) == 1 for run in usable):
        return False
    return float(distributions.f_oneway(*usable).pvalue) <= _RUNS_LEVEL
