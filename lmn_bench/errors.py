"""Every error that a user can cause, with what to do about it and the exit code it ends in.

LmnBenchError (message, hint, exit_code)
├── UsageError (2)             a wrong option or argument
│   ├── UnknownNameError       a name that does not exist, with the nearest one that does
│   ├── RevisionError          a revision that git does not know, or cannot check out
│   └── UnitError              a quantity that cannot be read ("64 Mb", "2^7.15")
├── FileError (2)              a file with one or more mistakes, all told at once
│   ├── SuiteError             a suite file
│   ├── DeviceFileError        a file of device profiles
│   └── TrainingFileError      the config of a training
├── SubjectError (2)           a user's own model that cannot be imported or built
├── DeviceError (2)            a device asked for by name that this machine lacks
├── CapError (2)               a memory cap that this machine or session cannot enforce
├── StoreError (2)             a run folder that cannot be read, written or continued
│   └── NewerSchemaError       a run folder written by a newer lmn-bench
├── ReportError (2)            a report whose packages for charts are missing or broken
├── ProfileError (1)           a profiled model that fails, or runs out of memory or time
├── TrainingError (1)          a training that fails: memory runs out, or its process is killed
│   ├── DivergedError          its loss, or a weight, is no number any more
│   ├── OutOfMemoryError       its process died for want of memory
│   └── KilledError            its process was ended from outside, perhaps by the kernel
├── ServerKilledError (1)      the measuring process was killed before it could measure
├── ComparisonError (5)        two versions, or two runs, that cannot be set side by side
└── WorkerError (3)            the measuring process broke its protocol: our mistake

Two exit codes are verdicts of a comparison: 1, something got worse, and 4, it cannot be told
whether anything did.

Library code raises these and never prints or exits; `lmn_bench.cli` turns them into exit codes
in one place.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every `lmn-bench` command."""

    OK = 0
    CASES_FAILED = 1
    USAGE = 2
    INTERNAL = 3
    INCONCLUSIVE = 4
    INCOMPARABLE = 5
    INTERRUPTED = 130


class LmnBenchError(Exception):
    """Base of all errors meant for the user: a message, a hint and an exit code."""

    exit_code: ExitCode = ExitCode.USAGE

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(LmnBenchError):
    """A wrong option or argument on the command line."""


class UnknownNameError(UsageError):
    """A name that does not exist; the hint offers the nearest one that does."""

    def __init__(self, kind: str, name: str, known: Iterable[str], extra: str = "") -> None:
        known = sorted(known)
        super().__init__(f"unknown {kind} {name!r}", nearest_hint(kind, name, known, extra))


class RevisionError(UsageError):
    """A revision that git does not know or cannot check out."""


class UnitError(UsageError):
    """A quantity that cannot be read."""


@dataclass(frozen=True)
class Problem:
    """One mistake in a file: where it is, what is wrong, and what to do."""

    place: str
    message: str
    hint: str | None = None


class FileError(LmnBenchError):
    """A file with mistakes; `problems` holds all of them."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        count = f"{len(problems)} mistakes" if len(problems) > 1 else "a mistake"
        super().__init__(f"{source} has {count}")
        self.source = source
        self.problems = tuple(problems)


class SuiteError(FileError):
    """A suite with mistakes."""


class DeviceFileError(FileError):
    """Device profiles with mistakes."""


class TrainingFileError(FileError):
    """The config of a training, with mistakes."""


class SubjectError(LmnBenchError):
    """A user's own model that cannot be imported, built or run."""


class DeviceError(LmnBenchError):
    """A device that was asked for by name and is not there."""


class CapError(LmnBenchError):
    """A memory cap by a mechanism that this machine or session does not allow."""


class StoreError(LmnBenchError):
    """A run folder that cannot be read, written or continued."""


class NewerSchemaError(StoreError):
    """A run folder whose schema is newer than this program's."""


class ReportError(LmnBenchError):
    """A report that cannot be made: a package that draws charts is missing or broken."""


class ProfileError(LmnBenchError):
    """A model that failed while it was profiled, or ran out of memory or time."""

    exit_code = ExitCode.CASES_FAILED


class ServerKilledError(LmnBenchError):
    """The measuring process was killed while it started, more than once."""

    exit_code = ExitCode.CASES_FAILED


class TrainingError(LmnBenchError):
    """A training that cannot go on: its loss is no number, or its process died."""

    exit_code = ExitCode.CASES_FAILED


class KilledError(TrainingError):
    """A training whose process was ended by a signal from outside, the kernel's included."""


class OutOfMemoryError(TrainingError):
    """A training whose process died of an allocation that failed."""


class DivergedError(TrainingError):
    """A training whose loss, or a weight, is no finite number any more."""


class ComparisonError(LmnBenchError):
    """Two versions or runs that cannot be set side by side: they don't measure the same."""

    exit_code = ExitCode.INCOMPARABLE


class WorkerError(LmnBenchError):
    """The measuring process broke its protocol."""

    exit_code = ExitCode.INTERNAL


def nearest_hint(kind: str, name: str, known: Sequence[str], extra: str = "") -> str:
    """A hint that offers the nearest known name, or lists all when none is near."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        # After a question, what follows "; …" is a sentence of its own.
        rest = extra.removeprefix("; ")
        return f"did you mean {near[0]!r}?" + (f" {rest[0].upper()}{rest[1:]}" if rest else "")
    if not known:
        return f"there is no {kind} here{extra}"
    return f"choose one of {', '.join(known)}{extra}"
