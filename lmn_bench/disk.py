"""A disk that is full or fails: what to call it, and room that is kept for the last words."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

RESERVE_FILE: Final = ".reserve"
# A record with its samples takes up to 20 KiB, `run.json` 5 KiB, a report of text about as much.
RESERVE_KIB: Final = 64

_WORDS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "files may not grow any further here (ulimit -f)",
    errno.EIO: "the disk fails: input/output error",
}
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def disk_words(error: OSError) -> str:
    """Why something could not be written."""
    return _WORDS.get(error.errno or 0) or error.strerror or str(error)


def is_full(error: OSError) -> bool:
    """Whether there would be a way if there were room."""
    return error.errno in _FULL


def is_of_the_disk(error: OSError) -> bool:
    """Whether the disk is to blame, and nobody's path or permission."""
    return error.errno in _WORDS


class Reserve:
    """A file of `RESERVE_KIB` in a folder, given up when the disk has become full.

    Args:
        folder: where.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / RESERVE_FILE

    def take(self) -> None:
        """Make it, unless the file system can't hold room back.

        Raises:
            OSError: there is no room.
        """
        self.release()
        try:
            held = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.posix_fallocate(held, 0, RESERVE_KIB * 1024)
            finally:
                os.close(held)
        except OSError as error:
            self.release()
            if is_full(error):
                raise

    def release(self) -> None:
        """Give the room back; nothing is left."""
        with suppress(OSError):
            self._path.unlink()
