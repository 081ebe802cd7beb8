r"""Text that others wrote (names of files, what a model raises), made fit to be shown and stored.

A file's name may be no UTF-8, and an error may hold anything: bytes that no encoding has, codes
that a terminal obeys, marks that turn the direction of the line. What can't be shown is escaped
as Python writes it (`\xff`), never dropped, so that it can still be told what it was.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

# The name of our handler of what an encoding lacks: `text.encode(encoding, ESCAPED)`.
ESCAPED = "lmn_bench.escaped"

# Python reads bytes that are no UTF-8 as these (PEP 383).
_SURROGATES = re.compile("[\ud800-\udfff]")
# Beside them, what isn't shown but obeyed, or neither: control characters but for a tab and the end
# of a line, other ends of lines, marks that turn the direction of text, characters without a width
# (two names that look the same, a text that hides another one), and what XML has no word for.
# U+FE0F is shown where it makes a picture of the sign before it, and hides nothing there.
_UNSHOWN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufdd0-\ufdef\ufe00-\ufe0e\ufeff"
    "\uffa0\ufff0-\ufffb\ufffe\uffff\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    + "".join(f"{chr(end - 2)}{chr(end - 1)}" for end in range(0x20000, 0x120000, 0x10000))
    + "]|(?<![\xa9\xae\u2190-\u21ff\u2300-\u23ff\u2460-\u24ff\u25a0-\u27bf\u2900-\u297f"
    "\u2b00-\u2bff\U0001f000-\U0001faff])\ufe0f"
)
# What colours a terminal or moves its cursor.
_ESCAPE_SEQUENCE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])"
)
# In JSON all of these are one of these escapes, or no ASCII, or written as they are.
_UNSHOWN_IN_JSON = re.compile(r"\\[ubfr]|[^\n -~]")
# For encodings that lack a sign of ours; what it says must stay what it says.
_EQUIVALENTS = {
    "…": "...", "·": "*", "─": "-", "–": "-", "—": "-", "−": "-", "×": "x", "µ": "u", "μ": "u",
    "├": "|", "│": "|", "└": "`", "²": "^2", "³": "^3", "±": "+-", "≥": ">=", "≤": "<=", "≠": "!=",
    "≈": "~", "→": "->", "√": "sqrt ", "π": "pi", "•": "*", "“": '"', "”": '"', "’": "'",
    "✓": "ok", "✅": "ok", "✗": "x", "✕": "x", "❌": "x", "⚠": "!", "\ufe0f": "",
    "▁": "_", "▂": ".", "▃": "-", "▄": "=", "▅": "+", "▆": "*", "▇": "%", "█": "#",
}  # fmt: skip


def printable(text: str) -> str:
    """The text with an escape for all that a terminal, a page or a table can't show."""
    return _UNSHOWN.sub(lambda found: _escape(found.group()), text)


def plain(text: str) -> str:
    """What a program printed, without its terminal codes, the rest `printable`."""
    return printable(_ESCAPE_SEQUENCE.sub("", text))


def encodable(text: str) -> str:
    """The text with an escape for what no encoding has; control characters stay."""
    return _SURROGATES.sub(lambda found: _escape(found.group()), text)


def encodable_data(data: Any) -> Any:
    """The same for every text in plain data, keys included."""
    return _mapped(data, encodable)


def printable_data(data: Any) -> Any:
    """Plain data with every text in it `printable`, keys included."""
    return _mapped(data, printable)


def printable_json(text: str) -> str:
    """JSON with JSON's own escape for all that a terminal or a page can't show: the same data."""
    return _UNSHOWN.sub(lambda found: _json_escape(found.group()), text)


def loads_printable(text: str | bytes) -> Any:
    """What JSON holds, every text in it `plain`.

    Args:
        text: JSON of anybody, not only as `json.dumps` writes it.

    Raises:
        ValueError: it is no JSON, or nested deeper than Python goes.
    """
    raw = text.decode() if isinstance(text, bytes) else text
    try:
        data = json.loads(raw)
        return _mapped(data, plain) if _UNSHOWN_IN_JSON.search(raw) else data
    except RecursionError:
        raise ValueError("nested too deep") from None


def _mapped(data: Any, change: Any) -> Any:
    if isinstance(data, str):
        # Members of an enumeration of texts stay what they are.
        return change(data) if type(data) is str else data
    if isinstance(data, dict):
        return {_mapped(key, change): _mapped(value, change) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_mapped(value, change) for value in data]
    return data


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(character: str) -> str:
    code = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{code[at : at + 4]}" for at in range(0, len(code), 4))


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(map(_equivalent, lacking)), error.end


def _equivalent(character: str) -> str:
    return _EQUIVALENTS[character] if character in _EQUIVALENTS else _escape(character)


codecs.register_error(ESCAPED, _replace)
