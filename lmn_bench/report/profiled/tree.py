"""A profile in the terminal: parts, and their operators below them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
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
    flops_words,
    operator_title,
    operators_of,
    part_title,
    rate_words,
    title_of,
)
from lmn_bench.report.text import render_answers
from lmn_bench.report.words import machine_line, where_short
from lmn_bench.units import format_seconds, format_share

# Operators below a part; those with the least time are counted.
MOST_OPERATORS = 5
_COLUMNS = ("part, and its operators", "time", "share", "profiled", "calls", "FLOPs", "rate",
            "at peak")  # fmt: skip
# Terminals narrower than this have no room for these beside a name that can still be told.
_LEAST_WIDTHS = {"FLOPs": 100, "rate": 100, "calls": 66, "at peak": 66, "share": 48}
_NOTE = (
    "time: by a clock between parts, its own cost taken off. profiled: operators' own time under "
    "torch's profiler, which slows them down. Both of {per}. at peak: tensors of the part at the "
    "moment when all together are the most."
)


def render_profile(profile: Profile, console: Console) -> Group:
    """The whole profile as rich renderables."""
    parts: list[RenderableType] = [
        Text(title_of(profile), style="bold"),
        Text(f"{where_short(profile.case)}; {machine_line(profile.environment)}"),
        *render_answers(answers(profile)),
        Text(""),
        Padding(_table(profile, console.width), (0, 0, 0, 1)),
        Padding(Text(_NOTE.format(per=f"one {profile.per}"), style="dim"), (0, 0, 0, 1)),
    ]
    return Group(*parts)


def _table(profile: Profile, width: int) -> Table:
    shown = [place for place, title in enumerate(_COLUMNS) if width >= _LEAST_WIDTHS.get(title, 0)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.padding = (0, 1, 0, 0)
    for place in shown:
        # Only columns that may wrap give way in a narrow table, so none with numbers may.
        table.add_column(_COLUMNS[place], justify="right" if place else "left", no_wrap=place > 0)
    for part in profile.parts:
        table.add_row(*_cells(_part_row(part, profile), shown), style="bold")
        rows = list(_operator_rows(part, profile))
        for place, row in enumerate(rows):
            branch = "└ " if place == len(rows) - 1 else "├ "
            table.add_row(*_cells((branch + row[0], *row[1:]), shown))
    return table


def _cells(row: Sequence[str], shown: Sequence[int]) -> list[Text]:
    # A name gives way, but by its end: it never goes on in a second line.
    return [Text(row[place], no_wrap=True, overflow="ellipsis") for place in shown]


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
