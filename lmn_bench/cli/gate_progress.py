"""Progress of `lmn-bench ab` on stderr, drawn between processes only."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from lmn_bench.run.blocks import Ended, Step
from lmn_bench.units import format_duration, format_length


class GateProgress:
    """A status line: the stage, the process that runs, the time so far.

    Silent when stderr isn't a terminal. Use it as a context manager.
    """

    def __init__(
        self, console: Console, *, enabled: bool, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._stage = ""
        self._begin = now()
        self._now = now
        self._failed = 0
        enabled = enabled and console.is_terminal
        # No refresh thread: it would wake up beside the process that is being timed.
        self._live = Live(console=console, auto_refresh=False, transient=True) if enabled else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def stage(self, words: str) -> None:
        """What begins now."""
        self._stage = words

    def step(self, step: Step) -> None:
        """Draw the line for a process that is about to run."""
        if self._live is None:
            return
        spent = format_duration(self._now() - self._begin)
        failed = f", {self._failed} ended badly" if self._failed else ""
        case = step.case
        lines = [
            f"{self._stage} · process {step.done + 1:,} of {step.total:,}{failed} · {spent} so far",
            f"now:  {case.subject} {case.mode} {format_length(case.length)} on {case.device}, "
            f"{step.arm}",
        ]
        self._live.update(Text("\n".join(lines), no_wrap=True, overflow="ellipsis"), refresh=True)

    def ended(self, event: Ended) -> None:
        """Take note of how it ended."""
        self._failed += event.record.is_failure
