"""What this process has printed to standard error: a worker's goes into a file of its own."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress

from lmn_bench.escapes import plain
from lmn_bench.keeping import HEAD_BYTES, TAIL_BYTES
from lmn_bench.plain import one_line
from lmn_bench.units import format_bytes

_STANDARD_ERROR = 2
# Kept of a record: enough for every kind of warning that a model gives, and no log file.
MOST_LINES = 20
MOST_CHARACTERS = 300


class Printed:
    """Standard error from here on; nothing where it cannot be read back (a pipe, a terminal)."""

    def __init__(self) -> None:
        self._from = self._size()

    def lines(self) -> list[str]:
        """Its lines, each different one once, cut to a bounded size."""
        text, cut = self._text()
        different = list(dict.fromkeys(_without_source(plain(text).splitlines())))
        kept = [one_line(line, MOST_CHARACTERS) for line in different[:MOST_LINES]]
        left_out = len(different) - len(kept)
        more = [f"… and {left_out:,} more lines"] if left_out else []
        middle = [f"… {format_bytes(cut)} in the middle were not kept"] if cut else []
        return [*kept, *more, *middle]

    def last_words(self) -> str:
        """The last line, in brackets; nothing if there is none."""
        lines = [line for line in self._text()[0].splitlines() if line.strip()]
        return f" (it printed: {one_line(lines[-1], MOST_CHARACTERS)})" if lines else ""

    def _text(self) -> tuple[str, int]:
        """Its first and last part, and how many bytes between them are left out."""
        with suppress(Exception):  # a model may have closed it, or put anything in its place
            sys.stderr.flush()
        size = self._size()
        last = max(self._from, size - TAIL_BYTES)
        head = self._read(self._from, min(last, HEAD_BYTES))
        tail = self._read(last, size)
        cut = last - self._from - len(head)
        if cut:
            # The parts of lines that were cut through are no lines of their own.
            head = (head.rpartition(b"\n")[0] or head) + b"\n"
            tail = tail.partition(b"\n")[2] or tail
        return (head + tail).decode(errors="backslashreplace"), max(0, cut)

    @staticmethod
    def _read(begin: int, end: int) -> bytes:
        try:
            return os.pread(_STANDARD_ERROR, end - begin, begin) if begin < end else b""
        except OSError:
            return b""

    @staticmethod
    def _size() -> int:
        try:
            told = os.fstat(_STANDARD_ERROR)
        except OSError:
            return 0
        return told.st_size if stat.S_ISREG(told.st_mode) else 0


def _without_source(lines: list[str]) -> Iterator[str]:
    """Lines that say something; not the line of code that Python shows below a warning."""
    before = ""
    for line in lines:
        if line.strip() and not (line.startswith("  ") and "Warning: " in before):
            yield line
        before = line
