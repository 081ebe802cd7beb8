"""Which replicates ran while the machine was slow or busy, by their reference loops and waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lmn_bench.schema import Outcome, Record

# Right after a model's work a quiet core takes up to 1.27 times its fastest for the reference loop;
# beside a busy neighbour it takes 1.5 to 2 times as long. 17 of the 1,175 processes of
# `results/reference-scaling` lie between, so any bound there tells the same ones apart.
DISTURBED = 1.3
# Waking a second thread takes as long as the loop itself on a quiet machine; where its core is
# taken, it waits for milliseconds: 50 times the loop.
PARALLEL_DISTURBED = 3.0
# Of a round's time that a thread of it had no core: what it moves a time by is no more than
# warmed-up samples may drift (`worker.timing.TOLERANCE`).
WAITED = 0.05
# Of a process's timed rounds: without a core for so long, they take `DISTURBED` times as long.
# Beside four busy loops on two cores it was 0.44 to 0.94 on one thread, 0.82 to 0.997 on two.
LOST = 1 - 1 / DISTURBED
# Of the slowest of several reference loops over the fastest: the machine kept its speed. In two
# comparisons of equal code in a noisy hour, half of all blocks of six processes kept to 1.06; what
# they said of new against base was within 1 to 4 %, what all blocks said within 2 to 20 %.
STEADY = 1.08
# An interval needs this many processes.
ENOUGH = 3

LOOP = "reference_loop_s"
PARALLEL_LOOP = "parallel_loop_s"


@dataclass(frozen=True)
class SlowLoops:
    """Reference loops above these tell of a slow machine.

    Attributes:
        loop_s: of the loop on one core; infinite where there is none to compare with.
        parallel_s: of the loop on all threads of a case, by their number.
    """

    loop_s: float
    parallel_s: Mapping[int, float]


def slow_loops(records: Iterable[Record]) -> SlowLoops:
    """`DISTURBED` times the fastest loop beside these records, and likewise on several threads."""
    records = list(records)
    parallel: dict[int, float] = {}
    for record in records:
        loop_s = record.metrics.get(PARALLEL_LOOP)
        if loop_s is not None:
            limit_s = PARALLEL_DISTURBED * loop_s
            parallel[record.threads] = min(parallel.get(record.threads, limit_s), limit_s)
    return SlowLoops(DISTURBED * best_loop_s(records), parallel)


def is_disturbed(record: Record, slow: SlowLoops) -> bool:
    """Whether what counts of the record's timing was beside slow loops, or had to wait."""
    parallel_s = record.metrics.get(PARALLEL_LOOP, 0.0)
    return (
        record.metrics.get(LOOP, 0.0) > slow.loop_s
        or parallel_s > slow.parallel_s.get(record.threads, parallel_s)
        or has_waited(record)
    )


def has_waited(record: Record) -> bool:
    """Whether the samples that count waited too long for a core, as no round was free of that."""
    watched = record.watched
    if watched is None or not watched.counted_waited_s:
        return False
    lost = lost_share(record) or 0.0
    return lost > LOST and watched.counted_waited_s > LOST * watched.counted_s


def lost_share(record: Record) -> float | None:
    """Share of its timed rounds for which others kept a core from the process; None: unknown.

    What the process itself ran on its cores, nobody kept from it: a model with more threads than
    cores waits for itself.
    """
    watched = record.watched
    if watched is None or not watched.timed_s:
        return None
    left_s = max(0.0, watched.cores * watched.timed_s - watched.timed_cpu_s)
    stolen_s = watched.stolen_s * watched.timed_s / watched.wall_s if watched.wall_s else 0.0
    if watched.waited_s is None:
        # Nobody tells who waited; but what others had, the process had not.
        others_s = watched.others_cpu_s * watched.timed_s / watched.wall_s if watched.wall_s else 0
        free_s = watched.cores * watched.timed_s - others_s - stolen_s
        return max(0.0, min(record.threads, watched.cores) * watched.timed_s - free_s) / (
            record.threads * watched.timed_s
        )
    # The kernel's count takes in what was waited between the clock's readings: no more than all.
    return min(watched.waited_s + stolen_s / watched.cores, left_s, watched.timed_s) / (
        watched.timed_s
    )


def is_steady(records: Sequence[Record]) -> bool:
    """Whether the machine had one speed beside all of these records, and none had to wait.

    Where there is no reference loop (CUDA, an older revision), nothing speaks against it.
    """
    if any(has_waited(record) for record in records):
        return False
    loops = [record.metrics.get(LOOP, 0.0) for record in records]
    return max(loops, default=0.0) <= STEADY * min(loops, default=0.0) or 0.0 in loops


def best_loop_s(records: Iterable[Record]) -> float:
    """The fastest reference loop beside these records (s); infinite where there is none."""
    return min((r.metrics[LOOP] for r in records if LOOP in r.metrics), default=float("inf"))


def quiet_lacking(records: Sequence[Record], slow: SlowLoops) -> int:
    """How many more undisturbed processes this case needs; 0 where more would not help."""
    good = [record for record in records if record.outcome is Outcome.OK]
    quiet = [record for record in good if not is_disturbed(record, slow)]
    return max(0, ENOUGH - len(quiet)) if len(good) >= ENOUGH else 0
