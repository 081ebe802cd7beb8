"""Blocks of processes: the arms of a comparison in random order, then the same in reverse."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lmn_bench.disturbance import best_loop_s, is_steady
from lmn_bench.run.backstop import Task
from lmn_bench.run.schedule import Spawner, measure_task
from lmn_bench.schema import Case, Measuring, Outcome, Record


@dataclass(frozen=True)
class Step:
    """The next process: `done` of the block's processes have ended before it."""

    block: int
    case: Case
    arm: str
    done: int
    total: int


@dataclass(frozen=True)
class Ended:
    """How it ended."""

    arm: str
    record: Record


class Blocks:
    """Measures blocks: two processes of each arm and case, replicates 2 b and 2 b + 1 of block b.

    Slow drift of the machine adds as much to the first half of a block as to the mirrored second.
    A case that ends badly in any arm is finished with its block: it has no times to compare. A
    block is given up where the machine changes its speed: nobody would count it.

    Args:
        measuring: how.
        seed: of the order and the weights.
        halves: 2; or 1, where nothing is timed.
        now: the clock of the parent (s).
    """

    def __init__(
        self,
        measuring: Measuring,
        seed: int,
        halves: int = 2,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._measuring = measuring
        self._seed = seed
        self._halves = halves
        self._now = now
        self._order = 0
        self._numbers: dict[Case, int] = {}
        self._first = 0
        self._best_loop_s = math.inf
        self.failed: set[Case] = set()

    def start_at(self, number: int) -> None:
        """From here on, every case's blocks have this number or a higher one."""
        self._first = number

    def run(
        self, cases: Sequence[Case], arms: Mapping[str, Spawner], until: float
    ) -> Iterator[Step | Ended]:
        """One block of each case in shuffled order; those that failed before are left out.

        Args:
            cases: what to measure.
            arms: a spawner for each version.
            until: no block is begun at or after this time (of the clock).
        """
        cases = [case for case in cases if case not in self.failed]
        total = self._halves * len(arms) * len(cases)
        order = random.Random(f"{self._seed} {self._order}").sample(cases, len(cases))
        for place, case in enumerate(order):
            if self._now() >= until:
                return
            yield from self._block(case, arms, place * self._halves * len(arms), total)

    def _block(
        self, case: Case, arms: Mapping[str, Spawner], done: int, total: int
    ) -> Iterator[Step | Ended]:
        number = max(self._numbers.get(case, 0), self._first)
        self._numbers[case] = number + 1
        shuffled = random.Random(f"{self._seed} {case.id} {number}").sample(list(arms), len(arms))
        order = [(arm, 0) for arm in shuffled]
        if self._halves == 2:
            order += [(arm, 1) for arm in reversed(shuffled)]
        records: list[Record] = []
        for at, (arm, half) in enumerate(order):
            yield Step(number, case, arm, done + at, total)
            task = Task(case, self._halves * number + half, self._order)
            self._order += 1
            record = measure_task(
                task, self._measuring, self._seed, arms[arm], self._now, self._best_loop_s
            )
            if record.outcome is not Outcome.OK:
                self.failed.add(case)
            yield Ended(arm, record)
            records.append(record)
            self._best_loop_s = min(self._best_loop_s, best_loop_s([record]))
            if self._halves == 2 and case not in self.failed and not is_steady(records):
                return
