"""The process in which a model learns or writes, and what it tells while it does."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import FrameType
from typing import Any, Self

from lmn_bench.errors import (
    ExitCode,
    KilledError,
    LmnBenchError,
    OutOfMemoryError,
    TrainingError,
    UsageError,
    WorkerError,
)
from lmn_bench.escapes import printable_data
from lmn_bench.keeping import HEAD_BYTES, TAIL_BYTES, end_of, make_file, printed_bytes
from lmn_bench.outcomes import CRASHES, allocation_that_failed, says_out_of_memory
from lmn_bench.plain import one_line
from lmn_bench.run.guard import GuardedProcess
from lmn_bench.run.installation import Installation
from lmn_bench.run.oom import OomKills
from lmn_bench.run.reply import cut_words, signal_9_words

_TAIL_BYTES = 4000
# All that it tells, whatever its job.
_EVENTS = {
    "started": dict, "step": dict, "validation": dict, "saved": int, "unsaved": dict,
    "stopped": int, "ended": dict, "text": str, "failed": dict,
}  # fmt: skip
# Of one thing that it tells: a curve and its tests are far less.
_MOST_BYTES = 64 * 2**20
_FAILURES: dict[int, type[LmnBenchError]] = {
    ExitCode.CASES_FAILED: TrainingError,
    ExitCode.USAGE: UsageError,
}


_LESS_MEMORY = "take a smaller model, batch or length"


class LearningProcess:
    """One job of `lmn_bench.worker.learning`, from start to end. Use it as a context manager.

    The process is in a session of its own, so that Ctrl-C reaches only us; it ends with us, and
    whatever it has started ends with it.

    Args:
        job: {"train": …}, {"learn": …} or {"generate": …}.
        installation: which code runs.

    Attributes:
        foreign_lines: lines among its answers that were none, so far; they were left out.
    """

    def __init__(self, job: Mapping[str, Any], installation: Installation | None = None) -> None:
        self._job = job
        self._installation = installation or Installation()
        self._printed = {"stdout": make_file("printed"), "stderr": make_file("errors")}
        self._process: GuardedProcess | None = None
        self._stopped = False
        self._oom_kills = OomKills()
        self.foreign_lines = 0

    def __enter__(self) -> Self:
        wanted = self._installation
        try:
            self._process = GuardedProcess(
                # -P: a lmn.py or statistics.py in the user's folder must not stand in for ours.
                [wanted.python, "-P", "-m", "lmn_bench.worker.learning",
                 str(self._printed["stdout"])],
                env=wanted.environ(os.environ),
                cwd=wanted.folder,
                stderr=self._printed["stderr"],
                kept=tuple(self._printed.values()),
            )  # fmt: skip
        except OSError as error:
            raise WorkerError(
                f"the learning process does not start: {error.filename}: {error.strerror}"
            ) from error
        assert self._process.stdin is not None
        with suppress(BrokenPipeError), self._process.stdin as pipe:
            pipe.write(json.dumps(self._job).encode() + b"\n")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.end()
            assert self._process.stdout is not None
            self._process.stdout.close()
        for file in self._printed.values():
            os.close(file)

    def stop(self) -> None:
        """Ask for an end after the step that runs; what is told until then still comes."""
        self._stopped = True
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)

    def events(self) -> Iterator[tuple[str, Any]]:
        """Name and content of everything that it tells, until it ends.

        Raises:
            UsageError: the job cannot be done as it was asked for.
            TrainingError: it failed on the way.
            KilledError: somebody outside ended it.
            OutOfMemoryError: it died, and its last words are of a lack of memory.
            KeyboardInterrupt: it was asked to stop, and could not any more.
            WorkerError: it died of something else.
        """
        assert self._process is not None
        assert self._process.stdout is not None
        pipe = self._process.stdout
        for line in iter(lambda: pipe.readline(_MOST_BYTES), b""):
            if not line.strip():
                continue
            told = _event(line)
            if told is None:
                self.foreign_lines += 1
                continue
            name, content = told
            if name != "text":  # what a model writes stays as it wrote it
                content = printable_data(content)
            if name == "failed":
                kind = _FAILURES.get(content["code"], WorkerError)
                raise kind(content["message"], content["hint"])
            yield name, content
        if (code := self._process.wait()) != 0:
            raise self._death(code)

    def _death(self, code: int) -> BaseException:
        if code < 0 and -code not in CRASHES:
            # Where it was to end anyway, before it had begun or by someone in a hurry: so it did.
            return KeyboardInterrupt() if self._stopped else self._killed(-code)
        words = self._said()
        if says_out_of_memory(words):
            return OutOfMemoryError(f"out of memory: {allocation_that_failed(words)}", _LESS_MEMORY)
        return WorkerError(f"the learning process died: {self._last_words(code)}",
                           "please report it")  # fmt: skip

    def _killed(self, number: int) -> KilledError:
        """What is known of its end by a signal."""
        if number != signal.SIGKILL:
            return KilledError(f"ended from outside, by signal {number}")
        kills = self._oom_kills.since()
        return KilledError(signal_9_words(kills), None if kills == 0 else _LESS_MEMORY)

    def ended_without(self) -> str:
        """How a process ended that told nothing at its end, and did not fail."""
        assert self._process is not None
        return f"the learning process ended too early: {self._last_words(self._process.wait())}"

    def _last_words(self, code: int) -> str:
        words = self._said()
        return one_line((words.splitlines() or [f"exit code {code}"])[-1])

    def _said(self) -> str:
        """The end of what it printed, of its errors first."""
        ends = (end_of(self._printed[stream], _TAIL_BYTES) for stream in ("stderr", "stdout"))
        return next((end.strip() for end in ends if end.strip()), "")

    def cut(self) -> list[str]:
        """What a record tells of streams of which the middle was not kept."""
        sizes = {stream: printed_bytes(file) for stream, file in self._printed.items()}
        most = HEAD_BYTES + TAIL_BYTES
        return [cut_words(stream, size) for stream, size in sizes.items() if size > most]


def _event(line: bytes) -> tuple[str, Any] | None:
    """Name and content of what it told; None of a line that is none of ours, or was cut short.

    A process that is killed while it writes leaves half a line; a model that writes into every
    descriptor that it finds open leaves whatever it likes.
    """
    try:
        ((name, content),) = json.loads(line).items()
    except (ValueError, AttributeError):
        return None
    return (name, content) if isinstance(content, _EVENTS.get(name, ())) else None


class InterruptsAs:
    """While inside, the first Ctrl-C calls `first`; the next one interrupts as always.

    So do a terminal that is closed and a polite end (SIGTERM), where they would interrupt too.
    """

    def __init__(self, first: Callable[[], None]) -> None:
        self._first = first
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            before = signal.getsignal(number)
            if number == signal.SIGINT or before is signal.default_int_handler:
                self._before[number] = signal.signal(number, self._handle)

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        for each in self._before:
            signal.signal(each, signal.default_int_handler)
        self._first()
