"""A document as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from lmn_bench.report.document import Document, Table


def render_markdown(document: Document) -> str:
    """The whole document as GitHub-flavoured Markdown."""
    return "\n".join(_lines(document)).rstrip() + "\n"


def render_table(table: Table) -> str:
    """One table as Markdown, caption and note included."""
    return "\n".join(_table(table)).rstrip() + "\n"


def _lines(document: Document) -> Iterator[str]:
    yield f"# {_escaped(document.title)}"
    yield ""
    yield _escaped(document.subtitle)
    yield ""
    for answer in document.answers:
        yield f"* {_escaped(answer)}"
    if document.answers:
        yield ""
    for section in document.sections:
        yield f"## {_escaped(section.title)}"
        yield ""
        for sentence in section.sentences:
            yield f"* {_escaped(sentence)}"
        if section.sentences:
            yield ""
        for table in section.tables:
            yield from _table(table)
            yield ""


def _table(table: Table) -> Iterator[str]:
    if table.caption:
        yield f"**{_escaped(table.caption)}**"
        yield ""
    rest = ":--" if table.wraps else "--:"
    yield _row([_escaped(title) for title in table.columns])
    yield _row([":--", *[rest] * (len(table.columns) - 1)])
    for row in table.rows:
        yield _row([_escaped(cell) for cell in row])
    if table.note:
        yield ""
        yield f"*{_escaped(table.note)}*"


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escaped(text: str) -> str:
    """Text from data must not turn into markup: names, reasons and paths are anybody's."""
    for mark in ("\\", "|", "<", "*", "_", "`", "["):
        text = text.replace(mark, "\\" + mark)
    return text.replace("\n", " ")
