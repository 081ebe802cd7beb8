"""Clocks: how long a call takes, on the CPU and on CUDA."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import torch


class Clock(Protocol):
    """Times calls in seconds."""

    def time(self, call: Callable[[], object], repeats: int = 1) -> float:
        """Seconds that `repeats` calls in a row take, all work finished."""
        ...


class CpuClock:
    """Wall clock; torch's CPU operations are synchronous."""

    def time(self, call: Callable[[], object], repeats: int = 1) -> float:
        """Seconds that `repeats` calls in a row take."""
        begin = time.perf_counter()
        for _ in range(repeats):
            call()
        return time.perf_counter() - begin


class CudaClock:
    """CUDA events around the calls, synchronised before and after: one call, not a full queue."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def time(self, call: Callable[[], object], repeats: int = 1) -> float:
        """Seconds between two events on the device's stream, with the calls between them."""
        begin = torch.cuda.Event(enable_timing=True)
        end = torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize(self._device)
        begin.record()
        for _ in range(repeats):
            call()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end)) / 1e3


def clock_for(device: torch.device) -> Clock:
    """The clock of a device."""
    return CudaClock(device) if device.type == "cuda" else CpuClock()
