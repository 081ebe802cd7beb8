"""Could this design have told? By simulation from the fitted law and the fitted noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lmn_bench.analysis.covariance import drawn
from lmn_bench.analysis.laws import Array, growth_functions
from lmn_bench.analysis.sample import TOLERANCE
from lmn_bench.analysis.selection import Noise, select
from lmn_bench.schema import LAWS

# A design decides if at least this share of simulated runs leaves the true law alone in the set.
POWER_NEEDED = 0.8
SIMULATIONS = 300
_SEED = 7
_MORE_OCTAVES = (1, 2, 3, 4, 6)
_MORE_PROCESSES = (2, 4, 8, 16)
_SEARCH_SIMULATIONS = 150


@dataclass(frozen=True)
class Power:
    """How likely a design is to leave one law alone.

    Attributes:
        probability: that the set holds the best law and no other, were it the true one.
        excludes: for each law, how likely it is to be excluded then.
        lengths_to: longest length, in octaves up from the measured ones, that would do; None if
            none tried would, or none is needed.
        processes: processes per length that would do at the same lengths; None likewise.
        sought: whether other designs were tried at all.
    """

    probability: float
    excludes: tuple[tuple[str, float], ...] = ()
    lengths_to: float | None = None
    processes: int | None = None
    sought: bool = False

    @property
    def enough(self) -> bool:
        """Whether the design decides."""
        return self.probability >= POWER_NEEDED


def power(lengths: Sequence[float], noise: Noise, law: int, a: float, b: float) -> Power:
    """Were law number `law` true: how often it would be alone in the set, and others excluded.

    `b` is what grows until the longest length, as in `growth_functions`.
    """
    functions = growth_functions(lengths)
    members = _simulated(a + b * functions[law], noise, functions, SIMULATIONS)
    excluded = zip(LAWS, (float(share) for share in 1 - members.mean(axis=0)), strict=True)
    return Power(_alone(members, law), tuple(excluded))


def advise(
    lengths: Sequence[float], noise: Noise, counts: Array, law: int, a: float, b: float
) -> tuple[float | None, int | None]:
    """How far to go on in octaves, or how many processes to take, for the design to decide."""
    base = a + b * growth_functions(lengths)[law]
    longer = None
    for octaves in _MORE_OCTAVES:
        further = [lengths[-1] * 2.0**step for step in range(1, octaves + 1)]
        functions = growth_functions([*lengths, *further])
        # b is scaled to the longest measured length
        curve = a + b * functions[law] / (functions[law, len(lengths) - 1] or 1.0)
        variances = np.concatenate([noise.variances, np.full(octaves, noise.variances[-1])])
        share = len(variances) / len(lengths)
        design = _scaled(replace(noise, covariance=variances), share)
        if _decides(curve, design, functions, law):
            longer = further[-1]
            break
    for factor in _MORE_PROCESSES:
        variances = (noise.variances - TOLERANCE**2) / factor + TOLERANCE**2
        design = _scaled(replace(noise, covariance=variances), factor)
        functions = growth_functions(lengths)
        if _decides(base, design, functions, law):
            return longer, round(float(np.median(counts)) * factor)
    return longer, None


def _scaled(noise: Noise, factor: float) -> Noise:
    """Noise with that many times as many values."""
    freedom = None if noise.freedom is None else round(noise.freedom * factor)
    return replace(noise, freedom=freedom, values=round(noise.values * factor))


def _decides(curve: Array, noise: Noise, functions: Array, law: int) -> bool:
    members = _simulated(curve, noise, functions, _SEARCH_SIMULATIONS)
    return _alone(members, law) >= POWER_NEEDED


def _simulated(
    curve: Array, noise: Noise, functions: Array, simulations: int
) -> npt.NDArray[np.bool_]:
    """The sets of laws that a true curve and this noise lead to, (simulations, laws)."""
    errors = np.random.default_rng(_SEED).standard_normal((simulations, len(curve)))
    return select(np.log(curve) + drawn(noise.covariance, errors), noise, functions).members


def _alone(members: npt.NDArray[np.bool_], law: int) -> float:
    return float((members[:, law] & (members.sum(axis=1) == 1)).mean())
