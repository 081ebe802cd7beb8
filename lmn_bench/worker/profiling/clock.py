"""Time by parts: a clock that is switched from part to part, at some 0.1 µs a time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch

from lmn_bench.worker.profiling.graph import Trail, numbered_nodes

_NANO: Final = 1e-9
# Of calibrations: rounds with and without switches in turn, of which the fastest tenth begins where
# no other work disturbed them.
_TURNS, _ROUNDS, _FASTEST = 50, 200, 10
_OPERAND: Final = 64  # width of the product between two switches
_HOOK_CALIBRATIONS: Final = 9
_CHAIN: Final = 200  # nodes of the graph on which hooks are calibrated


@dataclass(frozen=True)
class Reading:
    """What a clock has seen of one round.

    Attributes:
        spent_ns: by site, the clock's own cost included.
        switches: by site, how often it was left.
        hooks: by site, how often autograd told that it begins.
    """

    spent_ns: tuple[int, ...]
    switches: tuple[int, ...]
    hooks: tuple[int, ...]

    @property
    def total_s(self) -> float:
        """All sites together, the clock's own cost included."""
        return sum(self.spent_ns) * _NANO

    def seconds(self, cost: ClockCost) -> list[float]:
        """By site, without the clock's own cost: two half switches enclose every visit."""
        return [
            ns * _NANO - switches * cost.switch_s - hooks * cost.hook_s
            for ns, switches, hooks in zip(self.spent_ns, self.switches, self.hooks, strict=True)
        ]


@dataclass(frozen=True)
class ClockCost:
    """Seconds that the clock itself takes: to switch, and beyond that where autograd calls it."""

    switch_s: float
    hook_s: float


class PartClock:
    """A probe that adds up wall-clock time by site.

    Its three methods are closures over plain lists: a call of one is all that a switch costs.

    Args:
        sites: how many there are.
        trains: whether autograd will run, so that nodes need their parts.
        now: nanoseconds.
    """

    def __init__(
        self, sites: int, *, trains: bool = False, now: Callable[[], int] = time.perf_counter_ns
    ) -> None:
        spent, switches, hooks = [0] * sites, [0] * sites, [0] * sites
        trail = Trail() if trains else None
        note = trail.note if trail is not None else None
        current = last = 0

        def enter(site: int) -> int:
            nonlocal current, last
            moment = now()
            spent[current] += moment - last
            switches[current] += 1
            before, current, last = current, site, moment
            if note is not None:
                note(site)
            return before

        def leave(before: int, value: Any) -> Any:
            nonlocal current, last
            moment = now()
            spent[current] += moment - last
            switches[current] += 1
            current, last = before, moment
            if note is not None:
                note(before)
            return value

        def begin_backward(roots: Any) -> None:
            self._around_backward.append(current)
            if trail is None:
                return  # a model that learns while it infers: the time is that of its caller
            pause()
            site = current
            for number, node in numbered_nodes(roots):
                wanted = trail.site_of(number)
                if wanted != site:
                    node.register_prehook(hook_of(switch_in_backward, wanted))
                    site = wanted
            trail.clear()
            resume()

        def switch_in_backward(site: int) -> None:
            nonlocal current, last
            moment = now()
            spent[current] += moment - last
            switches[current] += 1
            hooks[current] += 1
            current, last = site, moment

        def pause() -> None:
            spent[current] += now() - last

        def resume() -> None:
            nonlocal last
            last = now()

        def start() -> None:
            nonlocal current, last
            for counts in (spent, switches, hooks):
                counts[:] = [0] * sites
            if trail is not None:
                trail.clear()
            current, last = 0, now()

        def stop() -> Reading:
            pause()
            return Reading(tuple(spent), tuple(switches), tuple(hooks))

        # One inside of another: a checkpoint runs backward again in what it computes anew.
        self._around_backward: list[int] = []
        self.enter, self.mark, self.leave = enter, enter, leave
        self.begin_backward = begin_backward
        self.start, self.stop = start, stop
        self.current: Callable[[], int] = lambda: current

    def end_backward(self) -> None:
        """Back to where autograd was called from."""
        self.enter(self._around_backward.pop())


def hook_of(switch: Callable[[int], object], site: int) -> Callable[[Any], None]:
    """A hook for an autograd node that tells that `site` begins."""

    def hook(_gradients: Any) -> None:
        # What a hook returns would take the place of the gradients.
        switch(site)

    return hook


def clock_cost(*, trains: bool) -> ClockCost:
    """Measure what a clock costs, around a small operation.

    Around nothing, switch after switch, it would cost a third less: between a model's operations
    it finds neither its code nor its data in the caches next to the processor.

    Args:
        trains: see `PartClock`.
    """
    clock = PartClock(2, trains=trains)
    enter, leave = clock.enter, clock.leave
    switch_s = _switch_cost_s(clock, enter, leave)
    hooks = [_hook_cost_s() for _ in range(_HOOK_CALIBRATIONS)] if trains else [0.0]
    return ClockCost(switch_s, max(0.0, statistics.median(hooks) - switch_s))


def _switch_cost_s(
    clock: PartClock, enter: Callable[[int], int], leave: Callable[[int, Any], Any]
) -> float:
    turns, now = range(_TURNS), time.perf_counter_ns
    vector, matrix = torch.zeros(1, _OPERAND), torch.zeros(_OPERAND, _OPERAND)
    without_ns, with_ns = [], []
    clock.start()
    for _ in range(_ROUNDS):
        begin = now()
        for _ in turns:
            torch.mm(vector, matrix)
        without_ns.append(now() - begin)
        begin = now()
        for _ in turns:
            leave(enter(1), torch.mm(vector, matrix))
        with_ns.append(now() - begin)
    clock.stop()
    fast_ns = [statistics.quantiles(kind, n=_FASTEST)[0] for kind in (with_ns, without_ns)]
    return max(0.0, fast_ns[0] - fast_ns[1]) / (2 * _TURNS) * _NANO


def _hook_cost_s() -> float:
    """What a hook adds to a node, the switch that it makes included."""
    clock = PartClock(2, trains=True)
    seconds = []
    for hooked in (False, True):
        end = torch.zeros(1, requires_grad=True)
        for _ in range(_CHAIN):
            end = end + 1.0
        if hooked:
            clock.start()
            for place, (_, node) in enumerate(numbered_nodes(end)):
                node.register_prehook(hook_of(clock.enter, place % 2))
        begin = time.perf_counter_ns()
        end.backward()
        seconds.append((time.perf_counter_ns() - begin) * _NANO)
    return max(0.0, (seconds[1] - seconds[0]) / _CHAIN)
