"""The folder of a profile: one of its own, held while it is filled; what a kill left is swept."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from lmn_bench.errors import StoreError
from lmn_bench.places import PROFILE_FILE
from lmn_bench.store import new_run_id

PAGE_FILE, TRACE_FILE, LINES_FILE = "report.html", "trace.json.gz", "lines.txt"
# What a profile that was ended has written so far; anything else in its folder is not ours.
_OURS = ("trace.json*", *(
    f"{dot}{name}*" for name in (PROFILE_FILE, PAGE_FILE, LINES_FILE) for dot in ("", ".")
))  # fmt: skip
_PREFIX = "profile-"


@contextmanager
def profile_folder(what: str, results: Path, moment: datetime) -> Iterator[Path]:
    """A new folder below `results`, gone again if it ends without its numbers.

    Folders without numbers that nobody holds are left by profiles that were killed: they go first.

    Args:
        what: is profiled, as its name is to say it.
        results: folder of run folders.
        moment: of the begin.

    Raises:
        StoreError: it cannot be made.
    """
    try:
        results.mkdir(parents=True, exist_ok=True)
        with _turn(results):
            _sweep(results)
            folder = results / new_run_id(f"{_PREFIX}{what}", results, moment)
            folder.mkdir()
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            with suppress(OSError):  # a file system without locks: nothing is swept there
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise StoreError(
            f"cannot create a folder in {results}: {error.strerror}",
            "choose another place with --results FOLDER",
        ) from error
    try:
        yield folder
    finally:
        _remove_without_numbers(folder)
        os.close(lock)


@contextmanager
def _turn(results: Path) -> Iterator[None]:
    """Wait for our turn: a folder that is made and not yet held would be swept by another."""
    handle = os.open(results, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _sweep(results: Path) -> None:
    for stray in results.glob(f"{_PREFIX}*"):
        if (stray / PROFILE_FILE).exists():
            continue
        # One that is held is being filled; one that cannot be opened is not ours.
        with suppress(OSError):
            lock = os.open(stray, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove_without_numbers(stray)
            finally:
                os.close(lock)


def _remove_without_numbers(folder: Path) -> None:
    """Take away what we wrote, and the folder if nothing else is in it; numbers keep all."""
    if (folder / PROFILE_FILE).exists():
        return
    with suppress(OSError):
        for pattern in _OURS:
            for left in folder.glob(pattern):
                left.unlink()
        folder.rmdir()
