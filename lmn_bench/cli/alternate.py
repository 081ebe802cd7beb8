"""What `ab` does: measure base, base again and new in alternation, suspects again."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from lmn_bench.analysis.alternated import (
    Arms,
    counted_blocks,
    suspects,
    unsettled,
    unsteady_blocks,
)
from lmn_bench.analysis.options import Options
from lmn_bench.analysis.side import StoredSide
from lmn_bench.cli.gate_progress import GateProgress
from lmn_bench.cli.versions import Version
from lmn_bench.errors import ComparisonError, WorkerError
from lmn_bench.gates import ARMS, GateInfo, save_gate
from lmn_bench.rescue import rescuing
from lmn_bench.run.blocks import Blocks, Ended, Step
from lmn_bench.run.process import ForkServer
from lmn_bench.schema import DEFAULT_CAP_MECHANISM, Case, Measuring, Record, RunInfo
from lmn_bench.store import RecordWriter, create_run, write_run
from lmn_bench.typed import typed

# Processes forked from one server share its layout in memory, and with it an arm's luck: what
# decides comes from other servers in every block (`analysis.paired`). Starting three takes about
# 4 s, so that the blocks of the screening, which makes nothing red, share them.
_SCREENED_PER_SERVER = 2
_CONFIRMED_PER_SERVER = 1
# Blocks measured for one that counts, at most: a machine that is never steady would take for ever.
_ATTEMPTS = 3


@dataclass(frozen=True)
class Plan:
    """What is measured, and for how long.

    Attributes:
        cases: what.
        measuring: how.
        seed: of the order and the weights.
        time_limit_s: no block after the screening is begun once so much time has passed.
    """

    cases: Sequence[Case]
    measuring: Measuring
    seed: int
    time_limit_s: float


class Recorder:
    """Writes every record to its arm's run folder at once, and keeps all of them.

    Raises:
        StoreError: at its end, if the files were removed meanwhile; all is written elsewhere then.
    """

    def __init__(
        self, folder: Path, infos: Mapping[str, RunInfo], versions: Mapping[str, Version],
        gate: GateInfo,
    ) -> None:  # fmt: skip
        self._folder, self._infos, self._gate = folder, infos, gate
        base, new = versions["base"].name, versions["new"].name
        self._names = {"base": base, "null": base, "new": new}
        self._records: dict[str, list[Record]] = {arm: [] for arm in ARMS}
        self._folders = {arm: create_run(folder, infos[arm]) for arm in ARMS}

    def __enter__(self) -> Recorder:
        with ExitStack() as opened:
            self._writers = {
                arm: opened.enter_context(RecordWriter(folder))
                for arm, folder in self._folders.items()
            }
            opened.enter_context(
                rescuing(
                    self._folder, [*self._writers.values()], self._keep,
                    lambda place: typed("compare", place),
                )
            )  # fmt: skip
            self._stack = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _keep(self, place: Path) -> None:
        save_gate(place, self._gate)
        for arm, info in self._infos.items():
            (place / arm).mkdir()
            write_run(place / arm, info, self._records[arm])

    def take(self, event: Ended) -> None:
        """Keep one record."""
        # Kept first: were its file gone, it would be written elsewhere.
        self._records[event.arm].append(event.record)
        self._writers[event.arm].append(event.record)

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


class Servers:
    """A server for each arm, started when first asked for. Use it as a context manager."""

    def __init__(
        self,
        versions: Mapping[str, Version],
        environ: Mapping[str, Mapping[str, str]],
        cap_mechanism: str = DEFAULT_CAP_MECHANISM,
    ) -> None:
        self._versions = versions
        self._cap_mechanism = cap_mechanism
        self._environ = environ
        self._stack = ExitStack()
        self._running: dict[str, ForkServer] = {}

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def running(self) -> Mapping[str, ForkServer]:
        """The servers.

        Raises:
            ComparisonError: one doesn't start.
        """
        if not self._running:
            for arm, version in self._versions.items():
                environ = {**os.environ, **self._environ.get(arm, {})}
                server = ForkServer(environ, version.installation, self._cap_mechanism)
                self._running[arm] = self._stack.enter_context(server)
                with self._named(version):
                    server.launch()
            for arm, server in self._running.items():
                with self._named(self._versions[arm]):
                    _ = server.software
        return self._running

    def close(self) -> None:
        """End them; the next ones are others."""
        self._running = {}
        self._stack.close()

    @contextmanager
    def _named(self, version: Version) -> Iterator[None]:
        """Name the version that doesn't start."""
        try:
            yield
        except WorkerError as error:
            raise ComparisonError(f"{version.name}: {error.message}", error.hint) from error


