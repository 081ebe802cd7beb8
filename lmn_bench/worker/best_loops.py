"""The fastest reference loops of a run so far, as the server hands them to its children."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from lmn_bench.disturbance import LOOP, PARALLEL_LOOP


class BestLoops:
    """The fastest loop on one thread, and those on several, by their number.

    Attributes:
        loop_s: on one thread (s).
    """

    def __init__(self, loop_s: float = inf) -> None:
        self.loop_s = loop_s
        self._parallel_s: dict[int, float] = {}

    def of(self, threads: int) -> tuple[float, ...]:
        """For a case of this many threads: on one, then on all of them if they are several."""
        return (self.loop_s, self._parallel_s.get(threads, inf))[: 1 + (threads > 1)]

    def learn(self, threads: int, metrics: Mapping[str, float]) -> None:
        """Take note of the loops beside a case of this many threads."""
        self.loop_s = min(self.loop_s, metrics.get(LOOP, inf))
        parallel_s = min(metrics.get(PARALLEL_LOOP, inf), self._parallel_s.get(threads, inf))
        self._parallel_s[threads] = parallel_s
