"""Progress of a suite that learns, on stderr: a line per training, a status line between."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.console import Console

from lmn_bench.cli.progress import TimeLeft
from lmn_bench.cli.status_line import StatusLine
from lmn_bench.cli.train_progress import unsaved_words
from lmn_bench.lessons import TEXT
from lmn_bench.plan import PlannedCase
from lmn_bench.run.backstop import Task
from lmn_bench.run.lessons import Progressed
from lmn_bench.run.schedule import Finished, Started
from lmn_bench.schema import Case, Outcome, Record
from lmn_bench.units import format_duration, format_number

# A loss moves by thousandths at the end.
_LOSS_DIGITS = 4


class LessonProgress(StatusLine):
    """Draws what a run of trainings tells.

    A line stays for every training that ends, on a terminal or not: hours may lie between them.
    """

    def __init__(
        self,
        console: Console,
        planned: Sequence[PlannedCase],
        records: Sequence[Record],
        replicates: int,
        seed: int,
        *,
        enabled: bool = True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console, self._enabled, self._now = console, enabled, now
        super().__init__(console, enabled=enabled)
        self._left = TimeLeft(planned, records, replicates)
        self._seed = seed
        self._done_before, self._begin = len(records), now()
        self._head, self._validation = "", ""
        self._later: Sequence[Task] = ()
        self._steps: int | None = None
        self._killed = False

    def started(self, event: Started, remaining: Sequence[Task]) -> None:
        """Draw the line of a training that is about to begin; `remaining` holds it and the rest."""
        done, total = event.done + self._done_before, event.total + self._done_before
        self._head, self._validation = f"{done + 1:,}/{total:,}", ""
        self._later, self._killed = remaining[1:], False
        self._draw(f"{self._words(event.task)} · loading", self._left.seconds(remaining))

    def progressed(self, event: Progressed) -> None:
        """Draw what the training tells."""
        told = event.told
        if event.what == "started":
            self._steps = told["steps"]
            if told["done"]:
                self._say(f"{self._words(event.task)}: going on from step {told['done']:,}")
            elif self._killed:
                self._say(f"{self._words(event.task)}: begun again, nothing had been saved")
            return
        if event.what == "killed":
            self._killed = True
            self._say(f"{self._words(event.task)}: {told['reason']}; continued by itself, once")
            return
        if event.what == "unsaved":
            self._say(f"{self._words(event.task)}: {unsaved_words(told)}")
            return
        if event.what == "validation":
            score = format_number(told["loss"], _LOSS_DIGITS)
            if not _is_text(event.task.case):
                score += f", {told['accuracy']:.1%} right"
            self._validation = f" · validation {score}"
            if not self.is_drawn:
                # In a log, the only sign of life for as long as a training takes.
                self._say(f"{self._words(event.task)}: step {told['step']:,}, validation {score}")
            return
        lesson, step = event.task.case.lesson, told["step"]
        spent, budget = told["seconds"], None if lesson is None else lesson.budget
        if self._steps is not None:
            where, left = f"step {step:,}/{self._steps:,}", spent / step * (self._steps - step)
        else:
            where, left = f"step {step:,}", (budget.amount if budget else 0.0) - spent
        loss = format_number(told["loss"], _LOSS_DIGITS)
        self._draw(f"{self._words(event.task)} · {where} · loss {loss}{self._validation}",
                   max(0.0, left) + self._left.seconds(self._later))  # fmt: skip

    def finished(self, event: Finished) -> None:
        """Say how a training ended."""
        record = event.record
        self._left.learn(record)
        self._say(f"{self._head} {self._words(event.task)}: {_ending(record)}")

    def stopping(self) -> None:
        """Say that Ctrl-C was heard."""
        self._say("stopping after this step, then saving (Ctrl-C again: at once)")

    def _draw(self, now: str, left_s: float) -> None:
        spent, left = format_duration(self._now() - self._begin), format_duration(left_s)
        self.draw(f"{self._head} · {spent} so far, about {left} left", f"now: {now}")

    def _words(self, task: Task) -> str:
        """Model, task, and what else tells this training from others of the suite."""
        lesson, seed = task.case.lesson, self._seed + task.replicate
        if lesson is None:
            return task.case.subject
        what = lesson.corpus if lesson.task == TEXT else lesson.task
        return f"{task.case.subject} on {what}, rate {lesson.learning_rate:g}, seed {seed}"

    def _say(self, line: str) -> None:
        if self._enabled:
            self._console.print(line, markup=False, soft_wrap=True)


def _ending(record: Record) -> str:
    if record.outcome is not Outcome.OK or record.learned is None:
        return f"{record.outcome.value}: {record.reason}"
    loss = format_number(record.metrics["validation_loss"], _LOSS_DIGITS)
    score = f"validation loss {loss}"
    if not _is_text(record.case):
        score = f"{record.metrics['accuracy']:.1%} right, {score}"
    took = format_duration(record.metrics["learning_s"])
    return f"{score} after {record.learned.steps:,} steps, {took}"


def _is_text(case: Case) -> bool:
    return case.lesson is not None and case.lesson.task == TEXT
