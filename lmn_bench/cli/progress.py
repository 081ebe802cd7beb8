"""Progress on stderr, drawn between cases only: nothing runs beside the measured process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from rich.console import Console

from lmn_bench.cli.status_line import StatusLine
from lmn_bench.plan import OVERHEAD_PER_PROCESS_S, PlannedCase
from lmn_bench.run.backstop import Task
from lmn_bench.run.schedule import Finished, Started
from lmn_bench.schema import Case, Measuring, Record
from lmn_bench.units import format_duration, format_length, format_seconds


class TimeLeft:
    """Forecast of the time a sweep still needs.

    A case that has run in this sweep takes as long as it did; one that hasn't takes its forecast
    times how far forecasts have been off so far.
    """

    def __init__(
        self, planned: Iterable[PlannedCase], records: Iterable[Record], processes: int
    ) -> None:
        self._forecast = {
            item.case: item.seconds / processes if item.seconds else OVERHEAD_PER_PROCESS_S
            for item in planned
        }
        self._seen: dict[Case, float] = {}
        for record in records:
            self.learn(record)

    def learn(self, record: Record) -> None:
        """Take note of how long a replicate took (0 for one that wasn't run)."""
        self._seen[record.case] = record.wall_s

    def seconds(self, tasks: Iterable[Task]) -> float:
        """Forecast for the tasks that are left."""
        expected = sum(self._forecast.get(case, 0.0) for case in self._seen)
        off = sum(self._seen.values()) / expected if expected else 1.0
        return sum(
            self._seen[task.case]
            if task.case in self._seen
            else off * self._forecast.get(task.case, OVERHEAD_PER_PROCESS_S)
            for task in tasks
        )


class Progress(StatusLine):
    """A status line: the case that runs, the last result, done/total, failures, time left."""

    def __init__(
        self,
        console: Console,
        planned: Sequence[PlannedCase],
        records: Sequence[Record],
        measuring: Measuring,
        *,
        enabled: bool = True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._left = TimeLeft(planned, records, measuring.processes)
        self._failures = sum(record.is_failure for record in records)
        self._last = ""
        self._done_before = len(records)
        self._begin = now()
        self._now = now
        super().__init__(console, enabled=enabled)

    def started(self, event: Started, remaining: Sequence[Task]) -> None:
        """Draw the line for a case that is about to run."""
        done, total = event.done + self._done_before, event.total + self._done_before
        failures = f", {self._failures} failed" if self._failures else ""
        spent = format_duration(self._now() - self._begin)
        # Behind the planned tasks come those of disturbed cases, for as long as the suite allows.
        seconds = self._left.seconds(remaining)
        left = f"about {format_duration(seconds)} left" if remaining else "the last few"
        self.draw(
            f"{done:,}/{total:,}{failures} · {spent} so far, {left}",
            f"now:  {_words(event.task.case)} · process {event.task.replicate + 1}",
            f"last: {self._last}" if self._last else "",
        )

    def finished(self, event: Finished) -> None:
        """Take note of a result; it is drawn with the next case."""
        record = event.record
        self._left.learn(record)
        self._failures += record.is_failure
        latency = record.metrics.get("latency_s")
        ending = record.outcome.value if latency is None else format_seconds(latency)
        self._last = f"{_words(record.case)}: {ending}"


def _words(case: Case) -> str:
    where = ", ".join((case.device, *case.forms))
    return f"{case.subject} {case.mode} {format_length(case.length)} on {where}"
