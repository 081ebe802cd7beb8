"""Levels of lengths where each process measured some of them, and how sure they are together.

The model is additive in the logarithm: value = length + process + error. Lengths are connected if
processes lead from one to the other (a measured 1 and 2, b measured 2 and 3). Inside such a part
the processes' levels are taken out by least squares, and its contrasts are as sure as the error
allows (J. A. John & E. R. Williams, Cyclic and Computer Generated Designs, 1995, chapter 1):

    C = diag(processes per length) - sum over processes of N N' / (its lengths),  var = s2 C+

No process says how parts stand to each other. There the level of a part is the mean level of its
processes, as sure as their spread allows; all lengths of the part share that error. Both variances
are pooled, over the lengths and over the parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lmn_bench.analysis import covariance as joint
from lmn_bench.analysis.laws import Array

# Rows and columns of a table of (processes, lengths).
Part = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]
# A spread of exactly 0 comes from a clock's resolution, not from a machine without noise.
LEAST_SPREAD = 1e-4


@dataclass(frozen=True)
class Effects:
    """Levels of lengths.

    Attributes:
        levels: ln of the metric, (lengths,).
        covariance: of the levels, (lengths, lengths).
        error: standard deviation of a single value beside its length and process.
        freedom: the fewest degrees of freedom behind any of it; 0 where no noise can be seen.
    """

    levels: Array
    covariance: Array
    error: float
    freedom: int

    def part(self, lengths: slice) -> Effects:
        """Of some of the lengths."""
        own = joint.part(self.covariance, lengths)
        return replace(self, levels=self.levels[lengths], covariance=own)


def connected_parts(present: npt.NDArray[np.bool_]) -> list[Part]:
    """Rows and columns of (processes, lengths) that lead to each other, by shortest length."""
    left = set(range(present.shape[1]))
    parts = []
    while left:
        columns = {min(left)}
        while True:
            rows = np.flatnonzero(present[:, sorted(columns)].any(axis=1))
            reached = set(np.flatnonzero(present[rows].any(axis=0)).tolist())
            if reached <= columns:
                break
            columns |= reached
        left -= columns
        parts.append((rows, np.array(sorted(columns), dtype=np.intp)))
    return parts


def effects_of(table: Array, parts: Sequence[Part]) -> tuple[Effects, Array]:
    """Levels of lengths, and the table without its processes' levels inside each part.

    Args:
        table: (processes, lengths) of ln, NaN where a process didn't measure a length.
        parts: of `connected_parts`.
    """
    present = np.isfinite(table)
    within = np.zeros((table.shape[1], table.shape[1]))
    between = np.zeros_like(within)
    adjusted = np.full_like(table, np.nan)
    errors = spread = 0.0
    error_freedom, spread_freedom = int(present.sum()), 0
    levels = np.zeros(table.shape[1])
    for rows, columns in parts:
        own, there = table[np.ix_(rows, columns)], present[np.ix_(rows, columns)]
        contrast, inverse = _contrasts(own, there)
        process = np.nanmean(own - contrast, axis=1)
        levels[columns] = contrast + process.mean()
        within[np.ix_(columns, columns)] = inverse
        between[np.ix_(columns, columns)] = 1 / len(rows)
        adjusted[np.ix_(rows, columns)] = own - (process - process.mean())[:, None]
        errors += float(np.nansum((own - contrast - process[:, None]) ** 2))
        spread += float(((process - process.mean()) ** 2).sum())
        error_freedom -= len(columns) + len(rows) - 1
        spread_freedom += len(rows) - 1
    error = max(errors / max(error_freedom, 1), LEAST_SPREAD**2)
    level = max(spread / max(spread_freedom, 1), LEAST_SPREAD**2)
    alone = len(parts) == 1
    freedom = error_freedom if alone else min(error_freedom, spread_freedom)
    covariance = error * within + level * between
    return Effects(levels, covariance, float(np.sqrt(error)), freedom), adjusted


def _contrasts(table: Array, present: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    """Least squares of lengths beside processes: their mean is 0; and C+."""
    filled = np.where(present, table, 0.0)
    counts = present.sum(axis=1)
    mean = filled.sum(axis=1) / counts
    shares = present / counts[:, None]
    information = np.diag(present.sum(axis=0).astype(float)) - present.T @ shares
    inverse = np.linalg.pinv(information, rcond=1e-10, hermitian=True)
    return inverse @ (np.where(present, table - mean[:, None], 0.0)).sum(axis=0), inverse
