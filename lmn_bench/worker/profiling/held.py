"""Which part made the memory that is held, over time and at the peak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lmn_bench.worker.profiling.operators import Allocation

# Points of a timeline: more are not seen in a chart. The highest of each stretch stands for it.
_POINTS: Final = 300


@dataclass(frozen=True)
class Held:
    """Memory that torch's allocator held during a call, beyond what it held before.

    Attributes:
        peak_bytes: by site, at the moment when all together are the most.
        peak_at: the place of that moment among the points.
        seconds: of the points, since the call began, on the profiler's clock.
        points: bytes by site, at each of those moments.
        freed_bytes: at the peak: what had been there before the call and was given back in it.
    """

    peak_bytes: tuple[int, ...]
    peak_at: int
    seconds: tuple[float, ...]
    points: tuple[tuple[int, ...], ...]
    freed_bytes: int


def held_by_site(allocations: Sequence[Allocation], sites: int, begin_ns: int) -> Held:
    """Replay allocations, each charged to the site that made it until it is given back.

    Args:
        allocations: in their order.
        sites: how many there are.
        begin_ns: when the call began.
    """
    wanted = _moments(allocations)
    live: dict[int, tuple[int, int]] = {}
    now, freed, total, highest = [0] * sites, 0, 0, 0
    peak, peak_at, freed_at_peak = tuple(now), 0, 0
    seconds, points = [0.0], [tuple(now)]
    for place, one in enumerate(allocations):
        total += one.bytes
        if one.bytes > 0:
            live[one.address] = (one.bytes, one.site)
            now[one.site] += one.bytes
        elif one.address in live:
            size, site = live.pop(one.address)
            now[site] -= size
        else:
            freed -= one.bytes
        if place in wanted:
            seconds.append((one.moment_ns - begin_ns) * 1e-9)
            points.append(tuple(now))
            if total > highest:
                peak, highest, freed_at_peak = tuple(now), total, freed
                peak_at = len(points) - 1
    return Held(peak, peak_at, tuple(seconds), tuple(points), freed_at_peak)


def _moments(allocations: Sequence[Allocation]) -> set[int]:
    """Places of the highest total in each of `_POINTS` stretches of time, the peak among them."""
    if not allocations:
        return set()
    begin, end = allocations[0].moment_ns, allocations[-1].moment_ns
    stretch = max(1, (end - begin) // _POINTS + 1)
    best: dict[int, tuple[int, int]] = {}
    total = 0
    for place, one in enumerate(allocations):
        total += one.bytes
        key = (one.moment_ns - begin) // stretch
        if key not in best or total > best[key][0]:
            best[key] = (total, place)
    return {place for _, place in best.values()} | {len(allocations) - 1}
