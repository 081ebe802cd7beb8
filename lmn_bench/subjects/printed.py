"""What this process has printed to standard error: a worker's goes into a file of its own."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress

from lmn_bench.escapes import plain
from lmn_bench.plain import one_line

_STANDARD_ERROR = 2
# Read from the end: a model that prints by the megabyte has its last words there too.
_MOST_BYTES = 1 << 16
# Kept of a record: enough for every kind of warning that a model gives, and no log file.
MOST_LINES = 20
MOST_CHARACTERS = 300


class Printed:
    """Standard error from here on; nothing where it cannot be read back (a pipe, a terminal)."""

    def __init__(self) -> None:
        self._from = self._size()

    def lines(self) -> list[str]:
        """Its lines, each different one once, cut to a bounded size."""
        different = list(dict.fromkeys(_without_source(plain(self._text()).splitlines())))
        kept = [one_line(line, MOST_CHARACTERS) for line in different[:MOST_LINES]]
        left_out = len(different) - len(kept)
        return [*kept, f"… and {left_out:,} more lines"] if left_out else kept

    def last_words(self) -> str:
        """The last line, in brackets; nothing if there is none."""
        lines = [line for line in self._text().splitlines() if line.strip()]
        return f" (it printed: {one_line(lines[-1], MOST_CHARACTERS)})" if lines else ""

    def _text(self) -> str:
        with suppress(Exception):  # a model may have closed it, or put anything in its place
            sys.stderr.flush()
        size = self._size()
        begin = max(self._from, size - _MOST_BYTES)
        if size <= begin:
            return ""
        try:
            told = os.pread(_STANDARD_ERROR, size - begin, begin)
        except OSError:
            return ""
        if begin > self._from and b"\n" in told:
            # The rest of a line whose begin was left out is no line of its own.
            told = told.partition(b"\n")[2]
        return told.decode(errors="backslashreplace")

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
