"""A report as plain data: sections of sentences and tables, with nothing said about looks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Rows of text. The first column names the row; the others are numbers, right-aligned.

    Attributes:
        caption: what the table shows, with its unit.
        columns: titles.
        rows: one tuple of cells per row, as long as `columns`.
        note: how to read it, below.
        wraps: cells hold sentences: align left and wrap them.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    wraps: bool = False


@dataclass(frozen=True)
class Section:
    """A heading, sentences and tables."""

    title: str
    sentences: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()


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
