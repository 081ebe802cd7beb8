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
    yield f"# {escaped(document.title)}"
    yield ""
    yield escaped(document.subtitle)
    yield ""
    for answer in document.answers:
        yield f"* {escaped(answer)}"
    if document.answers:
        yield ""
    for section in document.sections:
        drawn = any(chart.key in pictures for chart in section.charts)
        if not (section.sentences or section.tables or drawn):
            continue
        yield f"## {escaped(section.title)}"
        yield ""
        for sentence in section.sentences:
            yield f"* {escaped(sentence)}"
        if section.sentences:
            yield ""
        for chart in section.charts:
            if chart.key in pictures:
                yield f"![{escaped(chart.title)}](<{pictures[chart.key]}>)"
                yield ""
                yield f"*{escaped(chart.reading)}*"
                yield ""
        for table in section.tables:
            yield from _table(table)
            yield ""


def _table(table: Table) -> Iterator[str]:
    if table.caption:
        yield f"**{escaped(table.caption)}**"
        yield ""
    left = [table.wraps or place in {0, *table.words} for place in range(len(table.columns))]
    yield _row([escaped(title) for title in table.columns])
    yield _row([":--" if one else "--:" for one in left])
    for row in table.rows:
        yield _row([escaped(cell) for cell in row])
    if table.note:
        yield ""
        yield f"*{escaped(table.note)}*"


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def escaped(text: str) -> str:
    """Text that stays text: names, reasons and paths are anybody's, and none may be markup."""
    for mark in ("\\", "|", "<", "*", "_", "`", "["):
        text = text.replace(mark, "\\" + mark)
    return text.replace("\n", " ")
