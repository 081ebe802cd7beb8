"""What `ab` does: measure base, base again and new in alternation, suspects again."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from lmn_bench.analysis.alternated import Arms, suspects, unsettled
from lmn_bench.analysis.options import Options
from lmn_bench.analysis.side import StoredSide
from lmn_bench.cli.gate_progress import GateProgress
from lmn_bench.cli.versions import Version
from lmn_bench.errors import ComparisonError, WorkerError
from lmn_bench.gates import ARMS
from lmn_bench.run.blocks import Blocks, Ended, Step
from lmn_bench.run.process import ForkServer
from lmn_bench.schema import Case, Measuring, Record, RunInfo
from lmn_bench.store import RecordWriter, create_run

# Processes forked from one server share its layout in memory, so that an arm's luck would last:
# after so many blocks every arm gets another server. Starting three takes about 4 s.
BLOCKS_PER_SERVER = 4


@dataclass(frozen=True)
class Plan:
    """What is measured, and for how long.

    Attributes:
        cases: what.
        measuring: how.
        seed: of the order and the weights.
        time_limit_s: no block after the screening is begun once so much time has passed.
        environ: of the servers, by arm, on top of ours.
    """

    cases: Sequence[Case]
    measuring: Measuring
    seed: int
    time_limit_s: float
    environ: Mapping[str, Mapping[str, str]]


class Recorder:
    """Writes every record to its arm's run folder at once, and keeps all of them."""

    def __init__(self, folder: Path, infos: Mapping[str, RunInfo], versions: Mapping[str, Version]):
        self._infos = infos
        self._names = {arm: version.name for arm, version in versions.items()}
        self._records: dict[str, list[Record]] = {arm: [] for arm in ARMS}
        self._folders = {arm: create_run(folder, infos[arm]) for arm in ARMS}
        self._stack = ExitStack()

    def __enter__(self) -> Recorder:
        self._writers = {
            arm: self._stack.enter_context(RecordWriter(folder))
            for arm, folder in self._folders.items()
        }
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def take(self, event: Ended) -> None:
        """Keep one record."""
        self._writers[event.arm].append(event.record)
        self._records[event.arm].append(event.record)

    @property
    def arms(self) -> Arms:
        """All records so far."""
        sides = (
            StoredSide(self._names[arm], ((self._infos[arm], tuple(self._records[arm])),))
            for arm in ARMS
        )
        return Arms(*sides)

    @property
    def finished(self) -> Iterator[tuple[Path, RunInfo]]:
        """Each arm's folder and what it knows about itself."""
        return ((self._folders[arm], self._infos[arm]) for arm in ARMS)


def measure(
    plan: Plan,
    versions: Mapping[str, Version],
    recorder: Recorder,
    options: Options,
    progress: GateProgress,
    now: Callable[[], float] = time.monotonic,
) -> list[str]:
    """Screen all cases, then measure the suspects anew; sentences on what was left open.

    Raises:
        ComparisonError: a version's measuring process doesn't start, or lacks what is asked of it.
    """
    begin = now()
    blocks = Blocks(plan.measuring, plan.seed, now=now)
    rules = options.rules

    def rounds(cases: Sequence[Case], count: int, stage: str, until: float) -> None:
        for start in range(0, count, BLOCKS_PER_SERVER):
            left = [case for case in cases if case not in blocks.failed]
            if not left or now() >= until:
                return
            with servers(versions, plan.environ) as running:
                for at in range(start, min(start + BLOCKS_PER_SERVER, count)):
                    progress.stage(f"{stage}, block {at + 1} of {count}")
                    _follow(blocks.run(left, running, until), recorder, progress)

    rounds(plan.cases, rules.screen_blocks, "screening", math.inf)
    until = begin + plan.time_limit_s
    done = 0
    for look in rules.looks:
        open_cases = unsettled(recorder.arms, options)
        if not open_cases:
            break
        words = f"confirming {len(open_cases)} suspect{'s' * (len(open_cases) != 1)}"
        rounds(open_cases, look - done, words, until)
        done = look
    left = unsettled(recorder.arms, options)
    if left and now() >= until:
        count = len(suspects(recorder.arms, options))
        return [
            f"time was up after {plan.time_limit_s:.0f} s with {len(left)} of {count} suspects "
            "open; --time-limit gives more"
        ]
    return []


def count_only(
    plan: Plan, versions: Mapping[str, Version], recorder: Recorder, progress: GateProgress
) -> None:
    """One untimed process of each case, base and new: what is counted needs no more."""
    arms = {arm: versions[arm] for arm in ("base", "new")}
    blocks = Blocks(replace(plan.measuring, timing=False), plan.seed, halves=1)
    progress.stage("counting")
    with servers(arms, plan.environ) as running:
        _follow(blocks.run(plan.cases, running, math.inf), recorder, progress)


@contextmanager
def servers(
    versions: Mapping[str, Version], environ: Mapping[str, Mapping[str, str]]
) -> Iterator[dict[str, ForkServer]]:
    """A running server for each arm.

    Raises:
        ComparisonError: one doesn't start.
    """
    with ExitStack() as stack:
        running = {
            arm: stack.enter_context(
                ForkServer({**os.environ, **environ.get(arm, {})}, version.installation)
            )
            for arm, version in versions.items()
        }

        def start(arm: str) -> None:
            try:
                _ = running[arm].software
            except WorkerError as error:
                raise ComparisonError(
                    f"{versions[arm].name}: {error.message}", error.hint
                ) from error

        # Importing torch takes seconds: all of them at once.
        with ThreadPoolExecutor(len(running)) as pool:
            list(pool.map(start, running))
        yield running


def _follow(events: Iterable[Step | Ended], recorder: Recorder, progress: GateProgress) -> None:
    for event in events:
        if isinstance(event, Step):
            progress.step(event)
        else:
            recorder.take(event)
            progress.ended(event)
