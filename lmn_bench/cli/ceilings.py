"""Measuring ceilings, for `env` and `run`: which ones, in a process of their own."""

from __future__ import annotations

from collections.abc import Iterable

from lmn_bench.run.process import ForkServer
from lmn_bench.schema import Case, Ceiling


def ceilings_of(server: ForkServer, cases: Iterable[Case]) -> tuple[Ceiling, ...]:
    """The ceilings that these cases are held against, each device, thread count and dtype once."""
    wanted: dict[tuple[str, int], list[str]] = {}
    for case in cases:
        key = (case.device, case.threads if case.device == "cpu" else 0)
        dtypes = wanted.setdefault(key, [])
        if case.dtype not in dtypes:
            dtypes.append(case.dtype)
    found: list[Ceiling] = []
    for (device, threads), dtypes in wanted.items():
        found.extend(server.ceilings(device, threads, dtypes))
    return tuple(found)
