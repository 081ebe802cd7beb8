"""Which laws the data can't tell apart: the set, never only a winner.

For a law with k parameters (its coefficients and the noise), N values of processes, and pure error
with nu degrees of freedom, the log-likelihood of normal errors on a log scale, with the noise put
at its best value, gives

    AICc = N ln(1 + X / nu) + 2 k + 2 k (k + 1) / (N - k - 1)

where X is the misfit of the medians by their variance: N ln of (pure error + lack of fit) but for
a constant that all laws share (Burnham & Anderson, Model Selection and Multimodel Inference, 2002,
section 2.4; N. R. Draper & H. Smith, Applied Regression Analysis, 1998, section 2.1 for pure
error). Four things decide on the set:

1. Lack of fit: X / (lengths - coefficients) is compared with F(lengths - coefficients, nu); a law
   that this rejects is out, whatever its rank. All laws may be.
2. AICc at most `MAX_DELTA` above the best of those that are left.
3. Or within `MAX_DELTA` of the best in `STABLE_SHARE` of bootstrap samples of whole processes: a
   law that the next run would let in again is not excluded.
4. Every law holds `constant` within it (b = 0), so that constant data reject none of them. Where
   constant is in the set, a law is left out if its growth over the whole range is surely (95 %)
   below `FLAT_RISE`: it says the same as constant.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import special

from lmn_bench.analysis import covariance as joint
from lmn_bench.analysis.fitting import Fits, fit_laws
from lmn_bench.analysis.laws import Array
from lmn_bench.analysis.sample import TOLERANCE, Sample, covariance_of

MAX_DELTA = 4.0
# Of the lack-of-fit test. Rare enough that a true law stays in the set in 95 % of cases.
REJECTION_LEVEL = 0.005
# Measured on seeds of their own (`tests/scripts/laws_table.py --tune` and others): without it the
# true law is missing in up to 8 % of sets at 10 % noise, with it in at most 3 %.
STABLE_SHARE = 0.4
# Less growth than this from the shortest to the longest length counts as none.
FLAT_RISE = 1.2
_NORMAL_QUANTILE = 1.96


@dataclass(frozen=True)
class Noise:
    """How sure the medians are.

    Attributes:
        covariance: of ln of the medians: (lengths,), or (lengths, lengths) where they share errors.
        freedom: degrees of freedom behind them; None where they are known; 0 where nothing is
            (one process): then the laws' own residuals are the only yardstick.
        values: number of values of processes.
    """

    covariance: Array
    freedom: int | None
    values: int

    @property
    def variances(self) -> Array:
        """Of ln of each median, (lengths,)."""
        return joint.variances(self.covariance)

    def part(self, lengths: slice) -> Noise:
        """Of some of the lengths, by as many degrees of freedom."""
        return replace(self, covariance=joint.part(self.covariance, lengths))


def noise_of(sample: Sample) -> Noise:
    """How sure a sample's medians are."""
    values = int(sample.counts.sum())
    if sample.effects is not None:
        # Values that only tell their own process's level say nothing of a law.
        values = sample.freedom + len(sample.lengths)
    return Noise(covariance_of(sample), sample.freedom, values)


@dataclass(frozen=True)
class Selection:
    """Laws judged for many samples; every array is (samples, laws).

    Attributes:
        fits: the fits.
        p_values: of the lack-of-fit test; 1 without pure error.
        delta: AICc above the best law that isn't rejected (above the best of all if all are).
        flat: whether a law cannot grow by `FLAT_RISE` over the range (rule 4), as if constant were
            in the set.
        members: whether a law is in the set by rules 1, 2 and 4.
    """

    fits: Fits
    p_values: Array
    delta: Array
    flat: npt.NDArray[np.bool_]
    members: npt.NDArray[np.bool_]


def select(medians: Array, noise: Noise, functions: Array) -> Selection:
    """Judge every law on every sample of ln medians, (samples, lengths); constant comes first."""
    fits = fit_laws(medians, noise.covariance, functions)
    p_values = lack_of_fit(fits, noise)
    score = aicc(fits.misfit, noise)
    rejected = p_values < REJECTION_LEVEL
    best = np.where(rejected, np.inf, score).min(axis=1, keepdims=True)
    best = np.where(np.isfinite(best), best, score.min(axis=1, keepdims=True))
    delta = score - best
    members = ~rejected & (delta <= MAX_DELTA)
    flat = _cannot_grow(medians, noise, functions)
    return Selection(fits, p_values, delta, flat, without_flat(members, flat))


