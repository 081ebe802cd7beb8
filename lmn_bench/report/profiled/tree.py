"""A profile in the terminal: parts, and their operators below them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lmn_bench.profiles import Operator, Part, Profile
from lmn_bench.report.profiled.words import (
    BETWEEN,
    answers,
    bytes_words,
    calls_words,
    depth_words,
    flops_words,
    operator_title,
    operators_of,
    part_title,
    rate_words,
    title_of,
)
from lmn_bench.report.text import Paragraph, render_answers
from lmn_bench.report.words import machine_line, where_short
from lmn_bench.safe import terminal_line
from lmn_bench.units import format_seconds, format_share

# Operators below a part; those with the least time are counted.
MOST_OPERATORS = 5
_COLUMNS = ("part, and its operators", "time", "share", "profiled", "calls", "FLOPs", "rate",
            "at peak")  # fmt: skip
# Terminals narrower than this have no room for these beside a name that can still be told.
_LEAST_WIDTHS = {"FLOPs": 100, "rate": 100, "calls": 66, "at peak": 66, "share": 48}
# And what it does without where a part's name takes more, the first of these first.
_GIVEN_UP = ("rate", "FLOPs", "at peak", "calls", "share")
# Between two columns: a space of padding and the (invisible) line; and one at the edge.
_GAP = 2
_BRANCHES = ("├ ", "└ ")
_NOTE = (
    "time: by a clock between parts, its own cost taken off. profiled: operators' own time under "
    "torch's profiler, which slows them down. Both of {per}. at peak: tensors of the part at the "
    "moment when all together are the most."
)


def render_profile(profile: Profile, console: Console) -> Group:
    """The whole profile as rich renderables."""
    parts: list[RenderableType] = [
        Paragraph(title_of(profile), "bold"),
        Paragraph(f"{where_short(profile.case)}; {machine_line(profile.environment)}"),
        *render_answers(answers(profile)),
        Text(""),
        Padding(_table(profile, console.width), (0, 0, 0, 1)),
        Paragraph(_NOTE.format(per=f"one {profile.per}"), "dim", " "),
    ]
    if profile.depth is not None:
        parts.append(Paragraph(f"{depth_words(profile.depth)}.", "dim", " "))
    return Group(*parts)


def _table(profile: Profile, width: int) -> Table:
    rows = [*_rows(profile)]
    parts = max(cell_len(part_title(part.name)) for part in profile.parts)
    widths = [parts, *(max(cell_len(row[at]) for row in [_COLUMNS, *rows])
                       for at in range(1, len(_COLUMNS)))]  # fmt: skip
    shown = [place for place, title in enumerate(_COLUMNS) if width >= _LEAST_WIDTHS.get(title, 0)]
    for title in _GIVEN_UP:
        if sum(widths[at] + _GAP for at in shown) > width:
            shown = [at for at in shown if _COLUMNS[at] != title]
    room = max(1, width - 1 - sum(widths[at] + _GAP for at in shown if at))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.padding = (0, 1, 0, 0)
    for place in shown:
        # Only columns that may wrap give way in a narrow table, so none with numbers may.
        table.add_column(_COLUMNS[place], justify="right" if place else "left", no_wrap=place > 0,
                         min_width=None if place else min(parts, room))  # fmt: skip
    for row in rows:
        is_part = not row[0].startswith(_BRANCHES)
        table.add_row(*_cells(row, shown, whole=is_part), style="bold" if is_part else "")
    return table


def _rows(profile: Profile) -> Iterator[tuple[str, ...]]:
    """Parts, each with its operators below it."""
    for part in profile.parts:
        yield _part_row(part, profile)
        rows = list(_operator_rows(part, profile))
        for place, row in enumerate(rows):
            yield (_BRANCHES[place == len(rows) - 1] + row[0], *row[1:])


def _cells(row: Sequence[str], shown: Sequence[int], *, whole: bool) -> list[Text]:
    # The name of an operator gives way, but by its end: it never goes on in a second line. That of
    # a part has its room, or takes a second line where no terminal is wide enough.
    name = Text(terminal_line(row[0]), overflow="fold" if whole else "ellipsis")
    name.no_wrap = not whole
    return [name, *(Text(row[place], no_wrap=True) for place in shown[1:])]


def _part_row(part: Part, profile: Profile) -> tuple[str, ...]:
    own = sum(one.self_s for one in profile.operators if one.part == part.name)
    between = sum(function.between_s for function in part.functions)
    return (
        part_title(part.name), format_seconds(part.seconds), format_share(round(part.share, 3)),
        format_seconds(own + between), "", flops_words(part.flops),
        rate_words(part.flops, part.seconds), bytes_words(part.bytes_at_peak),
    )  # fmt: skip


def _operator_rows(part: Part, profile: Profile) -> Iterator[tuple[str, ...]]:
    found = operators_of(profile, part)
    for one in found[:MOST_OPERATORS]:
        yield _operator_row(operator_title(one.name), one)
    rest = found[MOST_OPERATORS:]
    if rest:
        seconds = format_seconds(sum(one.self_s for one in rest))
        calls = calls_words(round(sum(one.calls for one in rest), 6))
        yield (f"{len(rest)} more", "", "", seconds, calls, "", "", "")
    between = sum(function.between_s for function in part.functions)
    if between > 0:
        yield (BETWEEN, "", "", format_seconds(between), "", "", "", "")


def _operator_row(name: str, one: Operator) -> tuple[str, ...]:
    return (name, "", "", format_seconds(one.self_s), calls_words(one.calls),
            flops_words(one.flops), rate_words(one.flops, one.self_s), "")  # fmt: skip
