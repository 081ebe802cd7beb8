"""Memory of this process as the kernel counts it, and of torch's allocator as it reports it."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.autograd.profiler import profile

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_HIGH_WATER_MARK = "5"
_M_MMAP_THRESHOLD = -3  # of glibc
_MAPPED_BYTES = 64 * 2**10


@dataclass(frozen=True)
class Peak:
    """Bytes held before a call and at its peak."""

    before: int
    peak: int


def status_bytes(field: str) -> int:
    """A size field of /proc/self/status (VmRSS, VmHWM, VmData) in bytes."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no field {field}")


def trim() -> None:
    """Give freed memory back to the kernel, so that the next peak is the next call's own.

    Without it a second identical call reuses the heap and its peak reads as nothing.
    """
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):  # glibc; other C libraries return memory at once
        libc.malloc_trim(0)


def held_bytes(device: torch.device) -> int:
    """What this process holds now (CUDA: in torch's allocator), freed memory given back."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
        return torch.cuda.memory_reserved(device)
    trim()
    return status_bytes("VmRSS")


def map_large_blocks() -> None:
    """Let malloc map every block of 64 KiB or more by itself, for as long as this process lives.

    What is freed goes back to the kernel at once, so that the high-water mark counts what is held
    and not the holes in a heap. It costs time: for processes, or passes, that nobody times.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)


def peak_of(call: Callable[[], object], device: torch.device) -> tuple[Peak, Any]:
    """Peak memory during one call, and the call's result.

    CPU: resident memory and the kernel's high-water mark, reset before the call. CUDA: bytes
    allocated through torch.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        result = call()
        torch.cuda.synchronize(device)
        return Peak(before, torch.cuda.max_memory_allocated(device)), result
    trim()
    before = status_bytes("VmRSS")
    _CLEAR_REFS.write_text(_RESET_HIGH_WATER_MARK)
    result = call()
    return Peak(before, status_bytes("VmHWM")), result


def allocator_peak(call: Callable[[], object], device: torch.device) -> int:
    """Highest sum of live bytes from torch's allocator during one call.

    Deterministic. It counts memory that is allocated and never touched, and misses what libraries
    allocate behind torch's back, so it stands beside the kernel's number, not in its place.
    """
    if device.type == "cuda":
        peak, _ = peak_of(call, device)
        return peak.peak - peak.before
    # Not torch.profiler.profile: it imports torch's compiler on entry, 2 s per process.
    with profile(profile_memory=True) as trace:
        call()
    if trace.kineto_results is None:
        raise RuntimeError("torch's profiler returned no events")
    events = [event for event in trace.kineto_results.events() if event.name() == "[memory]"]
    live = highest = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        highest = max(highest, live)
    return highest


def timeline(call: Callable[[], object], interval_s: float = 0.005) -> list[tuple[float, float]]:
    """Resident memory over time during one call: (seconds since its start, bytes).

    Sampled from another process, so it misses bursts and disturbs the call: for looking at, never
    the source of a peak or of a time.
    """
    from memory_profiler import memory_usage

    points = memory_usage((call, (), {}), interval=interval_s, timestamps=True)
    begin = points[0][1] if points else 0.0
    return [(round(moment - begin, 4), round(mib * 2**20)) for mib, moment in points]
