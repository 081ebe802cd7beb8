"""The law of a counter: no noise, so that a formula either holds at every length or doesn't.

Counters of a tree are sums of steps: they grow with L = floor(log2 n), the number of levels. A law
holds exactly if non-trivially few terms, its own leading one among them, give every value:

    log n      1, L                     n          1, n         or 1, L, n        or 1, L, L², n
    log^2 n    1, L, L²                 n log n    1, n, nL     or 1, L, n, nL
    sqrt n     1, √n                    n log^2 n  1, n, nL, nL²
    constant   1                        n^2        1, n, n²     or 1, n, nL, n²

with a leading coefficient above 0, and at least two more lengths than terms, where lengths at which
all terms are equal count as one (any three steps lie on a parabola in L). The slowest law that
holds is the counter's: the terms of a faster one could only add to it with a coefficient of 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lmn_bench.analysis.laws import Array

# Lengths beyond the number of terms: with fewer, values that follow nothing would be met too.
SPARE_LENGTHS = 2
# Of a sum of floating-point terms; counters themselves are whole, or means of whole numbers.
_ROUNDING = 1e-9
_BASES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("constant", ("1",)),
    ("log n", ("1", "L")),
    ("log^2 n", ("1", "L", "L²")),
    ("sqrt n", ("1", "√n")),
    ("n", ("1", "n")),
    ("n", ("1", "L", "n")),
    ("n", ("1", "L", "L²", "n")),
    ("n log n", ("1", "n", "nL")),
    ("n log n", ("1", "L", "n", "nL")),
    ("n log^2 n", ("1", "n", "nL", "nL²")),
    ("n^2", ("1", "n", "n²")),
    ("n^2", ("1", "n", "nL", "n²")),
)


@dataclass(frozen=True)
class Formula:
    """A counter as an exact sum: coefficient · term, at every length.

    Attributes:
        law: the growth of its leading term.
        terms: (coefficient, term) for the terms that occur; L is floor(log2 n).
        lengths: how many lengths it holds at.
    """

    law: str
    terms: tuple[tuple[float, str], ...]
    lengths: int

    @property
    def text(self) -> str:
        """For example: 1 + 1.5·L + 0.5·L²."""
        parts = [
            f"{value:,.6g}" if term == "1" else term if value == 1 else f"{value:,.6g}·{term}"
            for value, term in self.terms
        ]
        return " + ".join(parts).replace("+ -", "- ") or "0"


def formula(values: Mapping[float, float]) -> Formula | None:
    """The slowest law that gives every value (>= 0) exactly, or None."""
    lengths = sorted(values)
    measured = np.array([values[n] for n in lengths], dtype=np.float64)
    if len(lengths) > SPARE_LENGTHS and not measured.any():
        return Formula("constant", ((0.0, "1"),), len(lengths))
    if not len(lengths) or not (measured > 0).all() or lengths[0] < 1:
        return None
    columns = _columns(np.array(lengths, dtype=np.float64))
    for law, names in _BASES:
        basis = np.stack([columns[name] for name in names], axis=1)
        if not _enough(basis):
            continue
        found = _solve(basis, measured)
        if found is not None and found[-1] > 0:
            kept = tuple((value, name) for value, name in zip(found, names, strict=True) if value)
            return Formula(law, kept, len(lengths))
    return None


def untried(lengths: Sequence[float]) -> tuple[str, ...]:
    """Laws none of whose formulas can be held against values at these lengths: they are too few."""
    columns = _columns(np.array(lengths, dtype=np.float64))
    tried = {
        law for law, names in _BASES if _enough(np.stack([columns[name] for name in names], axis=1))
    }
    return tuple(law for law in dict(_BASES) if law not in tried)


def _enough(basis: Array) -> bool:
    """Whether there are more lengths than terms by `SPARE_LENGTHS`; equal ones count as one."""
    lengths, terms = basis.shape
    distinct = lengths if terms == 1 else len(np.unique(basis, axis=0))
    return bool(distinct >= terms + SPARE_LENGTHS)


def _columns(n: Array) -> dict[str, Array]:
    level = np.frexp(n)[1] - 1.0  # floor(log2 n), exact
    return {
        "1": np.ones_like(n), "L": level, "L²": level**2, "√n": np.sqrt(n), "n": n,
        "nL": n * level, "nL²": n * level**2, "n²": n**2,
    }  # fmt: skip


def _solve(basis: Array, measured: Array) -> list[float] | None:
    """Coefficients that give every value to within rounding, or None; near-zero ones are 0."""
    relative = basis / measured[:, None]
    scale = np.abs(relative).max(axis=0)
    if not scale.all():
        return None
    scaled, _, order, _ = np.linalg.lstsq(relative / scale, np.ones(len(measured)), rcond=1e-13)
    if order < basis.shape[1] or np.abs(relative / scale @ scaled - 1).max() > _ROUNDING:
        return None
    # a share of the value that rounding alone could make is none
    kept = np.where(np.abs(scaled) < 1e3 * _ROUNDING, 0.0, scaled / scale)
    return [_tidy(float(value)) for value in kept]


def _tidy(value: float) -> float:
    """A coefficient without the rounding of the solution: halves and whole numbers as such."""
    nearest = round(value * 2) / 2
    return nearest if abs(value - nearest) <= 1e-6 * max(abs(value), 1.0) else value
