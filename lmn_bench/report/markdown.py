"""A document as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lmn_bench.report.document import Document, Table
from lmn_bench.safe import markdown, markdown_address, markdown_label


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
    yield f"# {markdown(document.title)}"
    yield ""
    yield markdown(document.subtitle)
    yield ""
    for answer in document.answers:
        yield f"* {markdown(answer)}"
    if document.answers:
        yield ""
    for section in document.sections:
        drawn = any(chart.key in pictures for chart in section.charts)
        if not (section.sentences or section.tables or drawn):
            continue
        yield f"## {markdown(section.title)}"
        yield ""
        for sentence in section.sentences:
            yield f"* {markdown(sentence)}"
        if section.sentences:
            yield ""
        for chart in section.charts:
            if chart.key in pictures:
                yield f"![{markdown_label(chart.title)}]({markdown_address(pictures[chart.key])})"
                yield ""
                yield f"*{markdown(chart.reading)}*"
                yield ""
        for table in section.tables:
            yield from _table(table)
            yield ""


def _table(table: Table) -> Iterator[str]:
    if table.caption:
        yield f"**{markdown(table.caption)}**"
        yield ""
    left = [table.wraps or place in {0, *table.words} for place in range(len(table.columns))]
    yield _row([markdown(title) for title in table.columns])
    yield _row([":--" if one else "--:" for one in left])
    for row in table.rows:
        yield _row([markdown(cell) for cell in row])
    if table.note:
        yield ""
        yield f"*{markdown(table.note)}*"


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
