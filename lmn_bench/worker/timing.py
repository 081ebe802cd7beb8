"""Warm up until steady, then sample until precise enough or out of time.

A *sample* is what one timed round yields: one number for a whole-sequence call, one per step for
a pass of decode. Nothing is thrown away: warm-ups are kept apart, every sample is returned.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from lmn_bench.disturbance import DISTURBED, PARALLEL_DISTURBED, WAITED
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

# How far above its fastest each reference loop tells of a slow machine.
_SLOW = (DISTURBED, PARALLEL_DISTURBED)

Round = Callable[[], tuple[float, ...]]


class Reference(Protocol):
    """Tells how the machine itself fares (`worker.reference.ReferenceLoops`; a fake in tests)."""

    best_s: tuple[float, ...]

    def measure(self) -> tuple[float, ...]:
        """Seconds that fixed loops take now: on one thread, then on all, if they are several."""
        ...

    def begin(self) -> None:
        """From here on is counted how long threads wait for a core."""
        ...

    def waited(self) -> float | None:
        """Seconds of the thread that waited most since `begin` or the last call."""
        ...


@dataclass(frozen=True)
class Waiting:
    """How long rounds took, their CPU time, and how long they had no core (s; None: unknown)."""

    timed_s: float
    cpu_s: float
    waited_s: float | None


@dataclass(frozen=True)
class Timing:
    """Raw samples of one process (s): one tuple per timed round.

    Attributes:
        warmup: rounds from before the samples were steady.
        rounds: what counts.
        disturbed: rounds beside a slow reference loop, or that waited for a core, set apart; empty
            if all rounds were.
        reference_s: median of each reference loop beside the rounds that count; empty without one.
        drifting: the two halves of the rounds that count still differed.
        waiting: of all rounds.
        counted_waiting: of those that count.
    """

    warmup: tuple[float, ...]
    rounds: tuple[tuple[float, ...], ...]
    disturbed: tuple[tuple[float, ...], ...]
    reference_s: tuple[float, ...]
    drifting: bool
    waiting: Waiting
    counted_waiting: Waiting


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
        reference: times the machine itself. Rounds beside a slow loop, and those that waited for a
            core, don't count towards the goals, for at most `quiet_wait_s` more; if none was
            quiet, all count.
    """
    warmup = [already_warm_s] if already_warm_s else []
    gc.collect()
    gc.disable()
    try:
        while sum(warmup) < measuring.warmup_limit_s and not is_steady(warmup):
            warmup.append(sum(take()))
        taken = _take_rounds(take, measuring, reference)
    finally:
        gc.enable()
    counted = [one for one in taken if one.is_quiet(reference)] or taken
    apart = [one for one in taken if one not in counted]
    rounds = tuple(one.samples for one in counted)
    return Timing(
        warmup=tuple(warmup),
        rounds=rounds,
        disturbed=tuple(one.samples for one in apart),
        reference_s=tuple(map(statistics.median, zip(*(o.loops_s for o in counted), strict=True))),
        drifting=_halves_differ([sum(r) for r in rounds]),
        waiting=_waiting(taken),
        counted_waiting=_waiting(counted),
    )


@dataclass(frozen=True, eq=False)
class _Taken:
    """A round, the slower readings of the loops around its group, and how long it waited."""

    samples: tuple[float, ...]
    loops_s: tuple[float, ...]
    waited_s: float | None
    cpu_s: float

    def is_quiet(self, reference: Reference | None) -> bool:
        if reference is None:
            return True
        if (self.waited_s or 0.0) > WAITED * sum(self.samples):
            return False
        limits = zip(self.loops_s, reference.best_s, _SLOW, strict=False)
        return all(loop_s <= best_s * slow for loop_s, best_s, slow in limits)


def _waiting(taken: Sequence[_Taken]) -> Waiting:
    waits = [one.waited_s for one in taken if one.waited_s is not None]
    timed_s = sum(sum(one.samples) for one in taken)
    return Waiting(timed_s, sum(one.cpu_s for one in taken), sum(waits) if waits else None)


def _take_rounds(take: Round, measuring: Measuring, reference: Reference | None) -> list[_Taken]:
    taken: list[_Taken] = []
    counted: list[float] = []
    spent_s = 0.0
    before = reference.measure() if reference else ()
    limit_s = measuring.time_goal_s + measuring.quiet_wait_s
    while not _enough(counted, measuring) and (
        len(taken) < measuring.min_samples or spent_s < limit_s
    ):
        group: list[tuple[tuple[float, ...], float | None, float]] = []
        durations: list[float] = []
        if reference:
            reference.begin()
        while sum(durations) < GROUP_S and not _enough([*counted, *durations], measuring):
            cpu_s = time.process_time()
            samples = take()
            cpu_s = time.process_time() - cpu_s
            group.append((samples, reference.waited() if reference else None, cpu_s))
            durations.append(sum(samples))
        spent_s += sum(durations)
        after = reference.measure() if reference else ()
        slower = tuple(map(max, before, after))
        found = [_Taken(samples, slower, waited_s, cpu_s) for samples, waited_s, cpu_s in group]
        counted += [sum(one.samples) for one in found if one.is_quiet(reference)]
        if len(taken) < measuring.max_samples <= len(taken) + len(found):
            # As many as are wanted, though some are beside the mark: wait for quiet, but no longer.
            limit_s = min(limit_s, spent_s + measuring.quiet_wait_s)
        taken += found
        before = after
    return taken


def _enough(durations: Sequence[float], measuring: Measuring) -> bool:
    if len(durations) < measuring.min_samples:
        return False
    if len(durations) >= measuring.max_samples or sum(durations) >= measuring.time_goal_s:
        return True
    return relative_precision(durations) <= measuring.precision_goal
