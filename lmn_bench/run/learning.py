"""The process in which a model learns or writes, and what it tells while it does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import FrameType
from typing import IO, Any, Self

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
from lmn_bench.outcomes import CRASHES, allocation_that_failed, says_out_of_memory
from lmn_bench.plain import one_line
from lmn_bench.run.installation import Installation

_TAIL_BYTES = 4000
# All that it tells, whatever its job.
_EVENTS = frozenset(
    {"started", "step", "validation", "saved", "unsaved", "stopped", "ended", "text", "failed"}
)
_FAILURES: dict[int, type[LmnBenchError]] = {
    ExitCode.CASES_FAILED: TrainingError,
    ExitCode.USAGE: UsageError,
}


_LESS_MEMORY = "take a smaller model, batch or length"


class LearningProcess:
    """One job of `lmn_bench.worker.learning`, from start to end. Use it as a context manager.

    The process is in a session of its own, so that Ctrl-C reaches only us; the kernel ends it with
    the thread that started it.

    Args:
        job: {"train": …}, {"learn": …} or {"generate": …}.
        installation: which code runs.

    Attributes:
        foreign_lines: lines among its answers that were none, so far; they were left out.
    """

    def __init__(self, job: Mapping[str, Any], installation: Installation | None = None) -> None:
        self._job = job
        self._installation = installation or Installation()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed by __exit__
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115  likewise
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self.foreign_lines = 0

    def __enter__(self) -> Self:
        wanted = self._installation
        try:
            self._process = subprocess.Popen(
                # -P: a lmn.py or statistics.py in the user's folder must not stand in for ours.
                [wanted.python, "-P", "-m", "lmn_bench.worker.learning",
                 str(self._printed.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=wanted.environ(os.environ),
                cwd=wanted.folder,
                start_new_session=True,
                pass_fds=(self._printed.fileno(),),
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
            # The group, which is its own: a model's helpers would outlive it.
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
        self._errors.close()
        self._printed.close()

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
        for line in self._process.stdout:
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
            return KeyboardInterrupt() if self._stopped else _killed(-code)
        words = _tail(self._errors) or _tail(self._printed)
        if says_out_of_memory(words):
            return OutOfMemoryError(f"out of memory: {allocation_that_failed(words)}", _LESS_MEMORY)
        return WorkerError(f"the learning process died: {self._last_words(code)}",
                           "please report it")  # fmt: skip

    def ended_without(self) -> str:
        """How a process ended that told nothing at its end, and did not fail."""
        assert self._process is not None
        return f"the learning process ended too early: {self._last_words(self._process.wait())}"

    def _last_words(self, code: int) -> str:
        words = _tail(self._errors) or _tail(self._printed)
        return one_line((words.splitlines() or [f"exit code {code}"])[-1])


def _killed(number: int) -> KilledError:
    """What is known of a process that a signal has ended: who sent it is not."""
    if number == signal.SIGKILL:
        return KilledError(
            "killed by signal 9, by somebody or by the kernel for lack of memory",
            f"if memory is short, {_LESS_MEMORY}",
        )
    return KilledError(f"ended from outside, by signal {number}")


def _event(line: bytes) -> tuple[str, Any] | None:
    """Name and content of what it told; None of a line that is none of ours, or was cut short.

    A process that is killed while it writes leaves half a line; a model that writes into every
    descriptor that it finds open leaves whatever it likes.
    """
    try:
        ((name, content),) = json.loads(line).items()
    except (ValueError, AttributeError):
        return None
    return (name, content) if name in _EVENTS else None


def _tail(printed: IO[bytes]) -> str:
    printed.seek(max(0, printed.seek(0, os.SEEK_END) - _TAIL_BYTES))
    return printed.read().decode(errors="replace").strip()


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
