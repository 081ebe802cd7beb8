"""Memory of this process as the kernel counts it, and of torch's allocator as it reports it."""

from __future__ import annotations

import ctypes
import gc
import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.autograd.profiler import profile

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_HIGH_WATER_MARK = "5"


@dataclass(frozen=True)
class Peak:
    """Memory of one call.

    Attributes:
        before: bytes held before it.
        peak: bytes held at most.
        reserved: address space that it took at most beyond what there was, touched or not; CUDA:
            the same of the allocator's blocks.
    """

    before: int
    peak: int
    reserved: int


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


def peak_of(call: Callable[[], object], device: torch.device) -> tuple[Peak, Any]:
    """Peak memory during one call, and the call's result.

    CPU: resident memory and the kernel's high-water mark, reset before the call. CUDA: bytes
    allocated through torch.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        before, blocks = torch.cuda.memory_allocated(device), torch.cuda.memory_reserved(device)
        result = call()
        torch.cuda.synchronize(device)
        reserved = torch.cuda.max_memory_reserved(device) - blocks
        return Peak(before, torch.cuda.max_memory_allocated(device), reserved), result
    trim()
    with _at_its_highest_address_space():
        before, space = status_bytes("VmRSS"), status_bytes("VmSize")
        _CLEAR_REFS.write_text(_RESET_HIGH_WATER_MARK)
        result = call()
        peak, highest = status_bytes("VmHWM"), status_bytes("VmPeak")
    return Peak(before, peak, highest - space), result


def start_mark(device: torch.device) -> None:
    """Forget how much memory there was at most so far; `marked_bytes` reads it from here on."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        _CLEAR_REFS.write_text(_RESET_HIGH_WATER_MARK)


def marked_bytes(device: torch.device) -> int:
    """Memory held at most since `start_mark` (CUDA: allocated through torch)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return status_bytes("VmHWM")


@contextmanager
def _at_its_highest_address_space() -> Iterator[None]:
    """Take as much address space as this process ever had, none of which can be touched.

    The kernel's mark of it cannot be reset: from here on, whatever is asked for raises it.
    """
    gap = status_bytes("VmPeak") - status_bytes("VmSize")
    if not gap:
        yield
        return
    with mmap.mmap(-1, gap, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=0):
        yield


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
