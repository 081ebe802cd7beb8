"""Settings of the whole process that a user's code may change while it is imported or built."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch

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

    @classmethod
    def now(cls) -> Settings:
        """Those of this process."""
        return cls(
            torch.get_num_threads(), torch.is_grad_enabled(), str(torch.get_default_dtype()),
            str(torch.get_default_device()), torch.are_deterministic_algorithms_enabled(),
            torch.get_float32_matmul_precision(), torch.is_anomaly_enabled(),
            tuple(sorted(os.sched_getaffinity(0))), signal.getitimer(signal.ITIMER_REAL)[1],
        )  # fmt: skip

    def restore(self) -> list[str]:
        """Take back what a record states otherwise, and tell what has been changed since."""
        return list(self._restored())

    def _restored(self) -> Iterator[str]:
        now = Settings.now()
        if now.threads != self.threads:
            torch.set_num_threads(self.threads)
            yield f"set torch's threads to {now.threads}: set back to the case's {self.threads}"
        if now.gradients != self.gradients:
            torch.set_grad_enabled(self.gradients)
            yield "switched gradients off: switched on again"
        for field in fields(self):
            before, after = getattr(self, field.name), getattr(now, field.name)
            if field.name in _WORDS and before != after:
                # Its model may count on it, as it would by itself.
                yield f"set {_WORDS[field.name]} to {after} (was {before}), and keeps it"
