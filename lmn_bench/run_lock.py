"""Who writes where: one process at a time measures into a folder, each has a folder of its own.

Locks are the kernel's: they end with their process, however it ends. A file system that knows no
locks guards nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import chain, count
from pathlib import Path
from typing import Final

from lmn.atomic import is_part, sweep
from lmn_bench.disk import RESERVE_FILE, disk_words
from lmn_bench.errors import StoreError, UsageError
from lmn_bench.places import LINES_FILE, RECORDS_FILE, TRACE_FILE

# What may lie in a folder of which nothing says yet what it is: no `run.json`, nor its like.
_UNBORN: Final = frozenset({RESERVE_FILE, TRACE_FILE, TRACE_FILE.removesuffix(".gz"), LINES_FILE})
# Folders of ours in such a folder: those of `ab`, and of trainings.
_INNER: Final = ("base", "null", "new", "interim")
_NAME: Final = re.compile(r".+-[0-9]{8}-[0-9]{6}(-[0-9]+)?")
_HELD = (errno.EWOULDBLOCK, errno.EACCES)
_POLL_S = 0.05


@contextmanager
def locked(folder: Path, wait_s: float = 0.0, doing: str = "measuring") -> Iterator[None]:
    """Keep other processes out of `folder` while inside.

    Args:
        folder: where.
        wait_s: how long to wait for another one's end.
        doing: what is done there, in words.

    Raises:
        StoreError: another process has it, or the folder cannot be opened.
    """
    try:
        handle = _opened(folder)
    except OSError as error:
        raise StoreError(f"cannot open {folder}: {error.strerror}") from error
    try:
        deadline = time.monotonic() + wait_s
        while not _take(handle):
            if time.monotonic() >= deadline:
                waited = f", for {wait_s:g} s and longer" if wait_s else ""
                raise StoreError(
                    f"another lmn-bench is {doing} into {folder}{waited}",
                    "wait for its end, or interrupt it there with Ctrl-C first",
                )
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(handle)


@contextmanager
def new_folder(results: Path, name: str, moment: datetime) -> Iterator[Path]:
    """A folder of its own, locked, that sorts by time: scaling-20261123-141500.

    It is gone again if the block fails before there is a `run.json`, `gate.json` or `profile.json`
    in it. What others beside it left when they were killed is removed.

    Args:
        results: where; made if need be.
        name: its beginning. Where several begin in one second, a number is added.
        moment: its date and time.

    Raises:
        StoreError: the results folder cannot be written.
    """
    base = f"{name}-{moment:%Y%m%d-%H%M%S}"
    try:
        results.mkdir(parents=True, exist_ok=True)
        _sweep_results(results)
        folder, handle = _claimed(results, base)
    except OSError as error:
        raise StoreError(
            f"cannot create the folder {results / base}: {disk_words(error)}",
            "choose another place with --results FOLDER",
        ) from error
    try:
        yield folder
    except BaseException:
        _remove_unborn(folder)
        raise
    finally:
        os.close(handle)


@contextmanager
def claimed_file(path: Path, doing: str) -> Iterator[None]:
    """Keep other processes from working on the file `path` for a long time, as we do.

    Raises:
        UsageError: another one does.
        OSError: nothing can be written beside the file.
    """
    lock = path.with_name(f".{path.name}.lock")
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        taken = False
        try:
            taken = _take(handle)
            if not taken:
                raise UsageError(
                    f"another lmn-bench is {doing} {path}", "wait for its end, or take another -o"
                )
            # Or else who had it before has just removed it.
            if _is_at(handle, lock):
                yield
                return
        finally:
            if taken and _is_at(handle, lock):
                with suppress(OSError):
                    lock.unlink()
            os.close(handle)


def _claimed(results: Path, base: str) -> tuple[Path, int]:
    """A new folder, and the handle that locks it."""
    for name in chain([base], (f"{base}-{number}" for number in count(2))):
        folder = results / name
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        with suppress(FileNotFoundError):
            handle = _opened(folder)
            if _take(handle) and _is_at(handle, folder):
                return folder, handle
            os.close(handle)
        # Somebody has swept it, new as it was.
    raise AssertionError("numbers do not end")


def _sweep_results(results: Path) -> None:
    """Remove what killed runs left: half of a file, a reserve, a folder before it held anything."""
    for folder in results.iterdir():
        if not _NAME.fullmatch(folder.name) or folder.is_symlink():
            continue
        with suppress(OSError):
            handle = _opened(folder)
            try:
                if _take(handle):
                    _remove_unborn(folder)
                    for inner in (folder, *(folder / name for name in _INNER)):
                        sweep(inner)
                        (inner / RESERVE_FILE).unlink(missing_ok=True)
            finally:
                os.close(handle)


def _is_unborn(folder: Path) -> bool:
    try:
        return not folder.is_symlink() and all(map(_is_worthless, folder.iterdir()))
    except OSError:
        return False


def _is_worthless(path: Path) -> bool:
    """Whether a file says nothing by itself, or could be no record of anything yet."""
    if path.name == RECORDS_FILE:
        return path.stat().st_size == 0
    return path.name in _UNBORN or is_part(path.name)


def _remove_unborn(folder: Path) -> None:
    with suppress(OSError):
        if _is_unborn(folder):
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()


def _opened(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)


def _take(handle: int) -> bool:
    """Lock what is open; False if another process has it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _HELD
    return True


def _is_at(handle: int, path: Path) -> bool:
    """Whether what is open still lies at `path`."""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except OSError:
        return False
