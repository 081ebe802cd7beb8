"""Text in files that people give: UTF-8, with or without a byte order mark."""

from __future__ import annotations

import codecs
from pathlib import Path

from lmn_bench.errors import UsageError
from lmn_bench.reading import MOST_TYPED_BYTES, read_bytes
from lmn_bench.typed import quoted

# The longer marks first: that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"), (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16"),
)  # fmt: skip
# Of western text in UTF-16 every second byte is zero; so many of the first ones show it.
_LOOKED_AT = 4096
_ZEROS = 0.7
# What Python calls the file that a pipe gives.
PIPED = "<stdin>"


def read_text(path: Path, most: int = MOST_TYPED_BYTES) -> str:
    """The text of a file or a pipe, without its byte order mark.

    Args:
        path: of the file.
        most: bytes that it may hold.

    Raises:
        OSError: it cannot be read.
        UsageError: it holds more, or is no UTF-8; the message says what it is, or where it stops
            being any.
    """
    return decode_text(read_bytes(path, most), str(path))


def decode_text(content: bytes, name: str) -> str:
    """Text of bytes in UTF-8, without a byte order mark.

    Raises:
        UsageError: as `read_text`.
    """
    wide = wide_encoding(content)
    if wide is not None:
        encoding, sign = wide
        raise UsageError(
            f"{name} is {encoding} {sign}", f"to have it in UTF-8, {_command(name, encoding)}"
        )
    try:
        return content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"{name} is not UTF-8: byte 0x{content[error.start]:02x} at {error.start}, "
            f"in line {line:,}",
            f"save it as UTF-8 with an editor; if it is Latin-1, {_command(name, 'latin1')}",
        ) from None


def wide_encoding(content: bytes) -> tuple[str, str] | None:
    """The UTF-16 or UTF-32 that bytes are in, by iconv's name, and its sign; None for neither."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding, "with a byte order mark"
    likely = _unmarked(content[:_LOOKED_AT]) if len(content) % 2 == 0 else None
    return (likely, "by the look of it: every second byte is zero") if likely else None


def _unmarked(content: bytes) -> str | None:
    for first, encoding in ((1, "UTF-16LE"), (0, "UTF-16BE")):
        zeros, others = content[first::2], content[1 - first :: 2]
        if zeros and zeros.count(0) > _ZEROS * len(zeros) and not others.count(0):
            return encoding
    return None


def _command(name: str, encoding: str) -> str:
    if name == PIPED:
        return f"send it through `iconv -f {encoding} -t UTF-8` first"
    return f"type `iconv -f {encoding} -t UTF-8 {quoted(name)} > utf8.txt`"