def stability(
    resamples: Array, noise: Noise, functions: Array, rejected: npt.NDArray[np.bool_]
) -> tuple[Fits, Array]:
    """Fits to resampled ln medians, and how often each law is within `MAX_DELTA` of the best.

    Laws that lack of fit has rejected stay out.
    """
    fits = fit_laws(resamples, noise.covariance, functions)
    score = np.where(rejected, np.inf, aicc(fits.misfit, noise))
    best = score.min(axis=1, keepdims=True)
    if not np.isfinite(best).all():
        return fits, np.zeros(len(functions))
    found: Array = (score - best <= MAX_DELTA).mean(axis=0)
    return fits, found


def without_flat(
    members: npt.NDArray[np.bool_], flat: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Rule 4: (…, laws); constant comes first."""
    dropped = members[..., :1] & flat
    dropped[..., 0] = False
    kept: npt.NDArray[np.bool_] = members & ~dropped
    return kept


def lack_of_fit(fits: Fits, noise: Noise) -> Array:
    """P-values of rule 1; a coefficient at its bound of 0 doesn't count. 1 without pure error."""
    lengths, misfit = len(noise.covariance), fits.misfit
    spare = lengths - (fits.a > 0).astype(int) - (fits.b > 0)
    if noise.freedom == 0:
        return np.ones_like(misfit)
    usable = np.maximum(spare, 1)
    if noise.freedom is None:
        found = special.chdtrc(usable, misfit)
    else:
        found = special.fdtrc(usable, noise.freedom, misfit / usable)
    p_values: Array = np.where(spare > 0, found, 1.0)
    return p_values


def aicc(misfit: Array, noise: Noise) -> Array:
    """AICc but for a constant that all laws share; where N is too small for its correction, AIC."""
    laws = misfit.shape[-1]
    # constant has one coefficient, the others two; and the noise, where it isn't known
    parameters = np.where(np.arange(laws) == 0, 1.0, 2.0)
    if noise.freedom is None:
        known: Array = misfit + 2 * parameters
        return known
    parameters += 1
    if noise.freedom:
        deviance = noise.values * np.log1p(misfit / noise.freedom)
    else:
        # residuals below the tolerance tell no laws apart
        least = len(noise.variances) * TOLERANCE**2
        deviance = noise.values * np.log(misfit * noise.variances[0] + least)
    spare = noise.values - parameters - 1
    if (spare <= 0).any():
        spare = np.full(laws, np.inf)
    scores: Array = deviance + 2 * parameters + 2 * parameters * (parameters + 1) / spare
    return scores


def _cannot_grow(medians: Array, noise: Noise, functions: Array) -> npt.NDArray[np.bool_]:
    """Whether a law's growth over the range is surely within `FLAT_RISE`, up or down."""
    low, high = rise_limits(medians, noise, functions)
    flat: npt.NDArray[np.bool_] = (high < np.log(FLAT_RISE)) & (low > -np.log(FLAT_RISE))
    return flat


def rise_limits(medians: Array, noise: Noise, functions: Array) -> tuple[Array, Array]:
    """95 % limits of ln(last / first) if ln T is linear in g, as it is for little growth.

    Without pure error nothing is limited.
    """
    shape = (len(medians), len(functions))
    if noise.freedom == 0:
        return np.full(shape, -np.inf), np.full(shape, np.inf)
    slope, information = joint.slope_of(medians, functions, noise.covariance)
    span = functions[:, -1] - functions[:, 0]
    freedom = noise.freedom
    quantile = _NORMAL_QUANTILE if freedom is None else float(special.stdtrit(freedom, 0.975))
    # a constant has no slope to be unsure of
    reach = quantile / np.sqrt(np.where(information > 0, information, np.inf))
    return (slope - reach) * span, (slope + reach) * span