@dataclass(frozen=True)
class Stage:
    """A part of a gate: its place (0 screening, 1 confirming), in words, and blocks per server."""

    place: int
    words: str
    per_server: int


def measure(
    plan: Plan,
    servers: Servers,
    recorder: Recorder,
    options: Options,
    progress: GateProgress,
    now: Callable[[], float] = time.monotonic,
) -> list[str]:
    """Screen all cases, then measure the suspects anew; sentences on how that went.

    Raises:
        ComparisonError: a version's measuring process doesn't start, or lacks what is asked of it.
    """
    begin = now()
    blocks = Blocks(plan.measuring, plan.seed, now=now)
    rules = options.rules

    def rounds(stage: Stage, cases: Sequence[Case], wanted: int, attempts: int) -> None:
        """Blocks of these cases until each has `wanted` that count."""
        for at in range(attempts):
            arms = recorder.arms
            left = [
                case
                for case in cases
                if case not in blocks.failed
                and counted_blocks(case, arms, rules)[stage.place] < wanted
            ]
            # The first blocks of the screening are what every verdict needs.
            limit = math.inf if stage.place == 0 and at < rules.screen_blocks else until
            if not left or now() >= limit:
                break
            progress.stage(f"{stage.words}, block {at + 1}, {wanted} needed")
            _follow(blocks.run(left, servers.running(), limit), recorder, progress)
            if (at + 1) % stage.per_server == 0:
                servers.close()
        servers.close()

    until = begin + plan.time_limit_s
    screening = Stage(0, "screening", _SCREENED_PER_SERVER)
    rounds(screening, plan.cases, rules.screen_blocks, rules.screen_attempts)
    blocks.start_at(rules.screen_attempts)
    done = 0
    for look in rules.looks:
        still = unsettled(recorder.arms, options)
        if not still:
            break
        words = f"confirming {len(still)} suspect{'s' * (len(still) != 1)}"
        rounds(Stage(1, words, _CONFIRMED_PER_SERVER), still, look, _ATTEMPTS * (look - done))
        done = look
    return _sentences(recorder.arms, options, plan.time_limit_s if now() >= until else None)


def _sentences(arms: Arms, options: Options, time_up_s: float | None) -> list[str]:
    """What is to be known of how the blocks were measured."""
    found = []
    unsteady, count = unsteady_blocks(arms)
    if unsteady:
        found.append(
            f"the machine changed its speed during {unsteady} of {count} blocks, which don't count"
        )
    left = unsettled(arms, options)
    if left and time_up_s is not None:
        found.append(
            f"time was up after {time_up_s:.0f} s with {len(left)} of "
            f"{len(suspects(arms, options))} suspects open; --time-limit gives more"
        )
    return found


def count_only(plan: Plan, servers: Servers, recorder: Recorder, progress: GateProgress) -> None:
    """One untimed process of each case, base and new: what is counted needs no more.

    Raises:
        ComparisonError: as `measure`.
    """
    blocks = Blocks(replace(plan.measuring, timing=False), plan.seed, halves=1)
    progress.stage("counting")
    _follow(blocks.run(plan.cases, servers.running(), math.inf), recorder, progress)


def _follow(events: Iterable[Step | Ended], recorder: Recorder, progress: GateProgress) -> None:
    for event in events:
        if isinstance(event, Step):
            progress.step(event)
        else:
            recorder.take(event)
            progress.ended(event)
