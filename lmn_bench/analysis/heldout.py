"""Does a law foretell lengths that it was not fitted to?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmn_bench.analysis.covariance import drawn
from lmn_bench.analysis.fitting import fit_laws
from lmn_bench.analysis.intervals import exponential
from lmn_bench.analysis.laws import growth_functions
from lmn_bench.analysis.sample import Sample
from lmn_bench.analysis.selection import Noise

# The largest lengths that are left out of the fit.
LEFT_OUT = 2
# Two coefficients from fewer lengths than this foretell nothing.
_LEAST_FITTED = 3
_QUANTILE = 1.96
_SIMULATIONS = 200
_SEED = 11


@dataclass(frozen=True)
class HeldOut:
    """A length left out of the fit: what the law predicted there, and what was measured."""

    length: float
    predicted: float
    low: float
    high: float
    measured: float

    @property
    def inside(self) -> bool:
        """Whether the measured value lies in the 95 % interval of the prediction."""
        return self.low <= self.measured <= self.high


def held_out(sample: Sample, noise: Noise, law: int) -> tuple[HeldOut, ...]:
    """Fit law number `law` without the two largest lengths and predict them.

    The interval holds the uncertainty of the fit (by simulation from its noise) and the noise of
    the two medians themselves. Empty where too few lengths would be left.
    """
    lengths, medians = sample.lengths, sample.medians
    kept = len(lengths) - LEFT_OUT
    if kept < _LEAST_FITTED:
        return ()
    every = growth_functions(lengths)[[law]]
    scale = every[:, kept - 1 : kept].copy()
    scale[scale == 0] = 1.0
    every = every / scale
    fitting = noise.part(slice(None, kept))
    rng = np.random.default_rng(_SEED)
    errors = drawn(fitting.covariance, rng.standard_normal((_SIMULATIONS, kept)))
    rows = medians[:kept] + np.vstack([np.zeros(kept), errors])
    fits = fit_laws(rows, fitting.covariance, every[:, :kept])
    curves = np.log(fits.a + fits.b * every[0, kept:])
    reach = _QUANTILE * np.sqrt(curves[1:].var(axis=0) + noise.variances[kept:])
    return tuple(
        HeldOut(
            lengths[kept + i],
            exponential(curves[0, i]),
            exponential(curves[0, i] - reach[i]),
            exponential(curves[0, i] + reach[i]),
            exponential(medians[kept + i]),
        )
        for i in range(LEFT_OUT)
    )
