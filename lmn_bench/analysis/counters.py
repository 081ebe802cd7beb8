"""What a counter says about growth: a formula, or the laws that come within a hundredth of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lmn.tree import slot_count
from lmn_bench.analysis.exact import Formula, formula, untried
from lmn_bench.analysis.laws import growth_functions
from lmn_bench.analysis.results import Series
from lmn_bench.analysis.sample import TOLERANCE
from lmn_bench.analysis.selection import Noise, select
from lmn_bench.metrics import METRICS
from lmn_bench.schema import LAWS, Case

# A law of two coefficients comes near nearly any three values.
LAW_LENGTHS = 4


@dataclass(frozen=True)
class Counter:
    """A counter along lengths.

    Attributes:
        values: (length, value), by rising length.
        formula: the exact sum that gives every value, if there is one.
        bound: the formula of the tree that it equals too, in words; None if it isn't one of slots.
        plausible: the law of the formula; without one, the laws that a + b·g(n) follows to within
            `TOLERANCE` and that AICc can't tell apart at that size of residual, best first.
        untried: laws whose formulas take more lengths than there are; none if one was found.
    """

    values: tuple[tuple[float, float], ...]
    formula: Formula | None
    bound: str | None
    plausible: tuple[str, ...]
    untried: tuple[str, ...] = ()


def counter_of(series: Series, metric: str) -> Counter | None:
    """A metric without noise along a series, or None where it has some, or no value at all."""
    if not METRICS[metric].exact:
        return None
    found = {n: set(r.values[metric]) for n, r in series.items() if r.values.get(metric)}
    if not found or any(len(values) > 1 for values in found.values()):
        return None
    values = {float(n): values.pop() for n, values in found.items()}
    exact = formula(values)
    bound = None
    if exact is not None and metric == "slots":
        bound = _tree_bound(next(iter(series.values())).case, values)
    plausible = (exact.law,) if exact is not None else _within_tolerance(values)
    left = () if exact is not None else untried(list(values))
    return Counter(tuple(sorted(values.items())), exact, bound, plausible, left)


def _tree_bound(case: Case, values: Mapping[float, float]) -> str | None:
    """Which form of 1 + K (L + v L (L + 1) / 2), K banks, expansion v, the slots equal."""
    banks = case.model.banks
    for expansion in (0, case.model.expansion):
        if all(slot_count(int(n), banks, expansion) == y for n, y in values.items()):
            sizes = f"K = {banks}, v = {expansion}"
            return f"1 + K(L + vL(L + 1)/2) with {sizes}"
    return None


def _within_tolerance(values: Mapping[float, float]) -> tuple[str, ...]:
    lengths = sorted(values)
    y = np.array([values[n] for n in lengths])
    if len(lengths) < LAW_LENGTHS or not (y > 0).all():
        return ()
    noise = Noise(np.full(len(lengths), TOLERANCE**2), None, len(lengths))
    chosen = select(np.log(y)[None], noise, growth_functions(lengths))
    order = np.argsort(chosen.delta[0])
    return tuple(LAWS[k] for k in order if chosen.members[0, k])
