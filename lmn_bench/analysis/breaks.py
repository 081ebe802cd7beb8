"""One break: an overhead floor or the edge of a cache, below which another law holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmn_bench.analysis.fitting import Fits, fit_laws
from lmn_bench.analysis.laws import growth_functions
from lmn_bench.analysis.sample import Sample
from lmn_bench.analysis.selection import REJECTION_LEVEL, Noise, lack_of_fit, noise_of

# Lengths on either side of a break, at least: fewer can be fitted by nearly any law.
MIN_ABOVE = 4
MIN_BELOW = 3
# A break is taken for real if it lowers AICc by more than this, or than the second number where
# noise rejects every law without one. There are many places and laws to choose from: at 10 % noise
# unbroken laws reach a gain of 4 in 4 % of made-up runs, and of 6 in up to 2 %.
BREAK_GAIN = 10.0
REJECTED_GAIN = 6.0
# Two laws with two coefficients each, the place of the break, and the noise.
_PARAMETERS = 6
# Two fits for each: of thousands of lengths, as many places as can be told apart on a chart.
_MAX_PLACES = 100


@dataclass(frozen=True)
class Break:
    """The best place for a break.

    Attributes:
        above: how many of the longest lengths lie above it.
        gain: by how much AICc is lower with it than without.
    """

    above: int
    gain: float


def best_break(sample: Sample) -> Break | None:
    """Where one law below and another above fit best; None with too few lengths or no noise.

    AICc counts six parameters: two laws of two coefficients, the place, and the noise. A law above
    the break must not be rejected by lack of fit.
    """
    noise = noise_of(sample)
    if not noise.freedom or noise.values <= _PARAMETERS + 1:
        return None
    without = _score(float(_fits(sample, noise).misfit.min()), noise, 3)
    found = None
    for above in _places(sample.lengths):
        low, high = sample.without_last(above), sample.last(above)
        own = noise.part(slice(-above, None))
        over = _fits(high, own)
        under = _fits(low, noise.part(slice(None, -above)))
        misfit = float(under.misfit.min() + over.misfit.min())
        gain = without - _score(misfit, noise, _PARAMETERS)
        better = found is None or gain > found.gain
        if better and (lack_of_fit(over, own) >= REJECTION_LEVEL).any():
            found = Break(above, gain)
    return found


def _places(lengths: Sequence[float]) -> list[int]:
    """How many lengths may lie above a break: every number, but of very many, spaced in ln n."""
    count = len(lengths)
    every = range(MIN_ABOVE, count - MIN_BELOW + 1)
    if len(every) <= _MAX_PLACES:
        return list(every)
    wanted = np.geomspace(lengths[MIN_BELOW], lengths[-MIN_ABOVE], _MAX_PLACES)
    above = count - np.searchsorted(np.array(lengths), wanted)
    return sorted({int(one) for one in above} & set(every))


def _fits(sample: Sample, noise: Noise) -> Fits:
    functions = growth_functions(sample.lengths)
    return fit_laws(sample.medians[None], noise.covariance, functions)


def _score(misfit: float, noise: Noise, parameters: int) -> float:
    """AICc as in `selection`, for any number of parameters."""
    assert noise.freedom
    correction = 2 * parameters * (parameters + 1) / (noise.values - parameters - 1)
    return float(noise.values * np.log1p(misfit / noise.freedom)) + 2 * parameters + correction
