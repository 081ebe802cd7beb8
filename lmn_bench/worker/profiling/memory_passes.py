"""Where memory goes: by part as torch allocates it, in all as the kernel sees it, and by line."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from lmn_bench.worker import memory
from lmn_bench.worker.profiling.held import held_by_site
from lmn_bench.worker.profiling.lines import functions_of, memory_by_line
from lmn_bench.worker.profiling.setting import Setting


def memory_passes(setting: Setting, *, lines: bool) -> dict[str, Any]:
    """Measure; the process has malloc lean, and has made the call before.

    The kernel's count comes first: what the profiler leaves in the heap would serve later calls.
    Of each call it is the larger of what was touched and what was asked for. The first misses
    tensors that are made and never filled, as oneDNN has them; the second, room in the heap. On
    CUDA it is what torch's allocator gave out.
    """
    call, sites = setting.call, len(setting.instruments.sites)
    on_cpu = setting.device.type == "cpu"
    whole = [
        max(0, one.peak - one.before, one.reserved if on_cpu else 0) for one in setting.peaks()
    ]
    resident = memory.timeline(lambda: call.run(call.prepare()))
    by_line = _lines(setting) if lines else None
    trace = setting.traced(memory=True)
    held = held_by_site(trace.allocations, sites, trace.begin_ns)
    return {
        "lean_bytes": int(statistics.median(whole)),
        "peak_bytes": list(held.peak_bytes),
        "freed_bytes": held.freed_bytes,
        "timeline": {"seconds": list(held.seconds), "points": [list(p) for p in held.points],
                     "peak_at": held.peak_at},
        "resident_timeline": [list(point) for point in resident],
        "lines": by_line,
    }  # fmt: skip


def _lines(setting: Setting) -> list[dict[str, Any]]:
    places = setting.instruments.places
    functions: list[Callable[..., Any]] = [place.function for place in places]
    if ":" in setting.case.subject:
        functions = functions_of(getattr(setting.subject, "model", setting.subject), setting.depth)
    prepared = setting.call.prepare()
    return memory_by_line(lambda: setting.call.run(prepared), functions)
