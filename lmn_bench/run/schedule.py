"""The order of a sweep and the events of its course."""

from __future__ import annotations

import math
import random
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Protocol

from lmn_bench.disturbance import SlowLoops, quiet_lacking, slow_loops
from lmn_bench.errors import SubjectError
from lmn_bench.escapes import plain
from lmn_bench.keeping import shortened
from lmn_bench.outcomes import (
    CRASHES,
    allocation_that_failed,
    says_out_of_memory,
    took_longer,
)
from lmn_bench.run.backstop import Backstop, Task
from lmn_bench.run.reply import Reply, kill_words, notes_of
from lmn_bench.schema import Case, Measuring, Outcome, Record, Watched
from lmn_bench.units import format_cap

# A machine that is slow in this many further processes of a case will not be quiet in one more.
_MOST_FURTHER_ROUNDS = 20

# What a server tells of a cap, a metric each.
_CAP_METRICS = ("floor_bytes", "peak_bytes")
# What is limited, by the name of what limits it.
_LIMIT_OF = {"cgroup v1": "memory.limit_in_bytes", "cgroup v2": "memory.max"}


@dataclass(frozen=True)
class Started:
    """A task is about to run: `done` of `total` have ended before it.

    `remaining` are the planned ones, this one first; none where a disturbed case is done again.
    """

    task: Task
    done: int
    total: int
    remaining: Sequence[Task] = ()


@dataclass(frozen=True)
class Finished:
    """A task has ended in `record`; `measured` is False when nothing was run for it."""

    task: Task
    record: Record
    measured: bool


class Spawner(Protocol):
    """Runs a job in a process of its own (`run.process.ForkServer`; a fake in tests)."""

    def measure(self, job: dict[str, Any], timeout_s: float) -> Reply:
        """Run one job to its end."""
        ...


def order_tasks(cases: Sequence[Case], processes: int, seed: int) -> list[Task]:
    """All replicates of all cases, shuffled in rounds.

    Round r holds replicate r of every case, so that drift of the machine hits all cases alike and
    an interrupted sweep has whole rounds. Every round is shuffled; in the first one the lengths of
    a series keep their rising order (the series are interleaved at random), so that the backstop
    spares the long cases that cannot end well.
    """
    rng = random.Random(seed)
    ordered: list[tuple[Case, int]] = []
    for replicate in range(processes):
        shuffled = list(cases)
        rng.shuffle(shuffled)
        if replicate == 0:
            rising: dict[Case, list[Case]] = {}
            for case in sorted(cases, key=lambda case: case.length):
                rising.setdefault(case.series, []).append(case)
            queues = {series: iter(members) for series, members in rising.items()}
            # The places stay shuffled; which length of the series stands there is sorted.
            shuffled = [next(queues[case.series]) for case in shuffled]
        ordered.extend((case, replicate) for case in shuffled)
    return [Task(case, replicate, order) for order, (case, replicate) in enumerate(ordered)]


def run_tasks(
    tasks: Sequence[Task],
    measuring: Measuring,
    seed: int,
    spawner: Spawner,
    earlier: Iterable[Record] = (),
    now: Callable[[], float] = time.monotonic,
) -> Iterator[Started | Finished]:
    """Run the tasks one after the other and yield what happens.

    A case that runs out of memory or time is tried once more before all else (see `Backstop`).
    When all are done, cases that the machine disturbed get further processes, for at most
    `quiet_extra_s`.

    Args:
        tasks: what is still to be measured, in order.
        measuring: how.
        seed: of the subjects' weights.
        spawner: runs one job.
        earlier: records of the same run that are on disk already (the backstop learns from them).
        now: the clock of the parent (s).
    """
    records = list(earlier)
    backstop = Backstop(tasks, records)
    for done, task in enumerate(backstop.in_turn()):
        yield Started(task, done, len(tasks), (task, *backstop.waiting))
        left_out = backstop.leaves_out(task)
        if left_out is not None:
            yield Finished(task, left_out, measured=False)
            continue
        record = measure_task(task, measuring, seed, spawner, now)
        backstop.learn(record)
        records.append(record)
        yield Finished(task, record, measured=True)
    if tasks:
        yield from _run_further(records, len(tasks), measuring, seed, spawner, now)


def _run_further(
    records: list[Record],
    done: int,
    measuring: Measuring,
    seed: int,
    spawner: Spawner,
    now: Callable[[], float],
) -> Iterator[Started | Finished]:
    """Further processes of disturbed cases, a round at a time, until time or need is over."""
    deadline = now() + measuring.quiet_extra_s
    order = max((record.order for record in records), default=0)
    rng = random.Random(f"{seed} further")
    for _ in range(_MOST_FURTHER_ROUNDS):
        grouped: dict[Case, list[Record]] = {}
        for record in records:
            grouped.setdefault(record.case, []).append(record)
        needy = _cheapest_setting(grouped, slow_loops(records), deadline - now())
        rng.shuffle(needy)
        for place, case in enumerate(needy):
            # One that doesn't fit any more would cost others their turn.
            if now() + grouped[case][-1].wall_s > deadline:
                continue
            order += 1
            replicate = max(record.replicate for record in grouped[case]) + 1
            task = Task(case, replicate, order)
            yield Started(task, done, done + len(needy) - place)
            records.append(measure_task(task, measuring, seed, spawner, now))
            done += 1
            yield Finished(task, records[-1], measured=True)


