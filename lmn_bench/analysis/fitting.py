"""Least squares of every law on log residuals, for many samples at once.

A law a + b·g(n) is linear in (a, b), so that two coefficients that must not be negative have a
closed form; Gauss-Newton steps carry it over to residuals of ln T. Whole bootstraps are fitted as
one array.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmn_bench.analysis.laws import Array

# Four steps from a fit on relative residuals change nothing that matters any more.
STEPS = 4
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


def fit_laws(medians: Array, variances: Array, functions: Array) -> Fits:
    """Fit laws to ln medians.

    Args:
        medians: (samples, lengths).
        variances: of the medians, (lengths,).
        functions: g of every law, (laws, lengths).
    """
    middle = medians.mean(axis=1, keepdims=True)
    measured = medians - middle  # around 0: nothing over- or underflows
    target = np.exp(measured)[:, None, :]
    precision = 1 / variances
    a, b = _non_negative(target, precision / target**2, functions)
    best_a, best_b = a, b
    best = _misfit(measured, precision, _values(a, b, functions, target))
    for _ in range(STEPS):
        values = _values(a, b, functions, target)
        wanted = values * (1 + measured[:, None, :] - np.log(values))
        a, b = _non_negative(wanted, precision / values**2, functions)
        misfit = _misfit(measured, precision, _values(a, b, functions, target))
        better = misfit < best
        best = np.where(better, misfit, best)
        best_a, best_b = np.where(better, a, best_a), np.where(better, b, best_b)
    scale = np.exp(middle)
    return Fits(best_a * scale, best_b * scale, best)


def _values(a: Array, b: Array, functions: Array, target: Array) -> Array:
    values: Array = np.maximum(a[..., None] + b[..., None] * functions, _LEAST_SHARE * target)
    return values


def _misfit(measured: Array, precision: Array, values: Array) -> Array:
    residuals = measured[:, None, :] - np.log(values)
    found: Array = np.einsum("sln,n->sl", residuals**2, precision)
    return found


def _non_negative(target: Array, weight: Array, g: Array) -> tuple[Array, Array]:
    """Weighted least squares of target on 1 and g with both coefficients >= 0.

    target and weight: (samples, laws or 1, lengths); g: (laws, lengths).
    """
    weight, target = np.broadcast_arrays(weight, target)
    w = weight.sum(axis=-1)
    wg = _sum(weight, g)
    wgg = _sum(weight, g**2)
    wt_all = weight * target
    wt = wt_all.sum(axis=-1)
    wtg = _sum(wt_all, g)
    determinant = w * wgg - wg**2
    usable = determinant > 1e-12 * w * np.maximum(wgg, 1e-300)
    divisor = np.where(usable, determinant, 1.0)
    a = (wt * wgg - wtg * wg) / divisor
    b = (w * wtg - wg * wt) / divisor
    only_a = wt / w
    only_b = wtg / np.where(wgg > 0, wgg, 1.0)
    # a < 0: the floor is 0; b < 0 or no growth to fit: flat. Never both, as T > 0.
    flat = ~usable | (b < 0)
    floorless = ~flat & (a < 0)
    a = np.where(flat, only_a, np.where(floorless, 0.0, a))
    b = np.where(flat, 0.0, np.where(floorless, only_b, b))
    return a, b


def _sum(values: Array, g: Array) -> Array:
    """Sum over lengths of values · g, law by law: (samples, laws)."""
    if values.shape[1] == 1:
        found: Array = values[:, 0, :] @ g.T
        return found
    return np.asarray(np.einsum("sln,ln->sl", values, g))
