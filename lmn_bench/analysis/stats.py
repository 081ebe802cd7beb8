"""Medians over processes, with intervals that assume nothing about their distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import special

CONFIDENCE = 0.95
RESAMPLES = 2000
_SEED = 20250107  # of the bootstrap: the same records always give the same report


@dataclass(frozen=True)
class Estimate:
    """A value with an interval.

    Attributes:
        value: median over processes.
        low, high: interval.
        count: processes behind it.
        confidence: of the interval; with few processes even their whole range holds less than
            95 % (five: 93.75 %), and with one there is no interval (0).
    """

    value: float
    low: float
    high: float
    count: int
    confidence: float

    @property
    def spread(self) -> float:
        """Half the interval relative to the value; 0 for an exact one."""
        return (self.high - self.low) / 2 / abs(self.value) if self.value else 0.0


def median_estimate(values: Sequence[float]) -> Estimate:
    """Median and its order-statistics interval: exact for any continuous distribution.

    The interval runs from the k-th smallest to the k-th largest value; it misses the true median
    with probability 2·P(Binomial(n, 1/2) < k). The narrowest one that keeps 95 % is taken, or the
    whole range when even that can't.

    Raises:
        ValueError: no values, or one that isn't finite.
    """
    ordered = sorted(values)
    count = len(ordered)
    if not count or not all(map(math.isfinite, ordered)):
        raise ValueError(f"expected finite values, got {values!r}")
    rank = 1
    while _coverage(count, rank + 1) >= CONFIDENCE:
        rank += 1
    middle = float(np.median(ordered))
    return Estimate(middle, ordered[rank - 1], ordered[-rank], count, _coverage(count, rank))


@cache
def _coverage(count: int, rank: int) -> float:
    """Probability that the true median lies between the rank-th smallest and largest of `count`."""
    if 2 * rank > count:
        return 0.0
    return float(1 - 2 * special.bdtr(rank - 1, count, 0.5))


def resampled_medians(values: Sequence[float], salt: int) -> npt.NDArray[np.float64]:
    """Medians of `RESAMPLES` bootstrap samples of whole processes, shape (RESAMPLES,).

    `salt` tells apart the streams of different cases, so that they are resampled independently.
    """
    data = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng([_SEED, salt])
    picks = rng.integers(0, len(data), size=(RESAMPLES, len(data)))
    medians: npt.NDArray[np.float64] = np.median(data[picks], axis=1)
    return medians


def percentile_interval(resampled: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % percentile interval of bootstrap values."""
    low, high = percentile_limits(resampled[:, None])
    return float(low[0]), float(high[0])


def percentile_limits(
    resampled: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The same for many quantities at once, (samples, quantities)."""
    tail = (1 - CONFIDENCE) / 2 * 100
    low, high = np.percentile(resampled, [tail, 100 - tail], axis=0)
    return low, high
