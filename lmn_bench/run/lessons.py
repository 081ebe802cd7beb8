"""Trainings of mode learn, one after the other, each in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lmn_bench.errors import KilledError, OutOfMemoryError, WorkerError
from lmn_bench.escapes import plain
from lmn_bench.keeping import shortened
from lmn_bench.lessons import Learned, Learning
from lmn_bench.run.backstop import Backstop, Task
from lmn_bench.run.interims import (
    interim_file,
    make_interim_folder,
    remove_interim_folder,
)
from lmn_bench.run.learning import InterruptsAs, LearningProcess
from lmn_bench.run.reply import left_words
from lmn_bench.run.schedule import Finished, Started
from lmn_bench.schema import Outcome, Record

Start = Callable[[Mapping[str, Any]], LearningProcess]


@dataclass(frozen=True)
class Progressed:
    """What a training tells while it runs.

    Attributes:
        task: it.
        what: started, step, validation, unsaved; or killed: it is continued by itself.
        told: about that.
    """

    task: Task
    what: str
    told: Mapping[str, Any]


def run_lessons(
    tasks: Sequence[Task],
    learning: Learning,
    seed: int,
    folder: Path,
    earlier: Iterable[Record] = (),
    stopping: Callable[[], None] = lambda: None,
    now: Callable[[], float] = time.monotonic,
    start: Start = LearningProcess,
) -> Iterator[Started | Progressed | Finished]:
    """Train the tasks one after the other and yield what happens.

    The first Ctrl-C lets the step end that runs, and saves; a training that was broken off goes on
    from there the next time, with the numbers that it would have had. One whose process is killed
    goes on by itself, once, from what it saved last; killed again, it is left for the next time.
    That says nothing of other seeds: they are tried.

    Args:
        tasks: what is still to be learned, in order.
        learning: how.
        seed: of the first replicate; the others have the numbers after it.
        folder: of the run.
        earlier: records of the same run that are on disk already.
        stopping: called at the first Ctrl-C.
        now: the clock of the parent (s).
        start: makes the process of a job.

    Raises:
        KeyboardInterrupt: after Ctrl-C, everything saved.
        UsageError: the corpus cannot be had, or has changed.
        TrainingError: what is to be kept cannot be written.
        StoreError: the folder cannot be written.
    """
    backstop = Backstop(tasks, (record for record in earlier if not record.can_go_on))
    make_interim_folder(folder, tasks)
    for done, task in enumerate(backstop.in_turn()):
        yield Started(task, done, len(tasks), (task, *backstop.waiting))
        if (left_out := backstop.leaves_out(task)) is not None:
            yield Finished(task, left_out, measured=False)
            continue
        kept = interim_file(folder, task)
        job = {"case": asdict(task.case), "learning": asdict(learning),
               "seed": seed + task.replicate, "interim": str(kept)}  # fmt: skip
        record = yield from _learn(task, job, stopping, now, start)
        if not record.can_go_on:
            backstop.learn(record)
        yield Finished(task, record, measured=True)
        # Not before whoever asked has written the record down.
        if not record.can_go_on:
            with suppress(OSError):
                kept.unlink()
    remove_interim_folder(folder)


@dataclass(frozen=True)
class _Ending:
    """What a process told at its end, or what is told of it, and how far it was seen to come."""

    told: Mapping[str, Any]
    step: int = 0

    @property
    def is_killed(self) -> bool:
        """Whether somebody outside ended it."""
        return bool(self.told["outcome"] == Outcome.KILLED)

    @property
    def words(self) -> str:
        """How, and where."""
        return f"{self.told['reason']}, after step {self.step:,} or later"


def _learn(
    task: Task, job: Mapping[str, Any], stopping: Callable[[], None], now: Callable[[], float],
    start: Start,
) -> Generator[Progressed, None, Record]:  # fmt: skip
    """One training, continued once if it is killed; yields what it tells, returns its record."""
    started_at, begin = datetime.now(UTC).isoformat(timespec="seconds"), now()
    ending = yield from _attempt(task, job, stopping, start)
    told = ending.told
    if ending.is_killed:
        yield Progressed(task, "killed", {"reason": ending.words})
        first, ending = ending, (yield from _attempt(task, job, stopping, start))
        told = _continued(first, ending)
    return Record.of(
        task.case, task.replicate, **_fields(told), order=task.order, started_at=started_at,
        wall_s=round(now() - begin, 3),
    )  # fmt: skip


def _continued(first: _Ending, second: _Ending) -> dict[str, Any]:
    """What is to be kept of a training whose process was killed, and that was continued."""
    told = dict(second.told)
    if second.is_killed:
        told["reason"] = (
            f"{second.words}; it had been continued once by itself, after step {first.step:,}; "
            "run --resume goes on from what it saved last"
        )
        return told
    said = f"its process was {first.words}: continued once by itself, from what it had saved last"
    return {**told, "warnings": [*told.get("warnings", ()), said]}


def _attempt(
    task: Task, job: Mapping[str, Any], stopping: Callable[[], None], start: Start
) -> Generator[Progressed, None, _Ending]:
    """One process of a training; yields what it tells.

    Raises:
        KeyboardInterrupt: it was asked to stop, and did.
    """
    told: dict[str, Any] | None = None
    asked = stopped = False
    step = 0
    try:
        with start({"learn": job}) as process:

            def stop() -> None:
                nonlocal asked
                asked = True
                process.stop()
                stopping()

            with InterruptsAs(stop):
                for name, content in process.events():
                    if name == "ended":
                        told = content
                    elif name == "stopped":
                        stopped, step = True, content
                    elif isinstance(content, dict):
                        found = content.get("step", content.get("done"))
                        step = found if isinstance(found, int) else step
                        yield Progressed(task, name, content)
            if told is None and not stopped:
                told = {"outcome": Outcome.ERROR, "reason": process.ended_without()}
            if told is not None and process.foreign_lines:
                told = {**told, "foreign_lines": process.foreign_lines}
            if told is not None and (cut := process.cut()):
                told = {**told, "warnings": [*told.get("warnings", ()), *cut]}
    except KilledError as error:
        told = {"outcome": Outcome.KILLED, "reason": error.message}
    except OutOfMemoryError as error:
        told = {"outcome": Outcome.OUT_OF_MEMORY, "reason": error.message}
    except WorkerError as error:
        told = {"outcome": Outcome.ERROR, "reason": error.message}
    if told is not None:
        return _Ending(told, step)
    if asked:
        raise KeyboardInterrupt
    # It heard a signal that was not ours.
    return _Ending({"outcome": Outcome.KILLED, "reason": "stopped by a signal from outside"}, step)


def _fields(ending: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a record from what the process told at its end."""
    learned = ending.get("learned")
    return {
        "outcome": Outcome(ending["outcome"]),
        "reason": None if ending.get("reason") is None else plain(shortened(ending["reason"])),
        "metrics": ending.get("metrics", {}),
        "warnings": tuple(plain(shortened(text)) for text in _warnings(ending)),
        "stderr": tuple(map(plain, ending.get("stderr", ()))),
        "learned": None if learned is None else learned_of(learned),
    }


def _warnings(ending: Mapping[str, Any]) -> Iterator[str]:
    yield from ending.get("warnings", ())
    if ending.get("left"):
        yield left_words(ending["left"])
    if ending.get("foreign_lines"):
        yield (
            f"its code wrote among the answers of its process: {ending['foreign_lines']:,} lines "
            "were left out"
        )


def learned_of(data: Mapping[str, Any]) -> Learned:
    """What came as JSON, its lists as tuples."""
    points = ("training", "validation", "tests")
    return Learned(**{**data, **{key: tuple(map(tuple, data[key])) for key in points}})
