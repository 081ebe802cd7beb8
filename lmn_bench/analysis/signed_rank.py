"""Wilcoxon's signed-rank test: exact for differences that are symmetric, whatever their tails.

Under the hypothesis that paired differences lie symmetrically about s, the number of Walsh averages
(means of two differences, each with itself included) above s is distributed as the signed-rank sum
(Tukey 1949; Hollander, Wolfe and Chicken, "Nonparametric Statistical Methods", chapter 3). The same
averages give the estimate (Hodges and Lehmann 1963) and the limits, so that test and interval never
disagree.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def walsh_averages(differences: Floats) -> Floats:
    """Sorted means of all pairs, (..., n) -> (..., n (n + 1) / 2)."""
    first, second = _places(differences.shape[-1])
    averages = (differences[..., first] + differences[..., second]) / 2
    averages.sort(axis=-1)
    return averages


def estimate(walsh: Floats) -> Floats:
    """The Hodges-Lehmann estimate of the middle, (...,)."""
    count = walsh.shape[-1]
    middle: Floats = (walsh[..., (count - 1) // 2] + walsh[..., count // 2]) / 2
    return middle


def p_above(walsh: Floats, shift: float) -> Floats:
    """One-sided p values of "the middle is not above `shift`", (...,)."""
    # A tie with the shift is no evidence.
    above = (walsh > shift).sum(axis=-1)
    values: Floats = _tail(_pairs(walsh))[walsh.shape[-1] - above]
    return values


def p_below(walsh: Floats, shift: float) -> Floats:
    """One-sided p values of "the middle is not below `shift`", (...,)."""
    below = (walsh < shift).sum(axis=-1)
    values: Floats = _tail(_pairs(walsh))[walsh.shape[-1] - below]
    return values


def limits(walsh: Floats, level: float) -> tuple[Floats, Floats]:
    """One-sided limits, below and above, each missed with probability `level` at most.

    With too few pairs for that level they are infinite.
    """
    rank = int(np.searchsorted(_tail(_pairs(walsh)), level, side="right")) - 1
    if rank < 0:
        unknown = np.full(walsh.shape[:-1], np.inf)
        return -unknown, unknown
    return walsh[..., rank], walsh[..., -1 - rank]


def _pairs(walsh: Floats) -> int:
    """How many differences these are the averages of: n of n (n + 1) / 2."""
    return round((math.sqrt(8 * walsh.shape[-1] + 1) - 1) / 2)


@cache
def _places(count: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    first, second = np.triu_indices(count)
    return first, second


@cache
def _tail(pairs: int) -> Floats:
    """P(W <= w) of the signed-rank sum of `pairs` differences, for w from 0."""
    counts = np.ones(1)
    for rank in range(1, pairs + 1):
        # Each rank is in the sum or not; halved at once, so that nothing overflows.
        grown = np.zeros(len(counts) + rank)
        grown[: len(counts)] += counts / 2
        grown[rank:] += counts / 2
        counts = grown
    return np.minimum(np.cumsum(counts), 1.0)
