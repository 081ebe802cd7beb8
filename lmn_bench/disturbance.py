"""Which replicates ran while the machine itself was slow, by their reference loops."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lmn_bench.schema import Outcome, Record

# Right after a model's work a quiet core takes up to 1.27 times its fastest for the reference loop;
# beside a busy neighbour it takes 1.5 to 2 times as long. 17 of the 1,175 processes of
# `results/reference-scaling` lie between, so any bound there tells the same ones apart.
DISTURBED = 1.3
# An interval needs this many processes.
ENOUGH = 3

_LOOP = "reference_loop_s"


def slow_loop_s(records: Iterable[Record]) -> float:
    """A reference loop above this (s) tells of a slow machine: `DISTURBED` times the fastest."""
    loops = (record.metrics[_LOOP] for record in records if _LOOP in record.metrics)
    return DISTURBED * min(loops, default=float("inf"))


def is_disturbed(record: Record, limit_s: float) -> bool:
    """Whether the record's timing was beside reference loops slower than `limit_s`."""
    return record.metrics.get(_LOOP, 0.0) > limit_s


def quiet_lacking(records: Sequence[Record], limit_s: float) -> int:
    """How many more undisturbed processes this case needs; 0 where more would not help."""
    good = [record for record in records if record.outcome is Outcome.OK]
    quiet = [record for record in good if not is_disturbed(record, limit_s)]
    return max(0, ENOUGH - len(quiet)) if len(good) >= ENOUGH else 0
