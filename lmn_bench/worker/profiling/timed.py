"""How long a call takes, and its parts: rounds without and with the clock, in alternation.

The latency is that of the rounds without; the parts are those of the rounds with the clock, what
it costs taken off, and nothing else: how far their sum is from the latency is told, not mended.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from lmn_bench.worker.clock import Clock
from lmn_bench.worker.profiling.clock import ClockCost, Reading
from lmn_bench.worker.timing import block_size

_Taken = TypeVar("_Taken")
# Blocks of one kind, in turns with those of the other: what the machine does to one, it does to
# the other. The first rounds of a block run code that Python has just been handed.
BLOCKS: Final = 40
BLOCK_S: Final = 0.025
UNCOUNTED: Final = 2
MOST_ROUNDS: Final = 2_000
# Of long calls, fewer blocks: this much time for all, but never less than this many.
TOTAL_S: Final = 4.0
FEWEST_BLOCKS: Final = 4


@dataclass(frozen=True)
class Call:
    """What is profiled.

    Attributes:
        prepare: makes what `run` uses up; not timed.
        run: the work; gives its output.
        units: tokens decoded one by one in it, 1 for other modes: what a time is divided by.
        tokens: that it reads, over the whole batch.
    """

    prepare: Callable[[], Any]
    run: Callable[[Any], Any]
    units: int
    tokens: int


@dataclass(frozen=True)
class TimedParts:
    """Seconds of one unit.

    Attributes:
        latency_s: without instruments: the mean of the faster half of all rounds.
        spread: of the latency: half the distance between its quartiles, relative to it.
        site_s: by site, from the rounds with the clock, what it costs taken off.
        clocked_s: a unit with the clock, its cost included.
        cost_s: what the clock costs in a unit.
        rounds: without instruments.
    """

    latency_s: float
    spread: float
    site_s: tuple[float, ...]
    clocked_s: float
    cost_s: float
    rounds: int


class RoundClock(Protocol):
    """A probe that times whole rounds by site."""

    def start(self) -> None:
        """A round begins."""
        ...

    def stop(self) -> Reading:
        """It has ended; what was seen."""
        ...


@contextmanager
def without_collections() -> Iterator[None]:
    """Keep Python's garbage collector from running meanwhile."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def time_parts(
    call: Call,
    timer: Clock,
    clock: RoundClock,
    cost: ClockCost,
    installed: Callable[[], AbstractContextManager[None]],
) -> TimedParts:
    """Time `call` plainly and by parts.

    Args:
        call: what to time.
        timer: of whole rounds.
        clock: told by the subject where it is.
        cost: of the clock.
        installed: makes the subject tell it, as long as it lasts.
    """
    plain: list[float] = []
    readings: list[Reading] = []
    repeats = 0
    with without_collections():
        one_s = _plain_round(call, timer, 1)
        repeats = 1 if call.units > 1 else block_size(_plain_round(call, timer, 1))
        for _ in range(_blocks(one_s * repeats)):
            plain += _block(lambda: _plain_round(call, timer, repeats), lambda s: s)
            with installed():
                readings += _block(
                    lambda: _clocked_round(call, clock, repeats), lambda r: r.total_s
                )
    per = repeats * call.units
    quiet = _faster_half(readings, lambda reading: reading.total_s)
    seconds = [reading.seconds(cost) for reading in quiet]
    sites = [statistics.fmean(column) / per for column in zip(*seconds, strict=True)]
    clocked_s = statistics.fmean(reading.total_s for reading in quiet) / per
    quartiles = statistics.quantiles(plain, n=4) if len(plain) > 1 else [plain[0]] * 3
    return TimedParts(
        latency_s=statistics.fmean(_faster_half(plain, float)) / per,
        spread=(quartiles[2] - quartiles[0]) / 2 / quartiles[1],
        site_s=tuple(sites),
        clocked_s=clocked_s,
        cost_s=clocked_s - sum(sites),
        rounds=len(plain),
    )


def _plain_round(call: Call, timer: Clock, repeats: int) -> float:
    """Seconds of `repeats` calls in a row."""
    run, prepared = call.run, call.prepare()
    return timer.time(lambda: run(prepared), repeats)


def _clocked_round(call: Call, clock: RoundClock, repeats: int) -> Reading:
    run, prepared = call.run, call.prepare()
    turns = range(repeats)
    clock.start()
    for _ in turns:
        run(prepared)
    return clock.stop()


def _block(take: Callable[[], _Taken], seconds: Callable[[_Taken], float]) -> list[_Taken]:
    taken = [take()]
    if seconds(taken[0]) > BLOCK_S:
        return taken  # so long a round doesn't notice what is new to Python
    for _ in range(UNCOUNTED):
        taken = [take()]
    spent_s = seconds(taken[0])
    while spent_s < BLOCK_S and len(taken) < MOST_ROUNDS:
        taken.append(take())
        spent_s += seconds(taken[-1])
    return taken


def _blocks(round_s: float) -> int:
    """Blocks of each kind: fewer where a round takes long."""
    pair_s = 2 * max(BLOCK_S, round_s)
    return max(FEWEST_BLOCKS, min(BLOCKS, round(TOTAL_S / pair_s)))


def _faster_half(rounds: Sequence[_Taken], seconds: Callable[[_Taken], float]) -> Sequence[_Taken]:
    """The rounds up to the median: those that whatever else ran on the machine disturbed least.

    The same choice for rounds with and without the clock. Parts are means over whole rounds, so
    that they add up to what those rounds took.
    """
    return sorted(rounds, key=seconds)[: (len(rounds) + 1) // 2]
