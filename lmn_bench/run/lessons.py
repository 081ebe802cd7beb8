"""Trainings of mode learn, one after the other, each in a process of its own."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lmn.atomic import sweep
from lmn_bench.errors import KilledError, StoreError, WorkerError
from lmn_bench.escapes import plain
from lmn_bench.lessons import Learned, Learning
from lmn_bench.run.backstop import Backstop, Task
from lmn_bench.run.learning import InterruptsAs, LearningProcess
from lmn_bench.run.reply import left_words
from lmn_bench.run.schedule import Finished, Started
from lmn_bench.schema import Outcome, Record

# Where trainings are kept that were broken off, in the folder of their run.
INTERIM_FOLDER = "interim"


@dataclass(frozen=True)
class Progressed:
    """What a training tells while it runs: `what` is started, step or validation."""

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
) -> Iterator[Started | Progressed | Finished]:
    """Train the tasks one after the other and yield what happens.

    The first Ctrl-C lets the step end that runs, and saves; a training that was broken off goes on
    from there the next time, with the numbers that it would have had.

    Args:
        tasks: what is still to be learned, in order.
        learning: how.
        seed: of the first replicate; the others have the numbers after it.
        folder: of the run.
        earlier: records of the same run that are on disk already.
        stopping: called at the first Ctrl-C.
        now: the clock of the parent (s).

    Raises:
        KeyboardInterrupt: after Ctrl-C, everything saved.
        UsageError: the corpus cannot be had, or has changed.
        TrainingError: what is to be kept cannot be written.
    """
    backstop = Backstop(tasks, earlier)
    interim = folder / INTERIM_FOLDER
    try:
        interim.mkdir(exist_ok=True)
        if interim.is_symlink():
            raise StoreError(
                f"{interim} is a symbolic link: nothing is written through links in a run folder",
                "put the folder itself there",
            )
        sweep(interim)
    except OSError as error:
        raise StoreError(f"cannot write to {folder}: {error.strerror}") from error
    for done, task in enumerate(backstop.in_turn()):
        yield Started(task, done, len(tasks), (task, *backstop.waiting))
        if (left_out := backstop.leaves_out(task)) is not None:
            yield Finished(task, left_out, measured=False)
            continue
        kept = interim / _file_name(task)
        job = {"case": asdict(task.case), "learning": asdict(learning),
               "seed": seed + task.replicate, "interim": str(kept)}  # fmt: skip
        record = yield from _learn(task, job, stopping, now)
        backstop.learn(record)
        yield Finished(task, record, measured=True)
        # Not before whoever asked has written the record down.
        kept.unlink(missing_ok=True)
    if not any(interim.iterdir()):
        interim.rmdir()


def _learn(
    task: Task, job: Mapping[str, Any], stopping: Callable[[], None], now: Callable[[], float]
) -> Generator[Progressed, None, Record]:
    """One training; yields what it tells, and returns its record."""
    started_at, begin = datetime.now(UTC).isoformat(timespec="seconds"), now()
    ending: dict[str, Any] | None = None
    stopped = False
    try:
        with LearningProcess({"learn": job}) as process:

            def stop() -> None:
                process.stop()
                stopping()

            with InterruptsAs(stop):
                for name, told in process.events():
                    if name == "ended":
                        ending = told
                    elif name == "stopped":
                        stopped = True
                    else:
                        yield Progressed(task, name, told)
            if ending is None and not stopped:
                ending = {"outcome": Outcome.ERROR, "reason": process.ended_without()}
            if ending is not None and process.foreign_lines:
                ending = {**ending, "foreign_lines": process.foreign_lines}
    except KilledError as error:
        ending = {"outcome": Outcome.KILLED, "reason": error.message}
    except WorkerError as error:
        ending = {"outcome": Outcome.ERROR, "reason": error.message}
    if ending is None:
        # It was asked to stop, and could.
        raise KeyboardInterrupt
    return Record.of(
        task.case, task.replicate, **_fields(ending), order=task.order, started_at=started_at,
        wall_s=round(now() - begin, 3),
    )  # fmt: skip


def _fields(ending: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a record from what the process told at its end."""
    learned = ending.get("learned")
    return {
        "outcome": Outcome(ending["outcome"]),
        "reason": None if ending.get("reason") is None else plain(ending["reason"]),
        "metrics": ending.get("metrics", {}),
        "warnings": tuple(map(plain, _warnings(ending))),
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


def _file_name(task: Task) -> str:
    # A case's id is longer than a file's name may be.
    digest = hashlib.sha256(f"{task.case.id} {task.replicate}".encode()).hexdigest()
    return f"{task.case.subject.replace(':', '.')}-{digest[:16]}.pt"
