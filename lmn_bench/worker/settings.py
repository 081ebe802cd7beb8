"""Settings of the whole process that a user's code may change while it is imported or built."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import torch

# Of a folder that was deleted.
_UNKNOWN_FOLDER = ""
# A timer that is kept goes off: whoever set it must be there.
_OF_TIMERS = frozenset({signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF})
_WORDS = {
    "default_dtype": "torch's default type", "default_device": "torch's default device",
    "deterministic": "torch's deterministic algorithms", "matmul_precision":
    "torch's float32 matrix product precision", "anomaly_detection": "torch's anomaly detection",
    "cores": "the cores that it may run on", "timer_s": "a timer (s)",
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """What a process is set to."""

    threads: int
    gradients: bool
    default_dtype: str
    default_device: str
    deterministic: bool
    matmul_precision: str
    anomaly_detection: bool
    cores: tuple[int, ...]
    timer_s: float
    folder: str
    handlers: tuple[tuple[int, object], ...]

    @classmethod
    def now(cls) -> Settings:
        """Those of this process."""
        return cls(
            torch.get_num_threads(), torch.is_grad_enabled(), str(torch.get_default_dtype()),
            str(torch.get_default_device()), torch.are_deterministic_algorithms_enabled(),
            torch.get_float32_matmul_precision(), torch.is_anomaly_enabled(),
            tuple(sorted(os.sched_getaffinity(0))), signal.getitimer(signal.ITIMER_REAL)[1],
            _folder(), tuple((n, signal.getsignal(n)) for n in sorted(signal.valid_signals())),
        )  # fmt: skip

    def restore(self, *, keep_folder: bool = False) -> list[str]:
        """Take back what a record states otherwise, and tell what has been changed since.

        Args:
            keep_folder: leave the working folder to the model, which may read files in it: where
                nothing of ours is named from there.
        """
        return list(self._restored(keep_folder))

    def _restored(self, keep_folder: bool) -> Iterator[str]:
        now = Settings.now()
        if now.threads != self.threads:
            torch.set_num_threads(self.threads)
            yield f"set torch's threads to {now.threads}: set back to the case's {self.threads}"
        if now.gradients != self.gradients:
            torch.set_grad_enabled(self.gradients)
            yield "switched gradients off: switched on again"
        if now.folder != self.folder and self.folder != _UNKNOWN_FOLDER:
            if not keep_folder:
                os.chdir(self.folder)
            how = ", and keeps it" if keep_folder else ": set back"
            yield f"changed the working folder to {now.folder}{how}"
        names = [_name(number) for number in self._handlers_restored(now)]
        if names:
            yield f"changed what signals do ({', '.join(names)}): set back"
        for field in fields(self):
            before, after = getattr(self, field.name), getattr(now, field.name)
            if field.name in _WORDS and before != after:
                # Its model may count on it, as it would by itself.
                yield f"set {_WORDS[field.name]} to {after} (was {before}), and keeps it"

    def _handlers_restored(self, now: Settings) -> Iterator[int]:
        """Signals that another handler was set for, with the earlier one again."""
        for (number, before), (_, after) in zip(self.handlers, now.handlers, strict=True):
            # None: not set by Python, which can set it no more.
            if before != after and before is not None and number not in _OF_TIMERS:
                signal.signal(number, before)  # type: ignore[arg-type]
                yield number


def _folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return _UNKNOWN_FOLDER


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
