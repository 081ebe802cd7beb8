"""Made-up measurements that follow a law."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmn_bench.analysis.laws import growth_functions
from lmn_bench.analysis.sample import Sample, sample_of
from lmn_bench.schema import LAWS

OCTAVES = tuple(2**e for e in range(7, 18))


def truth(law: str, lengths: Sequence[int], overhead: float = 0.0) -> np.ndarray:
    """T(n), 1 at the longest length, of which `overhead` doesn't grow."""
    if law == "constant":
        return np.ones(len(lengths))
    return overhead + (1 - overhead) * growth_functions(lengths)[LAWS.index(law)]


def table(curve: np.ndarray, noise: float, processes: int = 5, seed: int = 0) -> np.ndarray:
    """Measured values, (processes, lengths): log-normal between processes."""
    errors = np.random.default_rng(seed).standard_normal((processes, len(curve)))
    return curve * np.exp(noise * errors)


def made_up(
    law: str,
    noise: float,
    *,
    overhead: float = 0.0,
    lengths: Sequence[int] = OCTAVES,
    processes: int = 5,
    seed: int = 0,
) -> Sample:
    """A sample that follows a law, every value from a process of its own."""
    return as_sample(lengths, table(truth(law, lengths, overhead), noise, processes, seed))


def as_sample(lengths: Sequence[int], values: np.ndarray) -> Sample:
    """A table of values as a sample."""
    return sample_of({n: values[:, i].tolist() for i, n in enumerate(lengths)})
