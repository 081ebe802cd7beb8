"""Operators by part and function: what torch's profiler saw of one call."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch._C._profiler import _EventType, _RecordFunctionFast
from torch.autograd.profiler import profile

from lmn.atomic import replacing
from lmn_bench.disk import disk_words
from lmn_bench.errors import StoreError
from lmn_bench.worker.profiling.graph import Trail, numbered_nodes
from lmn_bench.worker.profiling.parts import Site

_PREFIX: Final = "part "
_ENGINE: Final = "autograd::engine::evaluate_function"
# How the engine's own time is called, whatever node it runs.
ENGINE: Final = "autograd engine"
# A trace ends in a brace, and perhaps in an end of line.
_TRACE_END_BYTES: Final = 16


class PartRanges:
    """A probe that opens a named range per site, which torch's profiler records.

    Attributes:
        backward_sites: site of every autograd node that ran, by its number.
    """

    def __init__(self, sites: list[Site]) -> None:
        self.names = [f"{_PREFIX}{site.part} / {site.function}" for site in sites]
        self.backward_sites: dict[int, int] = {}
        self._open: list[Any] = []
        self._trail = Trail()

    def enter(self, site: int) -> int:
        """Open a range inside the one that is open."""
        depth = len(self._open)
        self._begin(site)
        return depth

    def leave(self, before: int, value: Any) -> Any:
        """Close it, and whatever it was marked on to."""
        while len(self._open) > before:
            self._open.pop()[0].__exit__(None, None, None)
        self._trail.note(self._open[-1][1] if self._open else 0)
        return value

    def mark(self, site: int) -> None:
        """Close the innermost range and open another in its place."""
        self._open.pop()[0].__exit__(None, None, None)
        self._begin(site)

    def begin_backward(self, roots: Any) -> None:
        """Note which node belongs to which site."""
        for number, _ in numbered_nodes(roots):
            self.backward_sites[number] = self._trail.site_of(number)

    def end_backward(self) -> None:
        """Nothing was opened for it."""

    def _begin(self, site: int) -> None:
        opened = _RecordFunctionFast(self.names[site])
        opened.__enter__()
        self._open.append((opened, site))
        self._trail.note(site)


@dataclass
class Use:
    """What an operator took in one call: how often it ran, and its own time (ns)."""

    calls: int = 0
    self_ns: int = 0


@dataclass
class Allocation:
    """Memory taken (bytes > 0) or given back (< 0) at some address and moment."""

    moment_ns: int
    address: int
    bytes: int
    site: int


@dataclass
class Trace:
    """One call under the profiler.

    Attributes:
        seconds: that it took, the profiler's cost included.
        uses: by site and operator.
        between_ns: by site: inside of it and outside of any operator.
        allocations: in their order.
        begin_ns: when it began, on the profiler's clock.
    """

    seconds: float
    uses: dict[tuple[int, str], Use] = field(default_factory=dict)
    between_ns: dict[int, int] = field(default_factory=dict)
    allocations: list[Allocation] = field(default_factory=list)
    begin_ns: int = 0


def trace_call(
    call: Callable[[], object],
    sites: list[Site],
    installed: Callable[[Any], AbstractContextManager[None]],
    *,
    device: torch.device,
    memory: bool = False,
    save_to: Path | None = None,
) -> Trace:
    """Run `call` under the profiler.

    Args:
        call: the work.
        sites: by number.
        installed: makes the subject tell a probe where it is, as long as it lasts.
        device: where the work runs.
        memory: record allocations; times are then worth less.
        save_to: file for a Chrome trace, gzipped.
    """
    ranges = PartRanges(sites)
    use_device = "cuda" if device.type == "cuda" else None
    # Not torch.profiler.profile: it imports torch's compiler on entry, 2 s per process.
    profiled = profile(profile_memory=memory, use_device=use_device)
    with installed(ranges), profiled:
        begin = time.perf_counter()
        call()
        if use_device:
            torch.cuda.synchronize(device)
        seconds = time.perf_counter() - begin
    results = profiled.kineto_results
    if results is None:
        raise RuntimeError("torch's profiler returned no events")
    trace = Trace(seconds)
    _read_tree(results.experimental_event_tree(), ranges, trace, device)
    if use_device:
        _use_device_times(results, ranges, trace)
    if save_to is not None:
        save_gzipped(profiled, save_to)
    return trace


def _read_tree(roots: list[Any], ranges: PartRanges, trace: Trace, device: torch.device) -> None:
    site_of_range = {name: site for site, name in enumerate(ranges.names)}
    backward_site = 0
    trace.begin_ns = min((event.start_time_ns for event in roots), default=0)
    for event, outer, children in _depth_first(roots):
        site = outer[0]
        if event.tag == _EventType.Allocation:
            fields = event.extra_fields
            if fields.device.type == device.type:
                trace.allocations.append(
                    Allocation(event.start_time_ns, fields.ptr, fields.alloc_size, site)
                )
            continue
        if event.tag != _EventType.TorchOp:
            continue
        name = event.name
        if name in site_of_range:
            site = site_of_range[name]
        elif name.startswith(_ENGINE):
            # Sums of a parameter's gradients run right behind the node that they come from.
            number = event.extra_fields.sequence_number
            site = backward_site = ranges.backward_sites.get(number, backward_site)
            name = ENGINE
        outer[1][0] = site
        self_ns = max(0, event.duration_time_ns - _operators_ns(children))
        if name in site_of_range:
            trace.between_ns[site] = trace.between_ns.get(site, 0) + self_ns
            continue
        use = trace.uses.setdefault((site, name), Use())
        use.calls += 1
        use.self_ns += self_ns
    outside_ns = round(trace.seconds * 1e9) - _operators_ns(roots)
    trace.between_ns[0] = trace.between_ns.get(0, 0) + max(0, outside_ns)
    trace.allocations.sort(key=lambda one: one.moment_ns)


def _operators_ns(events: list[Any]) -> int:
    return sum(event.duration_time_ns for event in events if event.tag == _EventType.TorchOp)


def _depth_first(roots: list[Any]) -> Iterator[tuple[Any, tuple[int, list[int]], list[Any]]]:
    """Every event in the order of time, the site around it, a place for its own, its children."""
    waiting: list[tuple[Any, list[int]]] = [
        (event, [0]) for event in sorted(roots, key=_start, reverse=True)
    ]
    while waiting:
        event, around = waiting.pop()
        own = [around[0]]
        children = sorted(event.children, key=_start)
        yield event, (around[0], own), children
        waiting.extend((child, own) for child in reversed(children))


def _start(event: Any) -> int:
    start: int = event.start_time_ns
    return start


def _use_device_times(results: Any, ranges: PartRanges, trace: Trace) -> None:
    """On a GPU an operator's own time is that of the kernels that it launched.

    By torch's own way of linking them; not tried yet, for want of a GPU.
    """
    site_of_range = {name: site for site, name in enumerate(ranges.names)}
    of_operator: dict[int, tuple[int, str]] = {}
    for event, outer, _ in _depth_first(results.experimental_event_tree()):
        if event.tag == _EventType.TorchOp:
            outer[1][0] = site_of_range.get(event.name, outer[0])
            of_operator[event.correlation_id] = (outer[1][0], event.name)
    for use in trace.uses.values():
        use.self_ns = 0
    for kernel in results.events():
        key = of_operator.get(kernel.linked_correlation_id())
        if "CUDA" in str(kernel.device_type()) and key in trace.uses:
            trace.uses[key].self_ns += kernel.duration_ns()


def save_gzipped(profiled: profile, path: Path) -> None:
    """Write the trace; that the disk fails is nothing of the model's.

    Raises:
        StoreError: it cannot be written.
    """
    plain = path.with_suffix("")
    try:
        try:
            profiled.export_chrome_trace(str(plain))
        except RuntimeError as error:
            raise StoreError(f"cannot write {plain}: {error}") from error
        if not plain.exists() or not _is_whole(plain):
            # torch tells nobody that there was no room: the end is missing, or all of it.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with (
            plain.open("rb") as source,
            replacing(path) as file,
            gzip.open(file, "wb", compresslevel=6) as target,
        ):
            shutil.copyfileobj(source, target)
    except OSError as error:
        raise StoreError(
            f"cannot write the trace into {path.parent}: {disk_words(error)}",
            "make room, or choose another place with --results FOLDER",
        ) from error
    finally:
        # What torch itself leaves where it could not write has a further ending.
        for left in (plain, plain.with_name(f"{plain.name}.tmp")):
            with suppress(OSError):
                left.unlink()


def _is_whole(trace: Path) -> bool:
    """Whether a trace, which is one JSON object, has its end."""
    with trace.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TRACE_END_BYTES))
        return file.read().rstrip().endswith(b"}")
