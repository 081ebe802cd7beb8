"""Two versions measured apart: Welch's test on the logarithms of one value per process or run.

Processes of one run are forked from one server at one time of day, and share what that brings: with
fewer than three runs on a side nothing in the data tells how much that is, so `RUN_SPREAD` is put
in for it. With three or more, each run is one observation, and nothing is put in.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np
from scipy import special
from scipy import stats as distributions

from lmn_bench.analysis.paired import MISS, Judgement, Rules
from lmn_bench.disturbance import ENOUGH

# Between runs of the same code, beyond what their processes explain (standard deviation of the
# logarithm): servers differed by 0.5 to 1 % on a shared machine, in one hour.
RUN_SPREAD = 0.01
# Runs of one side that differ at this level are no sample of one thing.
_RUNS_LEVEL = 0.01
# With sides of more unequal sizes the smaller one decides how sure anybody is: where noise is
# skewed, Satterthwaite's degrees of freedom trust the larger one too much.
_UNEQUAL = 2


def by_run(base: Sequence[Sequence[float]], new: Sequence[Sequence[float]]) -> bool:
    """Whether runs are what is compared: three or more on either side."""
    return min(len(base), len(new)) >= ENOUGH


def observations(
    base: Sequence[Sequence[float]], new: Sequence[Sequence[float]]
) -> tuple[list[float], list[float]]:
    """What is compared of either side: the means of runs, or the values of all processes."""
    if by_run(base, new):
        return [statistics.fmean(run) for run in base], [statistics.fmean(run) for run in new]
    return [value for run in base for value in run], [value for run in new for value in run]


def welch(
    base: Sequence[Sequence[float]],
    new: Sequence[Sequence[float]],
    rules: Rules,
    least: int = ENOUGH,
) -> Judgement | None:
    """The judgement on logarithms of costs, by run; None with fewer than `least` on a side.

    The two sides may have different numbers of processes and different spreads (Welch 1947); the
    degrees of freedom are Satterthwaite's.
    """
    sides = observations(base, new)
    sizes = [len(side) for side in sides]
    if min(sizes) < least:
        return None
    shares = [float(np.var(side, ddof=1)) / len(side) for side in sides]
    extra = 0.0 if by_run(base, new) else RUN_SPREAD**2 * (1 / len(base) + 1 / len(new))
    total = sum(shares) + extra
    middle = float(np.mean(sides[1]) - np.mean(sides[0]))
    shift = rules.log_margin
    if total == 0:
        # All runs agree to the last digit: that is no noise to judge by.
        return None
    error = math.sqrt(total)
    used = sum(share**2 / (size - 1) for share, size in zip(shares, sizes, strict=True))
    freedom = total**2 / used if used else math.inf
    if max(sizes) > _UNEQUAL * min(sizes):
        freedom = min(freedom, min(sizes) - 1)
    reach = float(special.stdtrit(freedom, 1 - MISS / 2)) * error
    return Judgement(
        middle=middle,
        low=middle - reach,
        high=middle + reach,
        p_slower=float(special.stdtr(freedom, -(middle - shift) / error)),
        p_faster=float(special.stdtr(freedom, (middle + shift) / error)),
        passes=middle + reach < shift,
    )


def runs_differ(values: Sequence[Sequence[float]]) -> bool:
    """Whether two runs of one side differ more than their processes explain (one-way F test).

    Three or more are observations of how much runs differ.
    """
    usable = [run for run in values if len(run) > 1]
    if len(usable) != 2 or all(len(set(run)) == 1 for run in usable):
        return False
    return float(distributions.f_oneway(*usable).pvalue) <= _RUNS_LEVEL
