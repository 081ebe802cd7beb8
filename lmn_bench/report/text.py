"""A document for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table as RichTable
from rich.text import Text

from lmn_bench.report.document import Document, Section, Table
from lmn_bench.report.words import BAD_WORDS, GOOD_WORDS

# Between two columns: a space of padding on either side and the (invisible) line.
_GAP = 3


def render_document(document: Document, console: Console) -> Group:
    """The whole document as rich renderables."""
    parts: list[RenderableType] = [Text(document.title, style="bold"), Text(document.subtitle)]
    parts += render_answers(document.answers)
    for section in document.sections:
        if not (section.sentences or section.tables):
            continue  # all it has are charts
        parts += [Text(""), *_heading(section.title, console.width)]
        parts += render_section(section, console)
    return Group(*parts)


def _heading(title: str, width: int) -> list[RenderableType]:
    """A title with a rule behind it; one without room for that is wrapped, never cut."""
    if len(title) + _GAP <= width:
        return [Rule(Text(title, style="bold"), align="left", style="dim")]
    return [Text(title, style="bold"), Rule(style="dim")]


def render_answers(answers: Sequence[str]) -> list[RenderableType]:
    """The answers as a list with hanging marks."""
    return [Padding(Text(f"• {answer}"), (0, 0, 0, 1)) for answer in answers]


def render_section(section: Section, console: Console) -> Iterator[RenderableType]:
    """Sentences and tables of one section."""
    yield from render_answers(section.sentences)
    for table in section.tables:
        yield Text("")
        yield from render_table(table, console)


def render_table(table: Table, console: Console) -> Iterator[RenderableType]:
    """One table, cut into several side columns when the terminal is too narrow for all of them."""
    if table.caption:
        yield Text(table.caption, style="italic")
    for columns in _column_groups(table, console.width):
        rich_table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        if table.whole:
            rich_table.padding = (0, 1, 0, 0)
        for place, column in enumerate(columns):
            left = place == 0 or table.wraps or column in table.words
            rich_table.add_column(
                Text(table.columns[column]),
                justify="left" if left else "right",
                no_wrap=not (table.wraps or (table.whole and left)),
                overflow="fold",
            )
        for row in table.rows:
            rich_table.add_row(*[_cell(row[column]) for column in columns])
        yield Padding(rich_table, (0, 0, 0, 1))
    if table.note:
        yield Padding(Text(table.note, style="dim"), (0, 0, 0, 1))


def _cell(text: str) -> Text:
    bad, good = text.startswith(BAD_WORDS), text.startswith(GOOD_WORDS)
    return Text(text, style="red" if bad else "green" if good else "")


def _column_groups(table: Table, width: int) -> list[list[int]]:
    """Columns that fit side by side; the first one, which names the row, leads every group."""
    if table.wraps or table.whole:
        return [list(range(len(table.columns)))]
    widths = [
        max(len(title), *(len(row[place]) for row in table.rows), 0) if table.rows else len(title)
        for place, title in enumerate(table.columns)
    ]
    groups: list[list[int]] = []
    used = 0
    for place in range(1, len(widths)):
        if not groups or used + _GAP + widths[place] > width - 2:
            groups.append([0])
            used = widths[0]
        groups[-1].append(place)
        used += _GAP + widths[place]
    return groups or [[0]]
