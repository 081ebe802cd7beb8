"""A reference loop: is the machine itself slow just now, whatever is being measured?

Fixed arithmetic in registers takes the same time on a quiet core. On a shared machine it takes up
to 1.7 times as long while a neighbour is busy (seen on a 2-core virtual machine: a third of the
time, for milliseconds to seconds on end), and so does everything measured beside it. The loop is
timed between rounds and knows nothing of the model. Long rounds meet a slow spell more often than
short ones, so whole settings are judged by it, never single cases (`analysis.results`).
"""

from __future__ import annotations

import time

# About 70 µs of a 3 GHz core: long against the clock's cost, short against a round.
_ITERATIONS = 2000
# The fastest of a few: an interrupt hits one of them, a busy neighbour all.
_LOOPS = 3


class ReferenceLoop:
    """Times the loop on the core that the measuring thread is on.

    Moving that thread to look at other cores would do the harm it looks for: it would end up beside
    another thread of the model, on the same core.

    Attributes:
        best_s: fastest loop seen so far in this run.
    """

    def __init__(self, best_s: float = float("inf")) -> None:
        self.best_s = best_s

    def measure(self) -> float:
        """Seconds that the loop takes now."""
        loop_s = _fastest_loop_s()
        self.best_s = min(self.best_s, loop_s)
        return loop_s


def _fastest_loop_s() -> float:
    fastest = float("inf")
    for _ in range(_LOOPS):
        begin = time.perf_counter()
        total = 0
        for i in range(_ITERATIONS):
            total += i * i
        fastest = min(fastest, time.perf_counter() - begin)
    return fastest
