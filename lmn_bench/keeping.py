"""What a process prints and says, kept in bounded size: its first and last part.

A file grows as fast as a process writes, so it is not asked how large it is: the kernel tells when
it has grown (inotify), and what lies between head and tail is given back to it. Who prints nothing
wakes nobody.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from contextlib import suppress

# Of each stream: enough for any warning and the end of a long traceback.
HEAD_BYTES = 64 * 1024
TAIL_BYTES = 64 * 1024
# Of a message: a page, and no more than a table of results can bear.
MOST_CHARACTERS = 4000
# What comes in a burst is looked at once.
BURST_S = 0.02
# The kernel gives back whole pages.
_PAGE_BYTES = 4096
_PUNCH_HOLE_AND_KEEP_SIZE = 0x03
_IN_MODIFY = 0x02
_IN_NONBLOCK_AND_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
_EVENTS_BYTES = 4096


def make_file(name: str) -> int:
    """An empty anonymous file for what a process prints; it is not on any disk.

    Opened by its name, not as it was made: of that, newer kernels tell no changes.
    """
    made = os.memfd_create(name)
    try:
        return os.open(f"/proc/self/fd/{made}", os.O_RDWR | os.O_CLOEXEC)
    finally:
        os.close(made)


class Kept:
    """Files of which the middle goes while they grow. Close it when nobody writes any more.

    Attributes:
        changes: a descriptor that can be read when one of them has grown; None where the kernel
            does not tell: then the middle goes whenever `cut` is called.
    """

    def __init__(self, files: Sequence[int]) -> None:
        self._files = tuple(files)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.changes = self._watch()

    def _watch(self) -> int | None:
        watching: int = self._libc.inotify_init1(_IN_NONBLOCK_AND_CLOEXEC)
        if watching < 0:
            return None
        for file in self._files:
            path = f"/proc/self/fd/{file}".encode()
            if self._libc.inotify_add_watch(watching, path, _IN_MODIFY) < 0:
                os.close(watching)
                return None
        return watching

    def cut(self) -> None:
        """Give the middle back, and forget that they have grown."""
        if self.changes is not None:
            with suppress(BlockingIOError):
                os.read(self.changes, _EVENTS_BYTES)
        for file in self._files:
            end = os.fstat(file).st_size - TAIL_BYTES
            end -= end % _PAGE_BYTES
            if end > HEAD_BYTES:
                self._libc.fallocate(
                    file, _PUNCH_HOLE_AND_KEEP_SIZE, ctypes.c_int64(HEAD_BYTES),
                    ctypes.c_int64(end - HEAD_BYTES),
                )  # fmt: skip

    def close(self) -> None:
        """Watch no more."""
        if self.changes is not None:
            os.close(self.changes)
            self.changes = None


def printed_bytes(file: int) -> int:
    """How much was printed in all."""
    return os.fstat(file).st_size


def end_of(file: int, most_bytes: int) -> str:
    """The end of what was printed."""
    begin = max(0, printed_bytes(file) - min(most_bytes, TAIL_BYTES))
    return os.pread(file, most_bytes, begin).decode(errors="backslashreplace")


def shortened(text: str, most: int = MOST_CHARACTERS) -> str:
    """A text of which the middle was left out, if it is longer than so many characters."""
    if len(text) <= most:
        return text
    half = most // 2
    cut = len(text) - 2 * half
    return f"{text[:half]} … ({cut:,} characters were cut out here) … {text[-half:]}"
