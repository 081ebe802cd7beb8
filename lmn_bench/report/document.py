"""A report as plain data: sections of sentences, charts and tables; nothing is said about looks."""

from __future__ import annotations

from dataclasses import dataclass

from lmn_bench.report.chart import Chart
from lmn_bench.report.flame import Flame


@dataclass(frozen=True)
class Table:
    """Rows of text. The first column names the row; most others are numbers, right-aligned.

    Attributes:
        caption: what the table shows, with its unit.
        columns: titles.
        rows: one tuple of cells per row, as long as `columns`.
        note: how to read it, below.
        wraps: cells hold sentences: align left and wrap them.
        words: places of further columns that hold words: they are aligned left.
        whole: rows are read across, so that a narrow terminal wraps words, the first column
            included, where it would cut other tables into several.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    wraps: bool = False
    words: tuple[int, ...] = ()
    whole: bool = False


@dataclass(frozen=True)
class Section:
    """A heading, sentences, charts and the tables with their numbers.

    `folded`: few readers look for its tables; where they can be folded away, they are. `opened`:
    its tables are the result; pages have them before the charts and never fold them away. `flame`
    stands before the charts, on pages alone.
    """

    title: str
    sentences: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    charts: tuple[Chart, ...] = ()
    folded: bool = False
    opened: bool = False
    flame: Flame | None = None


@dataclass(frozen=True)
class Document:
    """A whole report.

    Attributes:
        title: of the page.
        subtitle: the machine and the time, in one line.
        answers: what the run says, in sentences, before any table.
        sections: the evidence.
    """

    title: str
    subtitle: str
    answers: tuple[str, ...]
    sections: tuple[Section, ...]

    @property
    def charts(self) -> tuple[Chart, ...]:
        """The charts of all sections."""
        return tuple(chart for section in self.sections for chart in section.charts)
