"""Anyone's measurements: columns of a CSV file, with every mistake told by its row."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lmn_bench.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    import pandas as pd

# More rows than this are counted, not listed.
_MAX_ROWS = 5
_MISSING = {"", "nan", "na", "n/a", "none", "null"}
_SEPARATORS = ",;\t"


@dataclass(frozen=True)
class Columns:
    """Which columns hold what."""

    x: str
    y: str
    group: str | None = None
    process: str | None = None

    @property
    def named(self) -> Mapping[str, str]:
        """Option -> column, for those that are given."""
        given = {"--x": self.x, "--y": self.y, "--group": self.group, "--process": self.process}
        return {option: column for option, column in given.items() if column is not None}


def read_columns(path: Path, columns: Columns) -> tuple[pd.DataFrame, list[str]]:
    """The rows of a CSV file as columns x, y (numbers), group, process (text); and warnings.

    Separators may be commas, semicolons or tabs. Rows without an x or y are left out with a
    warning; x must be 1 or more and y above 0.

    Raises:
        UsageError: the file, a column or a number cannot be used; by row where it is one.
        UnknownNameError: a column that the file hasn't.
    """
    import pandas as pd

    header, separator = _header(path)
    _check(path, header, columns)
    try:
        table = pd.read_csv(
            path, sep=separator, dtype=str, keep_default_na=False, skip_blank_lines=False,
            encoding="utf-8-sig", header=0, names=range(len(header)), index_col=False,
        )  # fmt: skip
    except (pd.errors.ParserError, pd.errors.ParserWarning, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no table of values: {str(error).strip()}") from error
    table.index += 2  # the header is row 1
    cells = table.fillna("").map(str.strip)
    cells = cells[(cells != "").any(axis=1)]
    if cells.empty:
        raise UsageError(f"{path} has no rows below its header")
    wanted = {name: header.index(column) for name, column in (
        ("x", columns.x), ("y", columns.y), ("group", columns.group), ("process", columns.process),
    ) if column is not None}  # fmt: skip
    frame = pd.DataFrame({name: cells[place] for name, place in wanted.items()})
    missing = frame[["x", "y"]].apply(lambda column: column.str.lower().isin(_MISSING)).any(axis=1)
    warnings = []
    if missing.any():
        warnings.append(f"left out, as they lack a value: {_rows(frame.index[missing])}")
        frame = frame[~missing]
    for name, column, least in (("x", columns.x, 1.0), ("y", columns.y, 0.0)):
        frame[name] = _numbers(frame[name], column, least)
    if frame.empty:
        raise UsageError(f"{path} has no row with both {columns.x} and {columns.y}")
    return frame, warnings


def _header(path: Path) -> tuple[list[str], str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text file: {error.reason}") from error
    if not first.strip():
        raise UsageError(f"{path} is empty", "its first row should name the columns")
    separator = max(_SEPARATORS, key=first.count)
    return [name.strip() for name in next(csv.reader([first], delimiter=separator))], separator


def _check(path: Path, header: list[str], columns: Columns) -> None:
    for option, column in columns.named.items():
        if column not in header:
            raise UnknownNameError(f"column for {option}", column, dict.fromkeys(header))
        if header.count(column) > 1:
            raise UsageError(f"the column {column!r} stands twice in {path}", "rename one of them")
    options = list(columns.named)
    for place, option in enumerate(options):
        for other in options[:place]:
            if columns.named[option] == columns.named[other]:
                raise UsageError(f"{other} and {option} are the same column {columns.x!r}")


def _numbers(cells: pd.Series, column: str, least: float) -> pd.Series:
    import numpy as np
    import pandas as pd

    numbers = pd.to_numeric(cells, errors="coerce").astype(float)
    for bad, what, hint in (
        (~np.isfinite(numbers), "is not a finite number", None),
        (numbers <= 0, "is not above 0", "growth is judged on a logarithmic scale"),
        (numbers < least, f"is below {least:g}", f"give {column} in a smaller unit"),
    ):
        if bad.any():
            row = bad.idxmax()
            more = int(bad.sum()) - 1
            others = f" (and {more} more row{'s' * (more > 1)})" if more else ""
            raise UsageError(f"{column}, row {row}: {cells[row]!r} {what}{others}", hint)
    return numbers


def _rows(index: pd.Index) -> str:
    listed = ", ".join(map(str, index[:_MAX_ROWS]))
    more = len(index) - _MAX_ROWS
    return f"row{'s' * (len(index) > 1)} {listed}" + (f" and {more} more" if more > 0 else "")


def groups(frame: pd.DataFrame, default: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each group in order of appearance; all of them under `default` without groups."""
    if "group" not in frame:
        yield default, frame
        return
    for name in dict.fromkeys(frame["group"]):
        yield name, frame[frame["group"] == name]
