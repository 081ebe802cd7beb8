"""The length at which one subject overtakes another, between measured lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmn_bench.analysis.laws import Array
from lmn_bench.analysis.stats import CONFIDENCE


@dataclass(frozen=True)
class Crossing:
    """Where A gets ahead of B for good, with a 95 % interval over resampled processes.

    `low` is None where A may be ahead from the shortest length on, `high` where it may not be ahead
    at the longest: the crossing may lie outside the measured range.
    """

    length: float
    low: float | None
    high: float | None


def crossing(lengths: Sequence[float], advantage: Array, resamples: Array) -> Crossing | None:
    """Interpolate ln ratios over ln lengths; None if A doesn't get ahead within the range.

    Args:
        lengths: rising.
        advantage: ln of how many times better A is, (lengths,).
        resamples: the same of resampled processes, (samples, lengths).
    """
    place = _crossings(np.log(np.asarray(lengths, dtype=np.float64)), advantage[None])[0]
    if not np.isfinite(place):
        return None
    places = _crossings(np.log(np.asarray(lengths, dtype=np.float64)), resamples)
    tail = (1 - CONFIDENCE) / 2 * 100
    # ranks, not interpolation: a resample without a crossing counts as one at infinity
    low = float(np.percentile(places, tail, method="lower"))
    high = float(np.percentile(places, 100 - tail, method="higher"))
    ends = [float(np.exp(end)) if np.isfinite(end) else None for end in (low, high)]
    return Crossing(float(np.exp(place)), *ends)


def _crossings(x: Array, advantage: Array) -> Array:
    """Last change from behind to ahead, (samples,): -inf if always ahead, inf if not at the end."""
    behind = advantage <= 0
    last_behind = len(x) - 1 - np.argmax(behind[:, ::-1], axis=1)
    never, at_end = ~behind.any(axis=1), behind[:, -1]
    left = np.minimum(last_behind, len(x) - 2)
    rows = np.arange(len(advantage))
    below, above = advantage[rows, left], advantage[rows, left + 1]
    rise = np.where(above > below, above - below, 1.0)
    place = x[left] + (x[left + 1] - x[left]) * (-below / rise)
    found: Array = np.where(never, -np.inf, np.where(at_end, np.inf, place))
    return found