def _cheapest_setting(
    grouped: Mapping[Case, Sequence[Record]], slow: SlowLoops, left_s: float
) -> list[Case]:
    """Cases that lack undisturbed processes, of the setting that takes the least time to complete.

    Disturbed processes are left out of a setting only when all its cases have enough others
    (`analysis.results.quiet_settings`), so a little for every setting would help none. Empty where
    no setting fits in `left_s`.
    """
    needy: dict[Case, list[Case]] = {}
    cost_s: dict[Case, float] = {}
    for case, found in grouped.items():
        lacking = quiet_lacking(found, slow)
        if lacking:
            needy.setdefault(case.setting, []).append(case)
            cost_s[case.setting] = cost_s.get(case.setting, 0.0) + lacking * found[-1].wall_s
    fitting = [setting for setting in needy if cost_s[setting] <= left_s]
    return needy[min(fitting, key=cost_s.__getitem__)] if fitting else []


def measure_task(
    task: Task,
    measuring: Measuring,
    seed: int,
    spawner: Spawner,
    now: Callable[[], float],
    best_loop_s: float = math.inf,
) -> Record:
    """Run one task in a process of its own; whatever its end, it is a record.

    Args:
        task: what.
        measuring: how.
        seed: of the subject's weights.
        spawner: runs the job.
        now: the clock of the parent (s).
        best_loop_s: the fastest reference loop seen so far: a server that started in a slow spell
            doesn't know what quiet is.
    """
    started_at, begin = datetime.now(UTC).isoformat(timespec="seconds"), now()
    job = {
        "case": asdict(task.case),
        "replicate": task.replicate,
        "measuring": asdict(measuring),
        "seed": seed,
    }
    if best_loop_s < math.inf:
        job["best_loop_s"] = best_loop_s
    try:
        ending = _ending(spawner.measure(job, measuring.timeout_s), task.case, measuring)
    except SubjectError as error:
        ending = {"outcome": Outcome.ERROR, "reason": error.message}
    return Record.of(
        task.case, task.replicate, **_plain(ending),
        order=task.order, started_at=started_at, wall_s=round(now() - begin, 3),
    )  # fmt: skip


def _plain(ending: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a record whose words any file and terminal can hold, whoever they are from."""
    reason = ending.get("reason")
    cleaned: dict[str, Any] = {"reason": None if reason is None else plain(shortened(reason))}
    for key in ("warnings", "stderr"):
        if key in ending:
            cleaned[key] = tuple(plain(shortened(text)) for text in ending[key])
    return {**ending, **cleaned}


def _ending(reply: Reply, case: Case, measuring: Measuring) -> dict[str, Any]:
    """Outcome and fields of a record from how the child ended."""
    if reply.result is not None:
        result = dict(reply.result)
        if killed := _killed_at_limit(reply, case):
            # A process of its own: without that, it is not what was to be measured.
            reason = f"a process that it had started was {killed}"
            result |= {"outcome": Outcome.KILLED, "reason": reason}
        result["warnings"] = [*result.get("warnings", ()), *notes_of(reply)]
        return {
            "outcome": Outcome(result.pop("outcome")),
            "watched": _watched(result.pop("watched", None)),
            **{key: tuple(map(_frozen, value)) if isinstance(value, list) else value
               for key, value in result.items()},
            **_cap_fields(reply, result.get("metrics", {})),
        }  # fmt: skip
    outcome, reason = _death(reply, case, measuring)
    warnings = tuple(notes_of(reply))
    return {"outcome": outcome, "reason": reason, "warnings": warnings, **_cap_fields(reply, {})}


def _watched(told: Mapping[str, Any] | None) -> Watched | None:
    """What a child told of the machine; another revision may tell less, or more."""
    known = {field.name for field in fields(Watched)}
    try:
        return Watched(**{key: value for key, value in (told or {}).items() if key in known})
    except TypeError:
        return None


def _cap_fields(reply: Reply, metrics: Mapping[str, float]) -> dict[str, Any]:
    """What enforced the cap, and the metrics with what the process held when it was set."""
    if reply.cap is None:
        return {"metrics": dict(metrics)}
    told = {f"cap_{key}": reply.cap[key] for key in _CAP_METRICS if key in reply.cap}
    return {"cap_mechanism": reply.cap["mechanism"], "metrics": {**metrics, **told}}


def _death(reply: Reply, case: Case, measuring: Measuring) -> tuple[Outcome, str]:
    """Outcome and reason of a child that gave no result."""
    if reply.timed_out:
        return Outcome.TIMEOUT, took_longer(measuring.timeout_s)
    if killed := _killed_at_limit(reply, case):
        return Outcome.KILLED, killed
    if case.memory_cap_bytes is not None and says_out_of_memory(reply.output):
        reason = allocation_that_failed(reply.output)
        return Outcome.OUT_OF_MEMORY, reason
    if reply.exit_code == -signal.SIGKILL:
        return Outcome.KILLED, kill_words(reply)
    if -reply.exit_code in CRASHES:
        name = signal.Signals(-reply.exit_code).name
        return Outcome.ERROR, f"crashed with {name}: {reply.last_words}"
    if reply.exit_code < 0:
        reason = f"killed by signal {-reply.exit_code}: {reply.last_words}"
        return Outcome.KILLED, reason
    return Outcome.ERROR, f"exit code {reply.exit_code}: {reply.last_words}"


def _killed_at_limit(reply: Reply, case: Case) -> str | None:
    """What is said of a kill at the limit of the case's own group; None where there was none."""
    if reply.cap is None or not reply.cap.get("killed"):
        return None
    mechanism, budget = reply.cap["mechanism"], format_cap(case.memory_cap_bytes)
    return f"killed by the kernel at {_LIMIT_OF[mechanism]} = {budget} ({mechanism})"


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
