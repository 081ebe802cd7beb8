"""The growth laws: a + b·g(n) with a, b >= 0, for each g of `schema.LAWS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from lmn_bench.errors import UnknownNameError
from lmn_bench.schema import LAWS

Array = npt.NDArray[np.float64]

CONSTANT = "constant"
_FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    CONSTANT: np.zeros_like,
    "log n": np.log2,
    "log^2 n": lambda n: np.log2(n) ** 2,
    "sqrt n": np.sqrt,
    "n": lambda n: n,
    "n log n": lambda n: n * np.log2(n),
    "n log^2 n": lambda n: n * np.log2(n) ** 2,
    "n^2": lambda n: n**2,
}
assert tuple(_FUNCTIONS) == LAWS


def rank(law: str) -> int:
    """Place of a law by growth, 0 for constant.

    Raises:
        UnknownNameError: there is no such law.
    """
    if law not in LAWS:
        raise UnknownNameError("law", law, LAWS)
    return LAWS.index(law)


def growth_functions(lengths: Sequence[float]) -> Array:
    """g(n) of every law at every length (>= 1), shape (laws, lengths).

    Each row but the constant's is scaled to reach 1 at the longest length, so that b is the part
    that grows, in the metric's own unit.
    """
    n = np.asarray(lengths, dtype=np.float64)
    rows = np.stack([function(n) for function in _FUNCTIONS.values()])
    scale = rows[:, -1:].copy()
    scale[scale == 0] = 1.0
    scaled: Array = rows / scale
    return scaled


def law_exponent(law: str, lengths: Sequence[float]) -> float:
    """Mean local exponent d ln g / d ln n of a law between the first and the last length.

    a + b·g(n) with a > 0 has a smaller one, never a larger one.
    """
    if law == CONSTANT:
        return 0.0
    ends = np.maximum(np.array([lengths[0], lengths[-1]], dtype=np.float64), 2.0)
    low, high = np.log(_FUNCTIONS[law](ends))
    span = float(np.log(ends[1] / ends[0]))
    return float(high - low) / span if span else 0.0


def law_words(laws: Sequence[str]) -> str:
    """Laws as a person lists them: "log n or log^2 n"; "none of the laws" for none."""
    if not laws:
        return "none of the laws"
    return f"{', '.join(laws[:-1])} or {laws[-1]}" if len(laws) > 1 else laws[0]
