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
# Processes; below, drawing the samples themselves takes less than a few ms. 10,000 processes would
# take 320 MB.
_DRAWN_FROM = 250
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
    if len(data) >= _DRAWN_FROM:
        return _drawn_medians(np.sort(data), rng)
    picks = rng.integers(0, len(data), size=(RESAMPLES, len(data)))
    medians: npt.NDArray[np.float64] = np.median(data[picks], axis=1)
    return medians


def _drawn_medians(
    ordered: npt.NDArray[np.float64], rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """The same distribution without the samples: only the ranks in the middle of each are drawn.

    A sample of n processes is n uniform numbers, each pointing to the value of that rank; the m-th
    smallest of them is Beta(m, n + 1 - m), and the next one the least of the n - m left above it
    (David and Nagaraja, Order Statistics, 2003, section 2.5).
    """
    count = len(ordered)
    middle = (count + 1) // 2
    low = rng.beta(middle, count + 1 - middle, size=RESAMPLES)
    high = low + (1 - low) * rng.beta(1, count - middle, size=RESAMPLES) if count % 2 == 0 else low
    at_low, at_high = ((count * rank).astype(np.int64) for rank in (low, high))
    medians: npt.NDArray[np.float64] = (ordered[at_low] + ordered[at_high]) / 2
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
