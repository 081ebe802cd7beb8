"""Which replicates ran while the machine itself was slow, by their reference loops."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lmn_bench.schema import Outcome, Record

# Right after a model's work a quiet core takes up to 1.27 times its fastest for the reference loop;
# beside a busy neighbour it takes 1.5 to 2 times as long. 17 of the 1,175 processes of
# `results/reference-scaling` lie between, so any bound there tells the same ones apart.
DISTURBED = 1.3
# Of the slowest of several reference loops over the fastest: the machine kept its speed. In two
# comparisons of equal code in a noisy hour, half of all blocks of six processes kept to 1.06; what
# they said of new against base was within 1 to 4 %, what all blocks said within 2 to 20 %.
STEADY = 1.08
# An interval needs this many processes.
ENOUGH = 3

_LOOP = "reference_loop_s"


def slow_loop_s(records: Iterable[Record]) -> float:
    """A reference loop above this (s) tells of a slow machine: `DISTURBED` times the fastest."""
    return DISTURBED * best_loop_s(records)


def is_disturbed(record: Record, limit_s: float) -> bool:
    """Whether the record's timing was beside reference loops slower than `limit_s`."""
    return record.metrics.get(_LOOP, 0.0) > limit_s


def is_steady(records: Sequence[Record]) -> bool:
    """Whether the machine had one speed beside all of these records.

    Where there is no reference loop (CUDA, an older revision), nothing speaks against it.
    """
    loops = [record.metrics.get(_LOOP, 0.0) for record in records]
    return max(loops, default=0.0) <= STEADY * min(loops, default=0.0) or 0.0 in loops


def best_loop_s(records: Iterable[Record]) -> float:
    """The fastest reference loop beside these records (s); infinite where there is none."""
    return min((r.metrics[_LOOP] for r in records if _LOOP in r.metrics), default=float("inf"))


def quiet_lacking(records: Sequence[Record], limit_s: float) -> int:
    """How many more undisturbed processes this case needs; 0 where more would not help."""
    good = [record for record in records if record.outcome is Outcome.OK]
    quiet = [record for record in good if not is_disturbed(record, limit_s)]
    return max(0, ENOUGH - len(quiet)) if len(good) >= ENOUGH else 0
