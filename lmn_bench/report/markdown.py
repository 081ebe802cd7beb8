"""A document as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lmn_bench.report.document import Document, Table


def render_markdown(document: Document, pictures: Mapping[str, str] | None = None) -> str:
    """The whole document as GitHub-flavoured Markdown.

    Args:
        document: what it says.
        pictures: path of the picture of each chart, by its key; a chart without one is left out.
    """
    return "\n".join(_lines(document, pictures or {})).rstrip() + "\n"


def render_table(table: Table) -> str:
    """One table as Markdown, caption and note included."""
    return "\n".join(_table(table)).rstrip() + "\n"


def _lines(document: Document, pictures: Mapping[str, str]) -> Iterator[str]:
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
        for chart in section.charts:
            if chart.key in pictures:
                yield f"![{_escaped(chart.title)}](<{pictures[chart.key]}>)"
                yield ""
                yield f"*{_escaped(chart.reading)}*"
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
