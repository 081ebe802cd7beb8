"""Measurements of one metric along lengths: a median per length, and how sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

from lmn_bench.analysis.covariance import drawn
from lmn_bench.analysis.effects import LEAST_SPREAD, Effects, connected_parts, effects_of
from lmn_bench.analysis.laws import Array

# No machine follows a law to better than this (relative): caches, alignment, kernels chosen by
# size. It is added to the noise, so that a very quiet machine doesn't reject every law.
TOLERANCE = 0.01
# Resampled values that are held at a time.
_VALUES_AT_ONCE = 10_000_000


@dataclass(frozen=True)
class Sample:
    """One value per process and length, on a log scale.

    Attributes:
        lengths: distinct, rising, >= 1.
        values: ln of the metric, (processes, lengths); NaN where a process has none. Where
            processes cover several lengths, each process's own level is taken out.
        crossed: every row is a process that covers all lengths, to be resampled as a whole.
        effects: levels of the lengths where processes cover some of them each; None where they
            cover all, or where every value comes from a process of its own.
    """

    lengths: tuple[float, ...]
    values: Array
    crossed: bool = False
    effects: Effects | None = None

    @cached_property
    def counts(self) -> Array:
        """Processes per length."""
        counted: Array = np.isfinite(self.values).sum(axis=0).astype(np.float64)
        return counted

    @cached_property
    def medians(self) -> Array:
        """Logarithm of the median over processes, per length; with `effects`, of the level."""
        return _medians(self.values) if self.effects is None else self.effects.levels

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the spread between processes."""
        if self.effects is not None:
            return self.effects.freedom
        spare = int(np.isfinite(self.values).sum()) - len(self.lengths)
        return max(spare - (len(self.values) - 1), 0) if self.crossed else spare

    def last(self, count: int) -> Sample:
        """Only the `count` longest lengths."""
        return self._part(slice(-count, None))

    def without_last(self, count: int) -> Sample:
        """All but the `count` longest lengths."""
        return self._part(slice(None, -count))

    def _part(self, kept: slice) -> Sample:
        effects = None if self.effects is None else self.effects.part(kept)
        return Sample(self.lengths[kept], self.values[:, kept], self.crossed, effects)


def sample_of(values: Mapping[float, Sequence[float]]) -> Sample:
    """Values (> 0) per length, each from a process of its own."""
    lengths = sorted(values)
    rows = np.full((max(len(values[n]) for n in lengths), len(lengths)), np.nan)
    for column, length in enumerate(lengths):
        rows[: len(values[length]), column] = np.log(values[length])
    return Sample(tuple(map(float, lengths)), rows)


def crossed_sample(lengths: Sequence[float], table: Array) -> Sample:
    """Processes that cover several lengths: `table` (processes, lengths) of ln, NaN for a gap.

    A process that is slower throughout says nothing about growth: its level in the additive model
    length + process is taken out, as far as processes connect the lengths (see `effects`).
    """
    named = tuple(map(float, lengths))
    present = np.isfinite(table)
    if present.all():
        process = (table - table.mean(axis=0)).mean(axis=1, keepdims=True)
        return Sample(named, table - process, crossed=True)
    effects, adjusted = effects_of(table, connected_parts(present))
    return Sample(named, adjusted, effects=effects)


def spreads(sample: Sample) -> Array:
    """Standard deviation between processes (relative) per length, moderated.

    A spread of five processes is a rough estimate. It is drawn towards the common one by as much as
    the lengths' spreads agree: G. K. Smyth, "Linear models and empirical Bayes methods", Stat.
    Appl. Genet. Mol. Biol. 3 (2004), section 6.2.
    """
    free = sample.counts - 1
    usable = free > 0
    if not usable.any() or not sample.freedom:
        return np.zeros(len(sample.lengths))
    correction = free.sum() / sample.freedom
    variance = np.full(len(free), np.nan)
    variance[usable] = np.nanvar(sample.values[:, usable], axis=0, ddof=1) * correction
    variance[usable] = np.maximum(variance[usable], LEAST_SPREAD**2)
    d, s2 = free[usable], variance[usable]
    prior, strength = _prior(s2, d)
    moderated = np.full(len(free), prior)
    if np.isfinite(strength):
        moderated[usable] = (strength * prior + d * s2) / (strength + d)
    found: Array = np.sqrt(moderated)
    return found


