"""How many cases a suite has, counted before any of them is made."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import fields
from typing import Final

from lmn_bench.lessons import TEXT
from lmn_bench.schema import Suite, Sweep

# Five times the largest grid that comes to mind; at a second a case they take hours.
MAX_CASES: Final = 10_000
# At the 0.15 s that a process takes at least, two days.
MAX_PROCESSES: Final = 1_000_000

_OWN_LENGTHS = ("lengths", "task")


def cases_of(sweep: Sweep) -> int:
    """Cases of one sweep: tasks other than text have a length of their own."""
    axes = [field.name for field in fields(sweep) if field.name not in _OWN_LENGTHS]
    ways = sum(len(sweep.lengths) if task == TEXT else 1 for task in sweep.task)
    return ways * math.prod(len(getattr(sweep, axis)) for axis in axes)


def too_many(sweeps: Iterable[Sweep], replicates: int) -> str | None:
    """Why the cases of these sweeps are too many to be planned or measured; None if they aren't.

    Args:
        sweeps: of a suite.
        replicates: times that every case is measured.
    """
    cases = sum(map(cases_of, sweeps))
    if cases > MAX_CASES:
        return f"{cases:,} cases are too many: at most {MAX_CASES:,} in one suite"
    if cases * replicates > MAX_PROCESSES:
        return (
            f"{cases:,} cases × {replicates:,} are {cases * replicates:,} processes, and too many: "
            f"at most {MAX_PROCESSES:,} in one suite"
        )
    return None


def too_many_in(suite: Suite) -> str | None:
    """`too_many` of a whole suite."""
    return too_many(suite.sweeps, suite.replicates)
