"""How one subject stands against another, length by length, and from which length on it is ahead.

The four words are all that is ever said of two subjects:

* level         the whole interval of their ratio lies within `LEVEL_MARGIN` of 1. Where all of it
                is on one side of 1, the difference is sure, and small: `Comparison.differs`;
* ahead, behind the interval lies on one side of 1, and reaches beyond the margin. Or one of them
                finished, while every process of the other ran out of time or memory;
* cannot tell   anything else, with the reason.

Where one of them failed, was skipped or was not measured at all, nothing is compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from lmn_bench.analysis.crossing import Crossing, crossing
from lmn_bench.analysis.endings import Ending, ending
from lmn_bench.analysis.ratios import Ratio, ratio
from lmn_bench.analysis.results import CaseResult, Series
from lmn_bench.analysis.stats import resampled_medians
from lmn_bench.disturbance import ENOUGH
from lmn_bench.metrics import TIME_UNITS
from lmn_bench.metrics import metric as metric_named
from lmn_bench.schema import Outcome

Standing = Literal["ahead", "behind", "level", "cannot tell"]
AHEAD: Final = "ahead"
BEHIND: Final = "behind"
LEVEL: Final = "level"
CANNOT_TELL: Final = "cannot tell"
# Neither takes more than 1.1 times as long as the other: what nobody would choose a model for, and
# as near as an idle machine of the kind that these runs are made on tells two models apart.
LEVEL_MARGIN: Final = 0.10

# Why it cannot be told.
Why = Literal["few processes", "wide interval", "partly finished", "unproved"]


@dataclass(frozen=True)
class Comparison:
    """Two subjects at one length.

    Attributes:
        length: tokens.
        ratio: how many times better A is (B over A where lower is better): above 1, A is better.
            None where one of them has no value, and the endings decide.
        low, high: its 95 % interval; None with fewer than three processes of either.
        standing: of A.
        why: it cannot be told; None where it can.
        a, b: how their cases ended.
        processes: values of A and of B.
    """

    length: int
    ratio: float | None
    low: float | None
    high: float | None
    standing: Standing
    why: Why | None
    a: Ending
    b: Ending
    processes: tuple[int, int]

    @property
    def differs(self) -> bool:
        """Whether the interval excludes 1, be the difference ever so small."""
        return self.low is not None and self.high is not None and not self.low <= 1 <= self.high


@dataclass(frozen=True)
class NotCompared:
    """A length at which nothing is compared, by how the cases of A and B ended."""

    length: int
    a: Ending
    b: Ending


@dataclass(frozen=True)
class Crossover:
    """How A stands against B over all lengths of either.

    Attributes:
        metric: that is compared.
        comparisons: by rising length.
        missing: lengths of either that nothing is compared at, rising.
        ahead_from: shortest length from which on A is ahead at every longer one that is compared;
            None if never.
        behind_until: longest length at which A is behind; None if at none.
        crossing: where between the lengths A overtakes B for good. None unless A is behind at
            some length and ahead from another one on, both by an interval.
    """

    metric: str
    comparisons: tuple[Comparison, ...]
    missing: tuple[NotCompared, ...]
    ahead_from: int | None
    behind_until: int | None
    crossing: Crossing | None = None

    @property
    def sure(self) -> tuple[Comparison, ...]:
        """Where its standing can be told."""
        return tuple(one for one in self.comparisons if one.standing != CANNOT_TELL)

    def at(self, standing: Standing) -> tuple[Comparison, ...]:
        """Where A stands so, by rising length."""
        return tuple(one for one in self.comparisons if one.standing == standing)


def crossover(a: Series, b: Series, metric: str) -> Crossover | None:
    """Compare two series at every length of either.

    None if one has no case at all, or the machine disturbed the times that are compared.
    """
    if metric_named(metric).unit in TIME_UNITS and any(
        result.disturbed for result in (*a.values(), *b.values())
    ):
        return None
    if not a or not b:
        return None
    found, missing = [], []
    for length in sorted(set(a) | set(b)):
        one = _compare(a, b, length, metric)
        if isinstance(one, Comparison):
            found.append(one)
        else:
            missing.append(one)
    ahead_from = None
    for comparison in reversed(found):
        if comparison.standing != AHEAD:
            break
        ahead_from = comparison.length
    behind = [comparison for comparison in found if comparison.standing == BEHIND]
    where = None
    if ahead_from is not None and any(one.ratio is not None for one in behind):
        where = _crossing(a, b, metric, [c.length for c in found if c.ratio is not None])
    behind_until = behind[-1].length if behind else None
    return Crossover(metric, tuple(found), tuple(missing), ahead_from, behind_until, where)


def _crossing(a: Series, b: Series, metric: str, lengths: Sequence[int]) -> Crossing | None:
    own, other = ([series[n].values[metric] for n in lengths] for series in (a, b))
    if min(map(len, (*own, *other))) < ENOUGH:
        return None
    sign = -1 if metric_named(metric).better != "higher" else 1
    advantage = [
        sign * np.log(np.median(mine) / np.median(its))
        for mine, its in zip(own, other, strict=True)
    ]
    columns = [
        resampled_medians(a[n].values[metric], a[n].salt)
        / resampled_medians(b[n].values[metric], b[n].salt)
        for n in lengths
    ]
    return crossing(lengths, np.array(advantage), sign * np.log(np.stack(columns, axis=1)))


def _compare(a: Series, b: Series, length: int, metric: str) -> Comparison | NotCompared:
    ends = ending(a, length), ending(b, length)
    of_a, of_b = (_values(series.get(length), metric) for series in (a, b))
    processes = len(of_a), len(of_b)
    if of_a and of_b:
        over, under = (a, b) if metric_named(metric).better == "higher" else (b, a)
        found = ratio(over[length], under[length], metric)
        if found is None:
            return NotCompared(length, *ends)
        standing, why = _standing(found, *ends)
        return Comparison(
            length, found.value, found.low, found.high, standing, why, *ends, processes
        )
    first, second = (end.kind for end in ends)
    if of_a and second in ("ran out", "unproved"):
        sure = second == "ran out" and first == "finished"
        return _by_endings(length, AHEAD if sure else CANNOT_TELL, *ends, processes)
    if of_b and first in ("ran out", "unproved"):
        sure = first == "ran out" and second == "finished"
        return _by_endings(length, BEHIND if sure else CANNOT_TELL, *ends, processes)
    return NotCompared(length, *ends)


def _values(result: CaseResult | None, metric: str) -> tuple[float, ...]:
    return result.values.get(metric, ()) if result and result.outcome is Outcome.OK else ()


def _by_endings(
    length: int, standing: Standing, a: Ending, b: Ending, processes: tuple[int, int]
) -> Comparison:
    why: Why | None = None
    if standing == CANNOT_TELL:
        why = "unproved" if "unproved" in (a.kind, b.kind) else "partly finished"
    return Comparison(length, None, None, None, standing, why, a, b, processes)


def _standing(found: Ratio, a: Ending, b: Ending) -> tuple[Standing, Why | None]:
    """What a ratio carries; a subject of which some processes ran out is no better than it seems.

    Its values are those of the processes that were quick enough: they can show that it is behind,
    never that it is ahead or level.
    """
    if found.low is None or found.high is None:
        return CANNOT_TELL, "few processes"
    if found.low >= 1 / (1 + LEVEL_MARGIN) and found.high <= 1 + LEVEL_MARGIN:
        standing: Standing = LEVEL
    elif found.low > 1:
        standing = AHEAD
    elif found.high < 1:
        standing = BEHIND
    else:
        return CANNOT_TELL, "wide interval"
    flattered = {"ahead": (a,), "behind": (b,)}.get(standing, (a, b))
    if any(end.kind == "partly" for end in flattered):
        return CANNOT_TELL, "partly finished"
    return standing, None
