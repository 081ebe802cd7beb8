"""Warm up until steady, then sample until precise enough or out of time.

A *sample* is what one timed round yields: one number for a whole-sequence call, one per step for
a pass of decode. Nothing is thrown away: warm-ups are kept apart, every sample is returned.
"""

from __future__ import annotations

import gc
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from lmn_bench.disturbance import DISTURBED
from lmn_bench.schema import Measuring

# A block this long is 1,000 times the clock's own cost (about 50 ns), so that reading it adds
# less than 0.1 %.
MIN_BLOCK_S = 5e-5
# Steady means: the halves of the last WINDOW rounds have medians within TOLERANCE of each other.
WINDOW = 8
TOLERANCE = 0.05
# The machine is asked how slow it is after this much timed work.
GROUP_S = 5e-3
# Order statistics of fewer samples say nothing about the median at 95 %.
MIN_FOR_PRECISION = 20

Round = Callable[[], tuple[float, ...]]


class Reference(Protocol):
    """Tells how slow the machine itself is (`worker.reference.ReferenceLoop`; a fake in tests)."""

    best_s: float

    def measure(self) -> float:
        """Seconds that a fixed loop takes now."""
        ...


@dataclass(frozen=True)
class Timing:
    """Raw samples of one process (s): one tuple per timed round.

    Attributes:
        warmup: rounds from before the samples were steady.
        rounds: what counts.
        disturbed: rounds beside a slow reference loop, set apart; empty if all rounds were.
        reference_s: median reference loop beside the rounds that count; None without one.
        drifting: the two halves of the rounds that count still differed.
    """

    warmup: tuple[float, ...]
    rounds: tuple[tuple[float, ...], ...]
    disturbed: tuple[tuple[float, ...], ...]
    reference_s: float | None
    drifting: bool


def block_size(one_call_s: float) -> int:
    """Calls per block so that a block outlasts the clock's own cost."""
    return max(1, math.ceil(MIN_BLOCK_S / max(one_call_s, 1e-9)))


def is_steady(durations: Sequence[float]) -> bool:
    """Whether the two halves of the last `WINDOW` durations agree."""
    return len(durations) >= WINDOW and not _halves_differ(durations[-WINDOW:])


def _halves_differ(durations: Sequence[float]) -> bool:
    if len(durations) < WINDOW:
        return False
    middle = len(durations) // 2
    first, second = statistics.median(durations[:middle]), statistics.median(durations[middle:])
    return abs(first - second) > TOLERANCE * min(first, second)


def relative_precision(durations: Sequence[float]) -> float:
    """Half the width of the median's 95 % interval (order statistics), relative to the median.

    The samples share a process, so this only decides when more of them stop helping; intervals in
    reports come from the spread between processes.
    """
    count = len(durations)
    if count < MIN_FOR_PRECISION:
        return math.inf
    ordered = sorted(durations)
    half = 0.98 * math.sqrt(count)  # 1.96 × sd of a binomial(count, 1/2)
    low = ordered[max(0, math.floor(count / 2 - half))]
    high = ordered[min(count - 1, math.ceil(count / 2 + half))]
    return (high - low) / 2 / statistics.median(ordered)


def sample(
    take: Round,
    measuring: Measuring,
    already_warm_s: float = 0.0,
    reference: Reference | None = None,
) -> Timing:
    """Warm up, then take rounds until the precision or time goal of `measuring` is met.

    Args:
        take: one round; returns its samples in seconds.
        measuring: goals and limits.
        already_warm_s: duration of an equal call made just before (the memory pass); it counts
            as the first warm-up, so that a call of seconds isn't repeated just to get warm.
        reference: times the machine itself. Rounds beside a slow loop don't count towards the
            goals, for at most `quiet_wait_s` more; if none was quiet, all count.
    """
    warmup = [already_warm_s] if already_warm_s else []
    gc.collect()
    gc.disable()
    try:
        while sum(warmup) < measuring.warmup_limit_s and not is_steady(warmup):
            warmup.append(sum(take()))
        groups = _take_groups(take, measuring, reference)
    finally:
        gc.enable()
    limit = math.inf if reference is None else reference.best_s * DISTURBED
    counted = [group for group in groups if group.reference_s <= limit] or groups
    apart = [group for group in groups if group not in counted]
    rounds = tuple(r for group in counted for r in group.rounds)
    beside = statistics.median(group.reference_s for group in counted)
    return Timing(
        warmup=tuple(warmup),
        rounds=rounds,
        disturbed=tuple(r for group in apart for r in group.rounds),
        reference_s=None if reference is None else beside,
        drifting=_halves_differ([sum(r) for r in rounds]),
    )


@dataclass(frozen=True, eq=False)
class _Group:
    """Rounds between two readings of the reference loop, and the slower of the two."""

    rounds: tuple[tuple[float, ...], ...]
    reference_s: float


def _take_groups(take: Round, measuring: Measuring, reference: Reference | None) -> list[_Group]:
    groups: list[_Group] = []
    counted: list[float] = []
    spent_s = 0.0
    before = reference.measure() if reference else 0.0
    limit_s = measuring.time_goal_s + measuring.quiet_wait_s
    taken = 0
    while not _enough(counted, measuring) and (taken < measuring.min_samples or spent_s < limit_s):
        rounds: list[tuple[float, ...]] = []
        while sum(map(sum, rounds)) < GROUP_S and not _enough(
            [*counted, *map(sum, rounds)], measuring
        ):
            rounds.append(take())
        durations = [sum(one_round) for one_round in rounds]
        spent_s += sum(durations)
        taken += len(durations)
        after = reference.measure() if reference else 0.0
        groups.append(_Group(tuple(rounds), max(before, after)))
        if reference is None or groups[-1].reference_s <= reference.best_s * DISTURBED:
            counted.extend(durations)
        before = after
    return groups


def _enough(durations: Sequence[float], measuring: Measuring) -> bool:
    if len(durations) < measuring.min_samples:
        return False
    if len(durations) >= measuring.max_samples or sum(durations) >= measuring.time_goal_s:
        return True
    return relative_precision(durations) <= measuring.precision_goal
