"""p values of many tests at once, adjusted so that each can be held against one level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import false_discovery_control


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted for the chance of any false alarm among them (Holm 1979), in the order given."""
    order = np.argsort(p_values, kind="stable")
    count = len(p_values)
    stepped = [min(1.0, (count - place) * p_values[at]) for place, at in enumerate(order)]
    adjusted = [0.0] * count
    for at, value in zip(order, np.maximum.accumulate(stepped) if stepped else [], strict=True):
        adjusted[at] = float(value)
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted for the share of false ones among those reported (Benjamini, Hochberg 1995)."""
    if not p_values:
        return []
    return [float(value) for value in false_discovery_control(p_values, method="bh")]
