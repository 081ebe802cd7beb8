"""Made-up sides of comparisons: runs of cases whose times and counters are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from bench_helpers import case, environment, ok, run_info, suite

from lmn_bench.analysis.alternated import Arms
from lmn_bench.analysis.paired import Rules
from lmn_bench.analysis.side import StoredSide
from lmn_bench.schema import Case, Record

LOOP_S = 1e-4
COUNTERS = {"operations": 40, "flops": 10_000, "allocator_peak_bytes": 4096, "slots": 7}
LENGTHS = (64, 128, 256)


def cases(count: int = 3) -> list[Case]:
    """Prefill at several lengths."""
    return [case(length=length) for length in LENGTHS[:count]]


def side(name: str, *runs: Sequence[Record], **changes: object) -> StoredSide:
    """A side of runs that were measured on the same machine; `changes` are of the environment."""
    info = run_info(suite(), environment=environment(**changes))
    return StoredSide(name, tuple((info, tuple(records)) for records in runs))


def measured(
    of: Sequence[Case],
    factor: float = 1.0,
    processes: int = 10,
    spread: float = 0.005,
    seed: int = 0,
    loop: float = 1.0,
    **metrics: float,
) -> list[Record]:
    """Processes of each case: a millisecond times `factor`, give or take `spread`."""
    rng = np.random.default_rng([seed, processes])
    return [
        timed(one, replicate, 1e-3 * factor * float(np.exp(spread * rng.standard_normal())),
              reference_loop_s=LOOP_S * loop, **metrics)
        for one in of
        for replicate in range(processes)
    ]  # fmt: skip


def timed(of: Case, replicate: int, low_s: float, **metrics: float) -> Record:
    """One process with its undisturbed latency; the first of a case is counted too."""
    counters = COUNTERS if replicate == 0 else {}
    return ok(of, replicate, low_s, **{"latency_low_s": low_s, **counters, **metrics})


def arms(
    of: Sequence[Case],
    fresh: int = 0,
    factors: Mapping[Case, float] | None = None,
    null_factor: float = 1.0,
    spread: float = 0.005,
    seed: int = 0,
    drift: float = 0.0,
    **metrics: float,
) -> Arms:
    """A gate: the screening's blocks and `fresh` more; new is slower by each case's factor.

    The machine gets slower by `drift` from the middle of the blocks on.
    """
    rng = np.random.default_rng(seed)
    rules = Rules()
    blocks = rules.screen_blocks + fresh
    # Numbers that the screening might have used stay free.
    numbers = [
        *range(rules.screen_blocks),
        *range(rules.screen_attempts, rules.screen_attempts + fresh),
    ]
    records: dict[str, list[Record]] = {"base": [], "null": [], "new": []}
    for one in of:
        for block in range(blocks):
            machine = 1 + drift * (block >= blocks / 2)
            for half in range(2):
                for arm, factor in (
                    ("base", 1.0),
                    ("null", null_factor),
                    ("new", (factors or {}).get(one, 1.0)),
                ):
                    noise = float(np.exp(spread * rng.standard_normal()))
                    extra = metrics if arm == "new" else {}
                    time_s = 1e-3 * factor * machine * noise
                    replicate = 2 * numbers[block] + half
                    records[arm].append(timed(one, replicate, time_s, **extra))
    return Arms(*(side(arm, found) for arm, found in records.items()))


def with_outcome(records: Sequence[Record], of: Case, **changes: object) -> list[Record]:
    """The same with all processes of one case ended otherwise."""
    return [replace(r, metrics={}, samples_s=(), **changes) if r.case == of else r for r in records]
