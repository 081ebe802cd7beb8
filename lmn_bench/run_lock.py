"""One process at a time measures into a run folder."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lmn_bench.errors import StoreError


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from measuring into `folder`; the lock ends with us, however we end.

    A file system that knows no locks guards nothing.

    Raises:
        StoreError: another process has it, or the folder cannot be opened.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise StoreError(f"cannot open {folder}: {error.strerror}") from error
    try:
        _lock(handle, folder)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise StoreError(
                f"another lmn-bench is measuring into {folder}",
                "wait for its end, or interrupt it there with Ctrl-C first",
            ) from None
