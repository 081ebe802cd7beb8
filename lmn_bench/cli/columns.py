"""Anyone's measurements: columns of a table, with every mistake told by its row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lmn_bench.cli.delimited import Row, number, read_delimited
from lmn_bench.errors import UnknownNameError, UsageError

# More rows than this are counted, not listed.
_MAX_ROWS = 5
_MISSING = {"", "nan", "na", "n/a", "none", "null"}
# Squares and ratios of numbers beyond these are none any more.
_LEAST, _LARGEST = 1e-150, 1e150
_WITH_UNIT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*[^\W\d_]\D*|.*\d\s*%")
_COMMA = re.compile(r"[+-]?\d+(,\d+)+(\.\d+)?")
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(\.\d{3})+")
# A whole number from here on beside 1.024 makes a point that parts thousands likely.
_LARGE_WHOLE = 100


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


@dataclass(frozen=True)
class Measurements:
    """Rows as columns of equal length; `groups` and `processes` are None without such a column."""

    x: Sequence[float]
    y: Sequence[float]
    groups: Sequence[str] | None = None
    processes: Sequence[str] | None = None


def read_columns(path: Path, columns: Columns) -> tuple[Measurements, list[str]]:
    """The rows of a CSV file, a pipe or stdin ("-"); and warnings.

    Cells may be parted by commas, semicolons, tabs, bars or spaces. Rows without an x or y are left
    out with a warning; x must be 1 or more and y above 0.

    Raises:
        UsageError: the file, a row, a column or a number cannot be used; by row where it is one.
        UnknownNameError: a column that the file hasn't.
    """
    found = read_delimited(path, list(columns.named.values()))
    _check(path, found.header, columns)
    rows = _of_equal_length(found.rows, found.header)
    warnings = []
    if found.comments:
        warnings.append(f"passed over as comments (#): {_rows(found.comments)}")
    if not rows:
        raise UsageError(f"{path} has no rows below its header")
    at = {option: found.header.index(column) for option, column in columns.named.items()}
    lacking = [row for row in rows if _lacks(row, (at["--x"], at["--y"]))]
    if lacking:
        warnings.append(f"left out, as they lack a value: {_rows([row.number for row in lacking])}")
        rows = [row for row in rows if not _lacks(row, (at["--x"], at["--y"]))]
    if not rows:
        raise UsageError(f"{path} has no row with both {columns.x} and {columns.y}")
    found_of = Measurements(
        _numbers(rows, at["--x"], columns.x, 1.0), _numbers(rows, at["--y"], columns.y, _LEAST)
    )
    if columns.group is not None:
        found_of = replace(found_of, groups=_names(rows, at["--group"], columns.group, "group"))
    if columns.process is not None:
        names = _names(rows, at["--process"], columns.process, "process")
        found_of = replace(found_of, processes=names)
    return found_of, warnings


def _check(path: Path, header: Sequence[str], columns: Columns) -> None:
    for option, column in columns.named.items():
        if column not in header:
            raise UnknownNameError(f"column for {option}", column, dict.fromkeys(header))
        if header.count(column) > 1:
            raise UsageError(f"the column {column!r} stands twice in {path}", "rename one of them")
    options = list(columns.named)
    for place, option in enumerate(options):
        for other in options[:place]:
            column = columns.named[option]
            if column == columns.named[other]:
                raise UsageError(f"{other} and {option} are the same column {column!r}")


def _of_equal_length(rows: Iterator[Row], header: Sequence[str]) -> list[Row]:
    """The rows, if each has a cell for every name."""
    kept: list[Row] = []
    odd: list[Row] = []
    for row in rows:
        (kept if len(row.cells) == len(header) else odd).append(row)
    if odd:
        first = odd[0]
        cells = f"{len(first.cells)} cell{'s' * (len(first.cells) != 1)} ({_listed(first.cells)})"
        longer = len(first.cells) > len(header)
        raise UsageError(
            f"{first.place}: {cells}, the header has {len(header)} ({_listed(header)})"
            + _others(len(odd) - 1),
            "a decimal comma, or another comma inside a cell? put the cell in quotes, write a "
            "point, or part cells by ';' in the whole file"
            if longer
            else f"give every row {len(header)} cells; leave one blank where there is no value",
        )
    return kept


def _lacks(row: Row, places: Sequence[int]) -> bool:
    return any(row.cells[place].lower() in _MISSING for place in places)


def _numbers(rows: Sequence[Row], place: int, column: str, least: float) -> list[float]:
    found = []
    faults = []
    for row in rows:
        fault = _fault(row.cells[place], least)
        if fault is not None:
            faults.append((row, *fault))
        elif not faults:
            found.append(float(row.cells[place]))
    if faults:
        row, what, hint = faults[0]
        others = _others(sum(other == what for _, other, _ in faults) - 1)
        cell = _shown(row.cells[place])
        raise UsageError(
            f"{column}, {row.place}: {cell} {what}{others}", hint.format(column=column)
        )
    _refuse_parted_thousands(rows, place, column)
    return found


def _fault(cell: str, least: float) -> tuple[str, str] | None:
    """What is wrong with a cell as a number, and the way out."""
    value = number(cell)
    if value is None:
        return "is not a finite number", _way(cell)
    if value > _LARGEST:
        return f"is above {_LARGEST:g}", "give {column} in a larger unit"
    if value <= 0:
        return "is not above 0", "growth is judged on a logarithmic scale"
    if value < least:
        return f"is below {least:g}", "give {column} in a smaller unit"
    return None


def _way(cell: str) -> str:
    """How a cell that is no number might be made one."""
    if _COMMA.fullmatch(cell):
        return "write a decimal point, and no comma between thousands"
    if _WITH_UNIT.fullmatch(cell):
        return "put the unit into the name of the column: numbers alone below it"
    return "write it as 1234.5 or 1.2345e3"


def _refuse_parted_thousands(rows: Sequence[Row], place: int, column: str) -> None:
    """Refuse 1.024 beside 512: a point may part thousands there, which would be 1,000 times less.

    All cells with a point look like thousands, and are below every whole number beside them.
    """
    pointed = [row for row in rows if "." in row.cells[place]]
    whole = [float(row.cells[place]) for row in rows if row.cells[place].isdigit()]
    if not pointed or not whole or len(pointed) + len(whole) < len(rows):
        return
    if min(whole) < _LARGE_WHOLE or not all(_THOUSANDS.fullmatch(r.cells[place]) for r in pointed):
        return
    if max(float(row.cells[place].replace(".", "", 1)) for row in pointed) > max(whole) and all(
        (number(row.cells[place]) or 0.0) < min(whole) for row in pointed
    ):
        cell = pointed[0].cells[place]
        raise UsageError(
            f"{column}, {pointed[0].place}: {cell!r} beside whole numbers up to {max(whole):g}: "
            "a point between thousands, or a decimal point?",
            f"write {cell.replace('.', '')}, or {cell}0 if it is less than 1,000",
        )


def _names(rows: Sequence[Row], place: int, column: str, what: str) -> list[str]:
    """The group or process of every row; none may be blank, or rows would be pooled as one."""
    # A group may be called None; a process whose name is None has none.
    missing = _MISSING if what == "process" else {""}
    blank = [row.number for row in rows if row.cells[place].lower() in missing]
    if blank:
        every = len(blank) == len(rows)
        lack = "every row lacks" if every else f"{_rows(blank)} lack{'s' * (len(blank) == 1)}"
        raise UsageError(
            f"{lack} a {what}: the column {column!r} is blank there",
            f"name the {what} in every row, or leave --{what} out"
            + (": then every row counts as a process of its own" if what == "process" else ""),
        )
    return [row.cells[place] for row in rows]


def _rows(numbers: Sequence[int]) -> str:
    listed = ", ".join(map(str, numbers[:_MAX_ROWS]))
    more = len(numbers) - _MAX_ROWS
    return f"row{'s' * (len(numbers) > 1)} {listed}" + (f" and {more} more" if more > 0 else "")


def _others(count: int) -> str:
    return f" (and {count} more row{'s' * (count > 1)})" if count else ""


def _listed(cells: Sequence[str]) -> str:
    more = len(cells) - _MAX_ROWS
    shown = " | ".join(_shown(cell) for cell in cells[:_MAX_ROWS])
    return shown + (f" and {more} more" if more > 0 else "")


def _shown(cell: str) -> str:
    """A cell as it came, but for a very long one."""
    return repr(cell) if len(cell) <= 40 else f"{cell[:40]!r}…"


def groups(found: Measurements, default: str) -> Iterator[tuple[str, Measurements]]:
    """The rows of each group in order of appearance; all of them under `default` without groups."""
    if found.groups is None:
        yield default, found
        return
    places: dict[str, list[int]] = {}
    for place, name in enumerate(found.groups):
        places.setdefault(name, []).append(place)
    for name, rows in places.items():
        processes = found.processes
        yield (
            name,
            Measurements(
                [found.x[row] for row in rows],
                [found.y[row] for row in rows],
                processes=None if processes is None else [processes[row] for row in rows],
            ),
        )
