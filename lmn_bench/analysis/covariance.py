"""How sure several medians are together: a variance each, or a matrix where they share processes.

Everywhere a covariance is (lengths,) for independent medians or (lengths, lengths).
"""

from __future__ import annotations

import numpy as np

from lmn_bench.analysis.laws import Array


def whitening(covariance: Array) -> Array:
    """What makes errors of that covariance independent and of variance 1, for `whiten`."""
    if covariance.ndim == 1:
        one_by_one: Array = 1 / np.sqrt(covariance)
        return one_by_one
    inverse: Array = np.linalg.inv(np.linalg.cholesky(covariance))
    return inverse


def whiten(values: Array, by: Array) -> Array:
    """Values, (…, lengths), in units of their own errors."""
    whitened: Array = values * by if by.ndim == 1 else values @ by.T
    return whitened


def drawn(covariance: Array, normal: Array) -> Array:
    """Errors of that covariance from independent standard normal ones, (…, lengths)."""
    if covariance.ndim == 1:
        scaled: Array = normal * np.sqrt(covariance)
        return scaled
    mixed: Array = normal @ np.linalg.cholesky(covariance).T
    return mixed


def variances(covariance: Array) -> Array:
    """The variance of each, (lengths,)."""
    return covariance if covariance.ndim == 1 else np.diagonal(covariance)


def part(covariance: Array, lengths: slice | list[int]) -> Array:
    """The covariance of some of the lengths."""
    return covariance[lengths] if covariance.ndim == 1 else covariance[lengths][:, lengths]


def slope_of(values: Array, basis: Array, covariance: Array) -> tuple[Array, Array]:
    """Generalised least squares of values on 1 and each basis: slopes, and their information.

    Args:
        values: (samples, lengths).
        basis: (bases, lengths).
        covariance: of a sample's values.

    Returns:
        Slopes, (samples, bases), and 1 / variance of each, (bases,); 0 where a basis is constant.
    """
    by = whitening(covariance)
    level = whiten(np.ones(basis.shape[-1]), by)
    bases = whiten(basis, by)
    centred = bases - np.outer(bases @ level / (level @ level), level)
    information = (centred**2).sum(axis=-1)
    flat = information <= 1e-12 * (bases**2).sum(axis=-1)
    information = np.where(flat, 0.0, information)
    slopes = whiten(values, by) @ centred.T / np.where(flat, np.inf, information)
    return slopes, information
