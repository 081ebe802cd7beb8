"""A reference loop: is the machine itself slow just now, whatever is being measured?

Fixed arithmetic in registers takes the same time on a quiet core. On a shared machine it takes up
to 1.7 times as long while a neighbour is busy (seen on a 2-core virtual machine: a third of the
time, for milliseconds to seconds on end), and so does everything measured beside it. The loop is
timed between rounds; it knows nothing of the subject, so setting rounds apart by it favours nobody.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

# About 70 µs of a 3 GHz core: long against the clock's cost, short against a round.
_ITERATIONS = 2000
# The fastest of a few: an interrupt hits one of them, a busy neighbour all.
_LOOPS = 3
# Checking more cores than this costs more than it tells.
_MOST_CPUS = 8


class ReferenceLoop:
    """Times the loop on the cores that a case uses.

    Attributes:
        best_s: fastest loop seen so far in this run.
    """

    def __init__(self, threads: int, best_s: float = float("inf")) -> None:
        cpus = sorted(os.sched_getaffinity(0))
        # One thread stays where it is; several may be on any core.
        self._cpus: Sequence[int] = cpus[:_MOST_CPUS] if threads > 1 else ()
        self._all = set(cpus)
        self.best_s = best_s

    def measure(self) -> float:
        """Seconds of the loop on the slowest of the cores."""
        if self._cpus:
            try:
                slowest = 0.0
                for cpu in self._cpus:
                    os.sched_setaffinity(0, {cpu})
                    slowest = max(slowest, _fastest_loop_s())
            finally:
                os.sched_setaffinity(0, self._all)
        else:
            slowest = _fastest_loop_s()
        self.best_s = min(self.best_s, slowest)
        return slowest


def _fastest_loop_s() -> float:
    fastest = float("inf")
    for _ in range(_LOOPS):
        begin = time.perf_counter()
        total = 0
        for i in range(_ITERATIONS):
            total += i * i
        fastest = min(fastest, time.perf_counter() - begin)
    return fastest
