"""NVIDIA GPUs through NVML: what they are, and what held them back during a measurement.

Not every card and driver answers every question; what isn't answered is None or empty.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pynvml

from lmn_bench.schema import Gpu

# Reasons for a clock below what was asked, as bits; the card's names for them in plain words.
THROTTLE_REASONS = {
    0x4: "software power cap",
    0x8: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
}


# A policy counts once it has held the clock back for this share of a span.
_HELD_BACK_SHARE = 0.01
_POLICIES = {
    pynvml.NVML_PERF_POLICY_POWER: "power limit",
    pynvml.NVML_PERF_POLICY_THERMAL: "temperature limit",
}


@dataclass(frozen=True)
class GpuUse:
    """What NVML saw of a GPU over a span of time.

    Attributes:
        power_w: mean power over the span, or the momentary one where the card counts no energy.
        throttle_reasons: what held its clock back during the span or at its end.
        energy_j: used in the span, where the card counts it.
        clock_hz: of its processors at the end of the span.
    """

    power_w: float | None
    throttle_reasons: tuple[str, ...]
    energy_j: float | None = None
    clock_hz: float | None = None


def read_gpus() -> tuple[Gpu, ...]:
    """The GPUs of this machine; none where there is no driver."""
    with _nvml() as present:
        if not present:
            return ()
        count = _asked(pynvml.nvmlDeviceGetCount) or 0
        return tuple(_gpu(index) for index in range(count))


@contextmanager
def watch_gpu(uuid: str) -> Iterator[Callable[[], GpuUse]]:
    """Watch the GPU with this UUID; the call handed out says what was seen since.

    The card's own counters are read at both ends: nothing runs beside the measurement.
    """
    with _nvml() as present:
        handle = _asked(pynvml.nvmlDeviceGetHandleByUUID, uuid) if present else None
        begin = _Reading.of(handle)
        yield lambda: _Reading.of(handle).since(begin)


def throttle_names(bits: int) -> tuple[str, ...]:
    """The reasons that are set in `bits`."""
    return tuple(name for bit, name in THROTTLE_REASONS.items() if bits & bit)


@dataclass(frozen=True)
class _Reading:
    moment_s: float
    energy_j: float | None = None
    power_w: float | None = None
    throttle_bits: int = 0
    clock_mhz: int | None = None
    held_back_s: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, handle: Any) -> _Reading:
        """What the card says now; nothing without a handle."""
        if handle is None:
            return cls(time.monotonic())
        energy_mj = _asked(pynvml.nvmlDeviceGetTotalEnergyConsumption, handle)
        power_mw = _asked(pynvml.nvmlDeviceGetPowerUsage, handle)
        violations = {
            name: _asked(pynvml.nvmlDeviceGetViolationStatus, handle, policy)
            for policy, name in _POLICIES.items()
        }
        return cls(
            moment_s=time.monotonic(),
            energy_j=None if energy_mj is None else energy_mj / 1e3,
            power_w=None if power_mw is None else power_mw / 1e3,
            throttle_bits=_asked(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle) or 0,
            clock_mhz=_asked(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_SM),
            held_back_s={n: v.violationTime / 1e9 for n, v in violations.items() if v is not None},
        )

    def since(self, begin: _Reading) -> GpuUse:
        """What was seen from `begin` to this reading."""
        span_s = self.moment_s - begin.moment_s
        power_w, energy_j = self.power_w, None
        if self.energy_j is not None and begin.energy_j is not None and span_s > 0:
            energy_j = self.energy_j - begin.energy_j
            power_w = energy_j / span_s
        held_back = tuple(
            name
            for name, total_s in self.held_back_s.items()
            if total_s - begin.held_back_s.get(name, total_s) > _HELD_BACK_SHARE * span_s
        )
        clock_hz = None if self.clock_mhz is None else self.clock_mhz * 1e6
        reasons = (*held_back, *throttle_names(self.throttle_bits))
        return GpuUse(power_w, reasons, energy_j, clock_hz)


def _gpu(index: int) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    power_mw = _asked(pynvml.nvmlDeviceGetEnforcedPowerLimit, handle)
    processes = _asked(pynvml.nvmlDeviceGetComputeRunningProcesses, handle) or []
    memory = _asked(pynvml.nvmlDeviceGetMemoryInfo, handle)
    return Gpu(
        name=_text(_asked(pynvml.nvmlDeviceGetName, handle) or f"GPU {index}"),
        memory_bytes=int(memory.total) if memory else 0,
        driver=_text(_asked(pynvml.nvmlSystemGetDriverVersion) or "unknown"),
        power_limit_w=None if power_mw is None else power_mw / 1e3,
        other_processes=sum(process.pid != os.getpid() for process in processes),
        throttle_reasons=throttle_names(
            _asked(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle) or 0
        ),
    )


@contextmanager
def _nvml() -> Iterator[bool]:
    """NVML for a while; False where there is no driver."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield False
        return
    try:
        yield True
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _asked(question: Callable[..., Any], *arguments: object) -> Any:
    """The answer, or None where the card or the driver has none."""
    try:
        return question(*arguments)
    except pynvml.NVMLError:
        return None


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
