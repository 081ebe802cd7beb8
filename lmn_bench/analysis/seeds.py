"""What few seeds tell of a mean and of a difference: intervals by Student's t."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy import special

from lmn_bench.analysis.intervals import Interval
from lmn_bench.analysis.stats import CONFIDENCE

# Values that agree to this share of their size differ by rounding alone.
_ROUNDING = 1e-12


def mean_interval(values: Sequence[float]) -> Interval:
    """The mean of independent values with its 95 % interval, at n - 1 degrees of freedom.

    No limits with one value, or where all agree to the last digit: nothing tells how far another
    would lie off.

    Raises:
        ValueError: there is no value.
    """
    middle, variance = _moments(values)
    return _interval(middle, variance / len(values), len(values) - 1)


def welch_interval(one: Sequence[float], other: Sequence[float]) -> Interval:
    """The mean of `one` less that of `other`, values in no pairs, with its 95 % interval.

    The sides may vary unequally (Welch 1947); the degrees of freedom are Satterthwaite's. No limits
    with a single value on a side.

    Raises:
        ValueError: a side has no value.
    """
    means, variances = zip(*(_moments(side) for side in (one, other)), strict=True)
    sizes = [len(one), len(other)]
    shares = [variance / size for variance, size in zip(variances, sizes, strict=True)]
    total = sum(shares)
    if min(sizes) < 2 or not total:
        return Interval(means[0] - means[1], None, None)
    used = sum(share**2 / (size - 1) for share, size in zip(shares, sizes, strict=True))
    return _interval(means[0] - means[1], total, total**2 / used)


def _moments(values: Sequence[float]) -> tuple[float, float]:
    """Mean and unbiased variance; 0 for a single value, or for values that agree."""
    if not values:
        raise ValueError("expected at least one value")
    mean = math.fsum(values) / len(values)
    spread = max(values) - min(values)
    if spread <= _ROUNDING * max(map(abs, values)):
        return mean, 0.0
    return mean, math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def _interval(middle: float, variance: float, freedom: float) -> Interval:
    """`variance` of the mean itself."""
    if not variance:
        return Interval(middle, None, None)
    half = float(special.stdtrit(freedom, (1 + CONFIDENCE) / 2)) * math.sqrt(variance)
    return Interval(middle, middle - half, middle + half)
