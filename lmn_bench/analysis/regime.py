"""Over which lengths one law is looked for: all of them, or those above a break."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lmn_bench.analysis.breaks import BREAK_GAIN, REJECTED_GAIN, best_break
from lmn_bench.analysis.fitting import Fits
from lmn_bench.analysis.laws import growth_functions
from lmn_bench.analysis.sample import Sample, resampled
from lmn_bench.analysis.selection import (
    MAX_DELTA,
    REJECTION_LEVEL,
    STABLE_SHARE,
    Noise,
    Selection,
    noise_of,
    select,
    stability,
    without_flat,
)
from lmn_bench.disturbance import ENOUGH
from lmn_bench.schema import LAWS

_RESAMPLES = 400
# Of files of hundreds of thousands of rows, as many as take seconds.
_LEAST_RESAMPLES, _RESAMPLED_VALUES = 60, 20_000_000
_SEED = 20261123


@dataclass(frozen=True)
class Regime:
    """The lengths that laws are judged over, and the judgement.

    Attributes:
        sample: its measurements.
        noise: how sure its medians are.
        selection: of the sample itself.
        redone: fits to resampled runs.
        stability: share of resampled runs in which each law is within reach of the best.
        members: whether each law is in the set, by all four rules of `selection`.
        beyond: laws above `beyond_from`, a break which the data neither show nor exclude.
    """

    sample: Sample
    noise: Noise
    selection: Selection
    redone: Fits
    stability: npt.NDArray[np.float64]
    members: npt.NDArray[np.bool_]
    beyond: tuple[str, ...] = ()
    beyond_from: float | None = None

    @property
    def replicated(self) -> bool:
        """Whether every length has enough processes for an interval, and noise can be seen."""
        return bool(self.sample.counts.min() >= ENOUGH and self.sample.freedom)

    @property
    def order(self) -> list[int]:
        """Numbers of all laws, best first, those in the set before the others."""
        delta = self.selection.delta[0]
        return sorted(range(len(LAWS)), key=lambda k: (not self.members[k], delta[k]))


def find_regime(sample: Sample, seed: int) -> Regime:
    """Judge laws over all lengths, or above a break that improves AICc by `BREAK_GAIN`.

    Where noise rejects every law over all lengths, a gain of `REJECTED_GAIN` is enough.
    """
    noise = noise_of(sample)
    chosen = _select(sample, noise)
    broken = best_break(sample)
    if broken is None or broken.gain < -MAX_DELTA:
        return _judge(sample, noise, chosen, seed)
    upper = sample.last(broken.above)
    own = noise.part(slice(-broken.above, None))
    over = _select(upper, own)
    if broken.gain > (BREAK_GAIN if chosen.members.any() else REJECTED_GAIN):
        return _judge(upper, own, over, seed)
    whole = _judge(sample, noise, chosen, seed)
    seen = over.members[0] & ~(whole.members[0] & over.flat[0])
    beyond = tuple(law for law, possible in zip(LAWS, seen, strict=True) if possible)
    return replace(whole, beyond=beyond, beyond_from=upper.lengths[0] if beyond else None)


def _judge(sample: Sample, noise: Noise, chosen: Selection, seed: int) -> Regime:
    rejected = chosen.p_values[0] < REJECTION_LEVEL
    functions = growth_functions(sample.lengths)
    replicated = bool(sample.counts.min() >= ENOUGH and sample.freedom)
    # Resampling single values gives them back.
    enough = max(_LEAST_RESAMPLES, min(_RESAMPLES, _RESAMPLED_VALUES // sample.values.size))
    resamples = resampled(sample, enough if replicated else 1, _SEED + seed)
    redone, stable = stability(resamples, noise, functions, rejected)
    members = chosen.members[0]
    if replicated:
        near = (chosen.delta[0] <= MAX_DELTA) | (stable >= STABLE_SHARE)
        members = without_flat(~rejected & near, chosen.flat[0])
    return Regime(sample, noise, chosen, redone, stable, members)


def _select(sample: Sample, noise: Noise) -> Selection:
    return select(sample.medians[None], noise, growth_functions(sample.lengths))
