"""A document for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table as RichTable
from rich.text import Text

from lmn_bench.report.document import Document, Section, Table
from lmn_bench.report.layout import longest_word, shared_out, wrapped
from lmn_bench.report.words import BAD_WORDS, GOOD_WORDS
from lmn_bench.safe import terminal_line

# Between two columns: a space of padding on either side and the (invisible) line.
_GAP = 3
# The same where a table is read across: no padding on the left.
_GAP_OF_WHOLE = 2


@dataclass(frozen=True)
class Paragraph:
    """Text wrapped between words, behind a mark; nothing in it is ever cut or broken."""

    text: str
    style: str = ""
    mark: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lines of the width there is."""
        behind = " " * cell_len(self.mark)
        lines = wrapped(self.text, options.max_width - len(behind))
        for place, line in enumerate(lines):
            start = behind if place else self.mark
            yield Text(f"{start}{line}", style=self.style, no_wrap=True, overflow="ignore")


@dataclass(frozen=True)
class TableView:
    """One table, in several side columns or row by row where the terminal is too narrow for it."""

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The columns that fit side by side, or else every row as a list of its cells."""
        groups = _column_groups(self.table, options.max_width - 1)
        if groups is None:
            yield from _stacked(self.table)
            return
        for columns, widths in groups:
            yield Padding(_side_by_side(self.table, columns, widths), (0, 0, 0, 1))


def render_document(document: Document, console: Console) -> Group:
    """The whole document as rich renderables."""
    parts: list[RenderableType] = [Paragraph(document.title, "bold"), Paragraph(document.subtitle)]
    parts += render_answers(document.answers)
    for section in document.sections:
        if not (section.sentences or section.tables):
            continue  # all it has are charts
        parts += [Text(""), *_heading(section.title, console.width)]
        parts += render_section(section)
    return Group(*parts)


def _heading(title: str, width: int) -> list[RenderableType]:
    """A title with a rule behind it; one without room for that is wrapped, never cut."""
    if cell_len(title) + _GAP <= width:
        return [Rule(Text(terminal_line(title), style="bold"), align="left", style="dim")]
    return [Paragraph(title, "bold"), Rule(style="dim")]


def render_answers(answers: Sequence[str]) -> list[RenderableType]:
    """The answers as a list with hanging marks."""
    return [Paragraph(answer, mark=" • ") for answer in answers]


def render_section(section: Section) -> Iterator[RenderableType]:
    """Sentences and tables of one section."""
    yield from render_answers(section.sentences)
    for table in section.tables:
        yield Text("")
        yield from render_table(table)


def render_table(table: Table) -> Iterator[RenderableType]:
    """One table with its caption and its note."""
    if table.caption:
        yield Paragraph(table.caption, "italic")
    yield TableView(table)
    if table.note:
        yield Paragraph(table.note, "dim", " ")


def _side_by_side(table: Table, columns: Sequence[int], widths: Sequence[int]) -> RichTable:
    rich_table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    if table.whole:
        rich_table.padding = (0, 1, 0, 0)
    for column, width in zip(columns, widths, strict=True):
        left = column == 0 or table.wraps or column in table.words
        title = "\n".join(wrapped(table.columns[column], width))
        rich_table.add_column(
            Text(title), justify="left" if left else "right", min_width=width, max_width=width
        )
    for row in table.rows:
        cells = [wrapped(row[at], width) for at, width in zip(columns, widths, strict=True)]
        rich_table.add_row(*map(_cell, cells))
    return rich_table


def _stacked(table: Table) -> Iterator[RenderableType]:
    """Every row as the name of it, and its cells below with their titles."""
    for row in table.rows:
        yield Paragraph(row[0], "bold", " ")
        for title, cell in zip(table.columns[1:], row[1:], strict=True):
            if cell:
                yield Paragraph(f"{title}: {cell}" if title else cell, _style(cell), "   ")


def _cell(lines: Sequence[str]) -> Text:
    return Text("\n".join(lines), style=_style(lines[0]), no_wrap=True, overflow="ignore")


def _style(text: str) -> str:
    return "red" if text.startswith(BAD_WORDS) else "green" if text.startswith(GOOD_WORDS) else ""


def _column_groups(table: Table, width: int) -> list[tuple[list[int], list[int]]] | None:
    """Columns that fit side by side and their widths; None where not even two of them do.

    The first one, which names the row, leads every group.
    """
    columns = [_needs(table, place) for place in range(len(table.columns))]
    gap = _GAP_OF_WHOLE if table.whole else _GAP
    found = []
    for places in _groups(table, [natural for natural, _, _ in columns], width, gap):
        natural, least, broken = zip(*(columns[place] for place in places), strict=True)
        room = width - gap * (len(places) - 1)
        # Cells of values are broken between values only where there is no other way.
        widths = shared_out(natural, least, room) or shared_out(natural, broken, room)
        if widths is None:
            return None
        found.append((places, widths))
    return found


def _needs(table: Table, place: int) -> tuple[int, int, int]:
    """What a column would take; what it needs; and what it needs if its values may be broken."""
    title, cells = table.columns[place], [row[place] for row in table.rows]
    whole = max((cell_len(terminal_line(cell)) for cell in cells), default=0)
    broken = max(map(longest_word, [title, *cells]))
    holds_words = table.wraps or place in table.words or (table.whole and place == 0)
    least = broken if holds_words else max(whole, longest_word(title))
    return max(whole, cell_len(title)), least, broken


def _groups(table: Table, natural: Sequence[int], width: int, gap: int) -> list[list[int]]:
    """Places of the columns that are to stand side by side."""
    if table.wraps or table.whole:
        return [list(range(len(natural)))]
    groups: list[list[int]] = []
    used = 0
    for place in range(1, len(natural)):
        if not groups or used + gap + natural[place] > width:
            groups.append([0])
            used = natural[0]
        groups[-1].append(place)
        used += gap + natural[place]
    return groups or [[0]]
