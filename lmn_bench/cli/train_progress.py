"""Progress of a training on stderr: what it is, a line per validation, a status line between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from lmn_bench.cli.status_line import StatusLine
from lmn_bench.units import format_count, format_duration, format_number

# A loss moves by thousandths at the end.
_LOSS_DIGITS = 4


class TrainProgress(StatusLine):
    """Draws what the learning process tells; not `enabled`, it says nothing either."""

    def __init__(self, console: Console, *, enabled: bool = True) -> None:
        self._console, self._enabled = console, enabled
        super().__init__(console, enabled=enabled)
        self._steps, self._first = 0, 0
        self._validation = ""

    def say(self, line: str) -> None:
        """One line that stays."""
        if self._enabled:
            self._console.print(line, markup=False, soft_wrap=True)

    def heard(self, name: str, content: Any) -> None:
        """Draw what was told under this name."""
        if name == "started":
            self._started(content)
        elif name == "step":
            self._draw(content)
        elif name == "validation":
            loss = format_number(content["validation_loss"], _LOSS_DIGITS)
            self.say(f"step {content['step']:,}: loss "
                     f"{format_number(content['loss'], _LOSS_DIGITS)}, validation loss {loss}, "
                     f"{_rate(content)}")  # fmt: skip
            self._validation = f" · validation {loss}"
            self._draw(content)
        elif name == "unsaved":
            # Not progress either.
            self._console.print(f"warning: {unsaved_words(content)}", markup=False, soft_wrap=True)

    def _started(self, content: Mapping[str, Any]) -> None:
        settings, corpus = content["settings"], content["corpus"]
        self._steps, self._first = settings["steps"], content["done"]
        for remark in content["remarks"]:
            # Not progress: quiet or not, nothing else says so.
            self._console.print(f"note: {remark}", markup=False, soft_wrap=True)
        threads = content["threads"]
        where = settings["device"] if settings["device"] != "cpu" else (
            f"{threads} thread" + ("s" if threads > 1 else ""))  # fmt: skip
        self.say(f"{content['parameters']:,} parameters, {content['vocabulary']:,} tokens in the "
                 f"vocabulary, {where}")  # fmt: skip
        self.say(f"corpus {corpus['name']}, sha256 {corpus['sha256'][:16]}…: "
                 f"{content['training_tokens']:,} tokens to learn from, "
                 f"{content['validation_tokens']:,} held out")  # fmt: skip
        if self._first:
            self.say(f"going on from step {self._first:,}")

    def _draw(self, content: Mapping[str, Any]) -> None:
        step, seconds = content["step"], content["seconds"]
        left = seconds / step * (self._steps - step)
        self.draw(
            f"{step:,}/{self._steps:,} · loss {format_number(content['loss'], _LOSS_DIGITS)}"
            f"{self._validation} · {_rate(content)} · about {format_duration(left)} left"
        )


def unsaved_words(told: Mapping[str, Any]) -> str:
    """That a save failed, and what becomes of the training."""
    kept = f"step {told['saved']:,} stays saved" if told["saved"] else "nothing is saved yet"
    return (
        f"step {told['step']:,} cannot be saved: {told['reason']}; {kept}; "
        "a second failure in a row ends the training"
    )


def _rate(content: Mapping[str, Any]) -> str:
    return f"{format_count(content['tokens'] / content['seconds'])} token/s"
