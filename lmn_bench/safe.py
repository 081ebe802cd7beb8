r"""Text from outside, made safe for what it is written into: one function for each target.

Names, paths, messages of models, records of others and subjects of commits may hold anything. Every
renderer sends them through here last, so that none of it is obeyed, hides something or breaks what
is around it. What a target can't show as it is, stands there as Python writes it (`\x1b`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from lmn_bench.escapes import encodable_data, printable, printable_data, printable_json

_BLANKS = re.compile("[ \t\n]+")

# A line of a log that begins with "::", or has "##[" anywhere, is a command to GitHub's runner.
_RUNNER_COMMAND = re.compile(r"(?<!\S)::|##\[")

# An invisible space that can be seen in the source. GitHub looks for @name, #12, GH-12, :smile: and
# addresses in what is left once all escapes are undone: only something in between stops it.
_BREAK = "&#8203;"
_MARKUP = re.compile(
    # Where a line begins: bullets, rules, lines below a title, quotes, numbers of a list.
    r"(?P<begin>^(?:[-+=](?=[-+=\s]|$)|>))|(?P<number>^[0-9]{1,9}(?=[.)](?:\s|$)))"
    # A tilde that can only begin what is struck out, and never end it, stays: "~79 µs".
    r"|(?P<issue>\#(?=[0-9]))|(?P<mark>[\\|<*_`\[$#]|(?<=\S)~|~(?=~))|(?P<and>&)"
    # Names behind an @, unless in the middle of a word; addresses of mail, which have a point.
    r"|(?P<call>(?<![A-Za-z0-9_])@|@(?=[A-Za-z0-9_-]*\.)|(?<![A-Za-z0-9_])[Gg][Hh]-(?=[0-9])"
    r"|(?<![A-Za-z0-9_])[Ww]{3}(?=\.)|:(?=//|[+-]1:|[0-9_]*[A-Za-z][\w+-]*:))"
)
_MARKUP_OR_OTHER = re.compile(f"{_MARKUP.pattern}|(?P<other>.)")

# With one of these a cell begins that a spreadsheet takes for a formula, or that hides one from us.
# (OWASP's list of CSV injection, with the wide forms that East Asian ones take for the same.)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_QUOTE = "'"


def terminal(text: str) -> str:
    """Lines that a terminal shows and doesn't obey; tabs and ends of lines stay."""
    return printable(text)


def terminal_line(text: str) -> str:
    """As `terminal`, in one line."""
    return printable(text).replace("\n", " ").replace("\t", " ")


def log(text: str) -> str:
    """As `terminal`, where GitHub's runner reads along and obeys lines that begin with "::"."""
    return _RUNNER_COMMAND.sub(lambda found: rf"\x{ord(found[0][0]):x}{found[0][1:]}", text)


def markdown(text: str, most: int | None = None) -> str:
    """One line of GitHub-flavoured Markdown that is shown as the text and nothing else.

    No markup, no HTML, no link, no end of a table's cell, and nobody and no issue is mentioned.

    Args:
        text: anything; blanks in a row are one.
        most: characters of Markdown, if they are bounded; what is cut off ends in "…".
    """
    line = _BLANKS.sub(" ", printable(text)).strip(" ")
    whole = _MARKUP.sub(_unmarked, line)
    if most is None or len(whole) <= most:
        return whole
    return "".join(_bounded(line, most - 1)) + "…"


def markdown_label(text: str) -> str:
    """As `markdown`, between the brackets of a link or a picture."""
    return markdown(text).replace("]", "\\]")


def markdown_code(text: str, most: int) -> str:
    """Inline code of Markdown, fenced by more backticks than it has in a row."""
    line = _BLANKS.sub(" ", printable(text)).strip(" ")
    line = line if len(line) <= most else f"{line[: most - 1]}…"
    fence = "`" * (max(map(len, re.findall("`+", line)), default=0) + 1)
    return f"{fence} {line} {fence}" if len(fence) > 1 else f"`{line}`"


def markdown_address(path: str) -> str:
    """The path of a file beside a Markdown file, as what a link or a picture points to."""
    return quote(path, errors="surrogateescape")


def html(value: Any) -> Any:
    """What a template may write, text as `terminal`; that it is quoted is the template's part.

    Text that is HTML already (it has `__html__`) stays as it is.
    """
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def script_json(data: Any) -> str:
    """JSON that can stand in a script element: nothing in it ends the element or opens another."""
    text = json.dumps(
        printable_data(data), ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text


def json_text(data: Any, *, indent: int = 2, ascii_only: bool = True) -> str:
    r"""JSON that any parser takes and that is safe to look at: unshown characters as `\u009b`.

    A parser gives back the text as it was, but for halves of characters, which no encoding has.
    """
    text = json.dumps(
        encodable_data(data), indent=indent, ensure_ascii=ascii_only, allow_nan=False
    )  # fmt: skip
    return printable_json(text)


def csv_cell(value: Any) -> Any:
    """A cell of a table that no spreadsheet takes for a formula; what isn't text stays as it is.

    Text that begins with = + - @, a tab or an end of a line gets an apostrophe before it, and so
    does text that begins with an apostrophe: who takes one away has the text back.
    """
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"{_QUOTE}{text}" if text.startswith((_QUOTE, *_FORMULA)) else text


def xml(text: str) -> str:
    """Text that XML 1.0 can hold; that it is quoted is left to what writes the elements.

    Of https://www.w3.org/TR/xml/#charsets `printable` leaves nothing that is forbidden.
    """
    return printable(text)


def annotation(level: str, title: str, message: str) -> str:
    """A workflow command of GitHub: one line, whatever is in it.

    See https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts.
    """
    name = _command_data(title).replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={name}::{_command_data(message)}"


def chart(spec: Any) -> Any:
    """A Vega or Vega-Lite specification whose every text can be drawn.

    vl-convert writes SVG first: one control character in it ends the whole process.
    """
    return printable_data(spec)


def _unmarked(found: re.Match[str]) -> str:
    text = found[0]
    match found.lastgroup:
        case "begin" | "mark":
            return f"\\{text}"
        case "number":
            return f"{text}\\"
        case "issue":
            return f"\\{text}{_BREAK}"
        case "and":
            return "&amp;"
        case "call":
            return f"{text}{_BREAK}"
        case _:
            return text


def _bounded(line: str, most: int) -> Iterator[str]:
    """Markdown of the line up to so many characters; an escape is never cut in two."""
    for found in _MARKUP_OR_OTHER.finditer(line):
        piece = _unmarked(found)
        most -= len(piece)
        if most < 0:
            return
        yield piece


def _command_data(text: str) -> str:
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
