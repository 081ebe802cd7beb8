"""Sizes tried out: the answer under the enforced cap, what is beyond it, and the true longest."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from lmn_bench.cli.console import stderr_console
from lmn_bench.run.backstop import Task
from lmn_bench.run.process import ForkServer
from lmn_bench.run.schedule import measure_task
from lmn_bench.schema import Case, Measuring
from lmn_bench.sizing.evidence import Evidence
from lmn_bench.sizing.predictor import Predictor, predictor
from lmn_bench.sizing.question import Answer
from lmn_bench.sizing.trial import BISECTION, Trial
from lmn_bench.units import format_bytes, format_length

# A bisection ends when it knows the longest to this share.
_PRECISION = 0.01
_FIRST_STEP = 1.06
_MOST_STEPS = 40
# One step beyond: where the whole interval is above the limit, and a little more.
_BEYOND = 1.02


def verify(
    told: Answer, found: Sequence[Evidence], *, bisect: bool, mechanism: str, timeout_s: float
) -> list[Trial]:
    """Run what was answered of every subject under the cap.

    Args:
        told: the answer.
        found: what it was foretold from.
        bisect: look for the true longest context too.
        mechanism: of the cap, "rlimit" or "cgroup".
        timeout_s: of each run.
    """
    trials: list[Trial] = []
    with ForkServer(cap_mechanism=mechanism) as server:
        for one in told.subjects:
            known = predictor(one.name, told.question, found)
            if known is None:
                continue
            trier = Trier(server, known, one.case, mechanism, timeout_s)
            if trier.budget_bytes <= 0:
                stderr_console().print(
                    f"{one.name}: not tried: the limit leaves nothing on top of the loaded model",
                    markup=False, soft_wrap=True,
                )  # fmt: skip
                continue
            trials += trier.once()
            if bisect:
                trials += trier.bisected()
    return trials


class Trier:
    """Runs one subject at several lengths under one cap."""

    def __init__(
        self, server: ForkServer, known: Predictor, case: Case, mechanism: str, timeout_s: float
    ) -> None:
        self._server, self._known = server, known
        limit = known.question.limits.memory_bytes
        assert limit is not None
        self._limit = limit
        need = known.memory(replace(case, length=min(case.length, known.longest)))
        self.budget_bytes = round(limit - need.floor - need.parameters)
        threads = case.threads or known.evidence.series.threads
        self._case = replace(case, threads=threads)
        self._measuring = Measuring(
            processes=1, timeout_s=timeout_s, timing=False, counters=False, needs=True,
            cap_mechanism=mechanism, malloc=known.evidence.malloc,
        )  # fmt: skip

    def once(self) -> list[Trial]:
        """The context asked for, and one that surely does not fit."""
        trials = []
        asked = min(self._case.length, self._known.longest)
        if self._expected(asked) is not False:
            trials.append(self.run(asked, "the context asked for"))
        beyond = self._first(lambda n: self._known.memory(self._at(n)).low > self._limit)
        if beyond is not None:
            trials.append(self.run(round(beyond * _BEYOND), "beyond the longest"))
        return trials

    def bisected(self) -> list[Trial]:
        """Ever closer to the longest that really fits; the last one that fitted is it."""
        start = self._first(lambda n: self._known.memory(self._at(n)).total > self._limit)
        if start is None:
            return [self.run(self._known.longest, "the end of the validated range")]
        low, high, at, step = 0, 0, max(1, start - 1), _FIRST_STEP
        trials: list[Trial] = []
        while len(trials) < _MOST_STEPS and (not low or not high or high > low * (1 + _PRECISION)):
            trial = self.run(at, BISECTION)
            trials.append(trial)
            if trial.fits is None:
                break
            low, high = (at, high) if trial.fits else (low, at)
            if low and high:
                at = (low + high) // 2
                if at in (low, high):
                    break
            else:
                at = max(1, round(at * step if trial.fits else at / step))
                step **= 1.5
            if at == low or (at == 1 and high == 1):
                break
        return trials

    def run(self, length: int, purpose: str) -> Trial:
        """One process at one length, under the cap."""
        case = replace(self._at(length), memory_cap_bytes=self.budget_bytes)
        stderr_console().print(
            f"{case.subject}: {format_length(length)} tokens under a budget of "
            f"{format_bytes(self.budget_bytes)} …",
            markup=False, soft_wrap=True,
        )  # fmt: skip
        record = measure_task(Task(case, 0, 0), self._measuring, 0, self._server, time.monotonic)
        return Trial(
            case.subject, length, case.batch, purpose, self.budget_bytes,
            record.cap_mechanism or self._measuring.cap_mechanism, self._expected(length),
            record.outcome.value, record.reason,
        )  # fmt: skip

    def _at(self, length: int) -> Case:
        return replace(self._case, length=length)

    def _expected(self, length: int) -> bool | None:
        need = self._known.memory(self._at(length))
        if need.high <= self._limit:
            return True
        return False if need.low > self._limit else None

    def _first(self, exceeds: Callable[[int], bool]) -> int | None:
        """The shortest length that exceeds something, up to what is promised; None if none does."""
        high = self._known.longest
        if not exceeds(high):
            return None
        low = 0
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if exceeds(middle) else (middle, high)
        return high
