"""Least squares of every law on log residuals, for many samples at once.

A law a + b·g(n) is linear in (a, b), so that two coefficients that must not be negative have a
closed form; Gauss-Newton steps carry it over to residuals of ln T. Whole bootstraps are fitted as
one array.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmn_bench.analysis.covariance import whiten, whitening
from lmn_bench.analysis.laws import Array

# Four steps from a fit on relative residuals change nothing that matters any more.
STEPS = 4
# Samples × laws × lengths that are held at a time: 100,000 distinct lengths must not fill a memory.
_NUMBERS_AT_ONCE = 2_000_000
# A fitted value below this share of the measured one is as wrong as one can be; ln stays finite.
_LEAST_SHARE = 1e-3


@dataclass(frozen=True)
class Fits:
    """Every law fitted to every sample.

    Attributes:
        a, b: coefficients >= 0, (samples, laws), for functions scaled as `growth_functions` are.
        misfit: sum over lengths of squared log residuals by their variance, (samples, laws).
    """

    a: Array
    b: Array
    misfit: Array


def fit_laws(medians: Array, covariance: Array, functions: Array) -> Fits:
    """Fit laws to ln medians.

    Args:
        medians: (samples, lengths).
        covariance: of the medians, (lengths,) or (lengths, lengths).
        functions: g of every law, (laws, lengths).
    """
    by = whitening(covariance)
    at_once = max(1, _NUMBERS_AT_ONCE // functions.size)
    fits = [
        _fit(medians[start : start + at_once], by, functions)
        for start in range(0, len(medians), at_once)
    ]
    a, b, misfit = (
        np.concatenate([getattr(one, name) for one in fits]) for name in ("a", "b", "misfit")
    )
    return Fits(a, b, misfit)


def _fit(medians: Array, by: Array, functions: Array) -> Fits:
    middle = medians.mean(axis=1, keepdims=True)
    measured = (medians - middle)[:, None, :]  # around 0: nothing over- or underflows
    target = np.exp(measured)
    a, b = _non_negative(target, target, by, functions)
    best_a, best_b = a, b
    best = _misfit(measured, by, _values(a, b, functions, target))
    for _ in range(STEPS):
        values = _values(a, b, functions, target)
        wanted = values * (1 + measured - np.log(values))
        a, b = _non_negative(wanted, values, by, functions)
        misfit = _misfit(measured, by, _values(a, b, functions, target))
        better = misfit < best
        best = np.where(better, misfit, best)
        best_a, best_b = np.where(better, a, best_a), np.where(better, b, best_b)
    scale = np.exp(middle)
    return Fits(best_a * scale, best_b * scale, best)


def _values(a: Array, b: Array, functions: Array, target: Array) -> Array:
    values: Array = np.maximum(a[..., None] + b[..., None] * functions, _LEAST_SHARE * target)
    return values


def _misfit(measured: Array, by: Array, values: Array) -> Array:
    found: Array = (whiten(measured - np.log(values), by) ** 2).sum(axis=-1)
    return found


def _non_negative(target: Array, size: Array, by: Array, g: Array) -> tuple[Array, Array]:
    """Least squares of target / size on 1 / size and g / size, both coefficients >= 0.

    target and size: (samples, laws or 1, lengths), by: of `whitening`; g: (laws, lengths).
    """
    size = size / size.min(axis=-1, keepdims=True)  # squares of 1 / size must not overflow
    ones, grown, wanted = (whiten(v / size, by) for v in (np.ones_like(size), g, target))
    w, wg, wgg = _sum(ones, ones), _sum(ones, grown), _sum(grown, grown)
    wt, wtg = _sum(ones, wanted), _sum(grown, wanted)
    determinant = w * wgg - wg**2
    usable = determinant > 1e-12 * w * np.maximum(wgg, 1e-300)
    divisor = np.where(usable, determinant, 1.0)
    a = (wt * wgg - wtg * wg) / divisor
    b = (w * wtg - wg * wt) / divisor
    only_a = wt / w
    only_b = wtg / np.where(wgg > 0, wgg, 1.0)
    # a < 0: the floor is 0; b < 0 or no growth to fit: flat. Of errors that lengths share, both
    # may be below 0 alone too.
    flat = ~usable | (b < 0)
    floorless = ~flat & (a < 0)
    a = np.where(flat, np.maximum(only_a, 0.0), np.where(floorless, 0.0, a))
    b = np.where(flat, 0.0, np.where(floorless, np.maximum(only_b, 0.0), b))
    return a, b


def _sum(left: Array, right: Array) -> Array:
    """Sum over lengths: (samples, laws)."""
    found: Array = np.einsum("...n,...n->...", left, right)
    return found
