"""From which length on one subject is ahead of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lmn_bench.analysis.crossing import Crossing, crossing
from lmn_bench.analysis.ratios import ratio
from lmn_bench.analysis.results import TIME_UNITS, CaseResult, Series
from lmn_bench.analysis.stats import resampled_medians
from lmn_bench.disturbance import ENOUGH
from lmn_bench.metrics import metric as metric_named
from lmn_bench.schema import BACKSTOP_OUTCOMES, Outcome

Standing = Literal["ahead", "behind", "even"]


@dataclass(frozen=True)
class Comparison:
    """Two subjects at one length.

    `ratio` says how many times better A is (B over A where lower is better): above 1, A is ahead.
    It is None where one of them did not finish, and then `standing` is decided by that. Fewer than
    three processes give a ratio without an interval, and a standing of "even".
    """

    length: int
    ratio: float | None
    low: float | None
    high: float | None
    standing: Standing


@dataclass(frozen=True)
class Crossover:
    """How A stands against B over all lengths that both were tried at.

    Attributes:
        comparisons: by rising length.
        ahead_from: shortest length from which on A is ahead at every longer one; None if never.
        behind_until: longest length at which A is behind; None if at none.
        crossing: where between the lengths A overtakes B for good; None if not within the range.
    """

    metric: str
    comparisons: tuple[Comparison, ...]
    ahead_from: int | None
    behind_until: int | None
    crossing: Crossing | None = None


def crossover(a: Series, b: Series, metric: str) -> Crossover | None:
    """Compare two series length by length.

    None when they share no length with a result, or the machine disturbed the times compared.
    """
    if metric_named(metric).unit in TIME_UNITS and any(
        result.disturbed for result in (*a.values(), *b.values())
    ):
        return None
    found = []
    for length in sorted(set(a) & set(b)):
        comparison = _compare(a[length], b[length], metric)
        if comparison is not None:
            found.append(comparison)
    if not found:
        return None
    ahead_from = None
    for comparison in reversed(found):
        if comparison.standing != "ahead":
            break
        ahead_from = comparison.length
    behind = [comparison.length for comparison in found if comparison.standing == "behind"]
    behind_until = behind[-1] if behind else None
    where = _crossing(a, b, metric, [c.length for c in found if c.ratio is not None])
    return Crossover(metric, tuple(found), ahead_from, behind_until, where)


def _crossing(a: Series, b: Series, metric: str, lengths: list[int]) -> Crossing | None:
    if len(lengths) < 2:
        return None
    sign = -1 if metric_named(metric).better != "higher" else 1
    own, other = ([series[n].values[metric] for n in lengths] for series in (a, b))
    advantage = [
        sign * np.log(np.median(mine) / np.median(its))
        for mine, its in zip(own, other, strict=True)
    ]
    resamples = None
    if min(map(len, (*own, *other))) >= ENOUGH:
        columns = [
            resampled_medians(a[n].values[metric], a[n].salt)
            / resampled_medians(b[n].values[metric], b[n].salt)
            for n in lengths
        ]
        resamples = sign * np.log(np.stack(columns, axis=1))
    return crossing(lengths, np.array(advantage), resamples)


def _compare(a: CaseResult, b: CaseResult, metric: str) -> Comparison | None:
    of_a, of_b = a.values.get(metric), b.values.get(metric)
    length = a.case.length
    if of_a and of_b:
        lower_is_better = metric_named(metric).better != "higher"
        over, under = (b, a) if lower_is_better else (a, b)
        found = ratio(over, under, metric)
        if found is None:
            return None
        standing: Standing = "even"
        if found.low is not None and found.high is not None:
            standing = "ahead" if found.low > 1 else "behind" if found.high < 1 else "even"
        return Comparison(length, found.value, found.low, found.high, standing)
    if of_a and b.outcome is not Outcome.OK and _ran_out(b):
        return Comparison(length, None, None, None, "ahead")
    if of_b and a.outcome is not Outcome.OK and _ran_out(a):
        return Comparison(length, None, None, None, "behind")
    return None


def _ran_out(result: CaseResult) -> bool:
    """Whether it did not finish for want of memory or time (itself, or by the backstop)."""
    return result.outcome in BACKSTOP_OUTCOMES or result.limit is not None
