"""FLOPs by part and operator: the counter that every run uses, asked where it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from lmn_bench.worker.counters import OperationCounter
from lmn_bench.worker.profiling.clock import PartClock


class _CounterByPart(OperationCounter):
    """Adds up FLOPs by the site that the clock is at, and by operator."""

    def __init__(self, site: Callable[[], int]) -> None:
        super().__init__()
        self.by_operator: dict[tuple[int, str], int] = {}
        self._site = site

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        before = self.flops
        out = super().__torch_dispatch__(func, types, args, kwargs)
        added = self.flops - before
        if added:
            key = (self._site(), func._schema.name)
            self.by_operator[key] = self.by_operator.get(key, 0) + added
        return out


def count_flops(
    call: Callable[[], object],
    sites: int,
    installed: Callable[[Any], AbstractContextManager[None]],
    *,
    trains: bool,
) -> dict[tuple[int, str], int]:
    """FLOPs of one call, by site and operator; only operators that have any.

    Args:
        call: the work.
        sites: how many there are.
        installed: makes the subject tell a probe where it is, as long as it lasts.
        trains: whether autograd will run.
    """
    clock = PartClock(sites, trains=trains)
    counter = _CounterByPart(clock.current)
    with installed(clock):
        clock.start()
        with counter:
            call()
    return counter.by_operator