def _prior(s2: Array, d: Array) -> tuple[float, float]:
    """The common variance and how many degrees of freedom it is worth (Smyth 2004, 6.2)."""
    pooled = float((d * s2).sum() / d.sum())
    if len(s2) < 3:
        return pooled, np.inf
    e = np.log(s2) - special.digamma(d / 2) + np.log(d / 2)
    excess = float(e.var(ddof=1) - special.polygamma(1, d / 2).mean())
    if excess <= 0:
        return pooled, np.inf
    half = _inverse_trigamma(excess)
    return float(np.exp(e.mean() + special.digamma(half) - np.log(half))), 2 * half


def _inverse_trigamma(value: float) -> float:
    """Solve trigamma(x) = value, by Newton's method (Smyth 2004, appendix)."""
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(special.polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(special.polygamma(2, x))
        x += step
        if abs(step) < 1e-8 * x:
            break
    return x


def median_variances(sample: Sample, tolerance: float = TOLERANCE) -> Array:
    """Variance of the log of each length's median: noise of the processes, and the tolerance.

    The median of R normal values has about pi / (2 (R + c)) of their variance, c = 0.5 for odd R
    and 1.3 for even R (within 2 % from R = 3 on).
    """
    counts = sample.counts
    offset = np.where(counts % 2 == 1, 0.5, 1.3)
    share = np.minimum(np.pi / 2 / (counts + offset), 1.0)
    found: Array = share * spreads(sample) ** 2 + tolerance**2
    return found


def covariance_of(sample: Sample, tolerance: float = TOLERANCE) -> Array:
    """Of the medians: a variance each, (lengths,), or (lengths, lengths) where they share errors.

    Without degrees of freedom nothing is known of the noise: the tolerance alone.
    """
    effects = sample.effects
    if effects is None or not effects.freedom:
        return median_variances(sample, tolerance)
    own: Array = effects.covariance + tolerance**2 * np.eye(len(sample.lengths))
    return own


def resampled(sample: Sample, count: int, seed: int) -> Array:
    """Logarithms of medians of `count` runs like this one, (count, lengths).

    They are bootstrap samples of whole processes; where processes cover some of the lengths each,
    a process that is left out may take the only link with it: there they are drawn from Student's t
    of the levels' covariance.
    """
    rng = np.random.default_rng(seed)
    values = sample.values
    if sample.effects is not None:
        if not sample.effects.freedom:
            return np.tile(sample.medians, (count, 1))
        errors = drawn(sample.effects.covariance, rng.standard_normal((count, values.shape[1])))
        freedom = sample.effects.freedom
        scale = np.sqrt(freedom / rng.chisquare(freedom, size=(count, 1)))
        shifted: Array = sample.medians + errors * scale
        return shifted
    if sample.crossed:
        return np.concatenate([
            _medians(values[rng.integers(0, len(values), size=(rows, len(values)))].swapaxes(0, 1))
            for rows in _at_once(count, values.size)
        ])  # fmt: skip
    columns = []
    for column in values.T:
        own = column[np.isfinite(column)]
        columns.append(np.concatenate([
            np.median(own[rng.integers(0, len(own), size=(rows, len(own)))], axis=1)
            for rows in _at_once(count, len(own))
        ]))  # fmt: skip
    return np.stack(columns, axis=1)


def _at_once(count: int, size: int) -> list[int]:
    """Parts of `count` resamples of `size` values each that fit into memory."""
    most = max(1, _VALUES_AT_ONCE // size)
    return [min(most, count - done) for done in range(0, count, most)]


def _medians(values: Array) -> Array:
    """Medians along the first axis without its NaNs; NaN where there is nothing else."""
    ordered = np.sort(values, axis=0)  # NaN comes last
    count = np.isfinite(ordered).sum(axis=0)
    low, high = np.maximum(count - 1, 0) // 2, np.maximum(count, 1) // 2
    middle = [np.take_along_axis(ordered, at[None], axis=0)[0] for at in (low, high)]
    found: Array = (middle[0] + middle[1]) / 2
    return found
