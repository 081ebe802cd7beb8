"""Progress of `lmn-bench ab` on stderr, drawn between processes only."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console

from lmn_bench.cli.status_line import StatusLine
from lmn_bench.run.blocks import Ended, Step
from lmn_bench.units import format_duration, format_length


class GateProgress(StatusLine):
    """A status line: the stage, the process that runs, the time so far."""

    def __init__(
        self, console: Console, *, enabled: bool, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._stage = ""
        self._begin = now()
        self._now = now
        self._failed = 0
        super().__init__(console, enabled=enabled)

    def stage(self, words: str) -> None:
        """What begins now."""
        self._stage = words

    def step(self, step: Step) -> None:
        """Draw the line for a process that is about to run."""
        spent = format_duration(self._now() - self._begin)
        failed = f", {self._failed} ended badly" if self._failed else ""
        case = step.case
        self.draw(
            f"{self._stage} · process {step.done + 1:,} of {step.total:,}{failed} · {spent} so far",
            f"now:  {case.subject} {case.mode} {format_length(case.length)} on {case.device}, "
            f"{step.arm}",
        )

    def ended(self, event: Ended) -> None:
        """Take note of how it ended."""
        self._failed += event.record.is_failure
