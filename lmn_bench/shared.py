"""What a forked process tells the one that forked it, through memory that both share.

There is no pipe that a model could write into, close, or hand on to processes of its own.
"""

from __future__ import annotations

import mmap
import os

# Untouched, it costs nothing; the samples of a case and a profile of many operators are far less.
MOST_BYTES = 64 * 2**20
_LENGTH_BYTES = 8


class TooLongError(Exception):
    """More than there is room for."""


class Shared:
    """Room for bytes. Make it before the fork; write in the child, read in the parent."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._memory = mmap.mmap(-1, _LENGTH_BYTES + most_bytes)
        self._writer = 0

    def take(self) -> None:
        """From here on, this process writes; those that it forks don't."""
        self._writer = os.getpid()

    def write(self, data: bytes) -> None:
        """Add these, all or none.

        Raises:
            TooLongError: there is no room for them.
        """
        if os.getpid() != self._writer:
            return
        begin = _LENGTH_BYTES + self._length()
        end = begin + len(data)
        if end > len(self._memory):
            raise TooLongError
        self._memory[begin:end] = data
        # Last: whoever dies before it has told nothing, not the half.
        self._memory[:_LENGTH_BYTES] = (end - _LENGTH_BYTES).to_bytes(_LENGTH_BYTES, "little")

    def read(self) -> bytes:
        """What was written."""
        return self._memory[_LENGTH_BYTES : _LENGTH_BYTES + self._length()]

    def close(self) -> None:
        """Give the room back."""
        self._memory.close()

    def _length(self) -> int:
        return int.from_bytes(self._memory[:_LENGTH_BYTES], "little")
