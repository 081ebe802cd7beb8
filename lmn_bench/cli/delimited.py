"""Rows of cells from a text that somebody else wrote: no row shifted, cut or dropped unseen."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lmn_bench.errors import UsageError
from lmn_bench.reading import read_bytes, read_stream
from lmn_bench.texts import PIPED, decode_text
from lmn_bench.typed import quoted

# Tried in this order: the one whose header holds the columns that were asked for is taken.
_SEPARATORS = (",", ";", "\t", "|", " ")
# How files begin that are no text, and what to do with them.
_MAGIC = (
    (b"\x1f\x8b", "gzip", "gzip -dc {path} > unpacked.csv"),
    (b"BZh", "bzip2", "bzip2 -dc {path} > unpacked.csv"),
    (b"\xfd7zXZ", "xz", "xz -dc {path} > unpacked.csv"),
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd -dc {path} > unpacked.csv"),
    (b"PK\x03\x04", "zip (a spreadsheet?)", "save it as CSV first"),
    (b"PAR1", "Parquet", "save it as CSV first"),
)  # fmt: skip
# What some spreadsheets write above the header.
_SEPARATOR_LINE = re.compile(r"sep=(.)\s*")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
STDIN = "-"
# Of a table that is read into memory, where it takes some twenty times as much.
MOST_BYTES = 32 * 2**20
MOST_ROWS = 500_000


@dataclass(frozen=True)
class Row:
    """A row as it stands in the file.

    Attributes:
        number: counted from 1, comments and blank rows included, as a spreadsheet does.
        line: of the file, where it begins; another number where cells hold line breaks.
        cells: without space around them.
    """

    number: int
    line: int
    cells: tuple[str, ...]

    @property
    def place(self) -> str:
        """Where to look: row 7; row 7 (line 9)."""
        return f"row {self.number}" + (f" (line {self.line})" if self.line != self.number else "")


@dataclass(frozen=True)
class Delimited:
    """A table: the names of its columns, and its rows one by one.

    Attributes:
        header: names of columns.
        separator: what stands between cells.
        rows: the rows below the header that aren't blank, each as long as it came; read once.
        comments: numbers of rows that begin with #; complete when `rows` has been read.
    """

    header: tuple[str, ...]
    separator: str
    rows: Iterator[Row]
    comments: list[int]


def number(cell: str) -> float | None:
    """A cell as a number with a decimal point, or None: no 1_000, no 12 ms, no 0,5."""
    return float(cell) if _NUMBER.fullmatch(cell) else None


def read_delimited(path: Path, wanted: Sequence[str]) -> Delimited:
    """The table in a file, a pipe, or stdin for "-", read once.

    Args:
        path: of the file.
        wanted: names of columns, by which the separator is found.

    Raises:
        UsageError: it cannot be read, is no UTF-8 text, is empty, or has no header.
    """
    content = _content(path)
    text = _text(content, path)
    if not text.strip():
        raise UsageError(f"{path} is empty", "its first row should name the columns")
    return _table(text, wanted, path)


def _content(path: Path) -> bytes:
    try:
        if str(path) == STDIN:
            return read_stream(sys.stdin.buffer, MOST_BYTES, PIPED)
        return read_bytes(path, MOST_BYTES)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def _text(content: bytes, path: Path) -> str:
    for start, name, way in _MAGIC:
        if content.startswith(start):
            raise UsageError(f"{path} is {name}, no text", way.format(path=quoted(path)))
    text = decode_text(content, PIPED if str(path) == STDIN else str(path))
    if "\0" in text:
        row = text.count("\n", 0, text.index("\0")) + 1
        raise UsageError(f"{path} is no text file: a zero byte in row {row}")
    return text


def _table(text: str, wanted: Sequence[str], path: Path) -> Delimited:
    """The table under the separator whose header holds most of the columns asked for."""
    first = text.split("\n", 1)[0]
    given = _SEPARATOR_LINE.fullmatch(first)
    tried = (given[1],) if given and given[1] in _SEPARATORS else _SEPARATORS
    best, most = None, (-1, -1)
    for separator in tried:
        rows = _Rows(text, separator, path, skipped=1 if len(tried) == 1 else 0)
        try:
            header = rows.header()
        except UsageError:
            # a quotation mark that is one under another separator only
            continue
        found = (len(set(wanted) & set(header)), len(header))
        if found > most:
            best, most = Delimited(header, separator, rows, rows.comments), found
    if best is None:
        raise UsageError(f"{path} has no header that can be read: {first.strip()!r}")
    if not best.header:
        raise UsageError(f"{path} holds comments only", "its first row should name the columns")
    if all(number(name) is not None for name in best.header):
        raise UsageError(
            f"the first row of {path} holds numbers only: {', '.join(best.header)}",
            f"put a row above it that names the columns, for example {', '.join(wanted[:2])}",
        )
    return best


class _Lines:
    """Lines for a `csv.reader`, which asks for more of them where a quoted cell goes on."""

    def __init__(self, text: str, spaced: bool) -> None:
        self._lines = io.StringIO(text, newline="")
        self._spaced = spaced
        self.count = 0
        self.begun_by = ""

    def begin(self) -> None:
        """From here on another row."""
        self.begun_by = ""

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.count += 1
        self.begun_by = self.begun_by or line
        # A table set in spaces may have tabs too, and space at the end of a row.
        return line.replace("\t", " ").rstrip() + "\n" if self._spaced else line


class _Rows:
    """Rows that aren't blank, one by one; comments are passed over and remembered."""

    def __init__(self, text: str, separator: str, path: Path, skipped: int) -> None:
        self._lines = _Lines(text, separator == " ")
        self._reader = csv.reader(
            self._lines, delimiter=separator, skipinitialspace=True, strict=True
        )
        self._path = path
        self._number = skipped
        for _ in range(skipped):
            next(self._lines)
        self._again: Row | None = None
        self._last_comment: Row | None = None
        self.comments: list[int] = []

    def header(self) -> tuple[str, ...]:
        """The first row; where it holds numbers, the comment above it if that names them.

        Raises:
            UsageError: it cannot be read under this separator.
        """
        first = next(self, None)
        if first is None:
            return ()
        names = self._commented_names()
        if len(names) == len(first.cells) and all(number(one) is not None for one in first.cells):
            self._again = first
            self.comments.pop()
            return names
        return first.cells

    def _commented_names(self) -> tuple[str, ...]:
        if self._last_comment is None:
            return ()
        first, *others = self._last_comment.cells
        bare = first.lstrip("# ")
        return (bare, *others) if bare else tuple(others)

    def __iter__(self) -> _Rows:
        return self

    def __next__(self) -> Row:
        if self._again is not None:
            row, self._again = self._again, None
            return row
        while True:
            row = self._row()
            if self._lines.begun_by.lstrip().startswith("#"):
                self.comments.append(row.number)
                self._last_comment = row
            elif any(row.cells):
                return row

    def _row(self) -> Row:
        self._number += 1
        line = self._lines.count + 1
        self._lines.begin()
        try:
            cells = next(self._reader)
        except csv.Error as error:
            raise UsageError(
                f"{self._path}, {Row(self._number, line, ()).place}: {error}",
                "is a quotation mark not closed, or followed by something?",
            ) from error
        if self._number > MOST_ROWS:
            raise UsageError(
                f"{self._path} has more than {MOST_ROWS:,} rows",
                "give fewer: a few hundred lengths, with some processes each, decide any law",
            )
        return Row(self._number, line, tuple(cell.strip() for cell in cells))
