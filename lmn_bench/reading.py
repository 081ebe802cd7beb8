"""Reading what others wrote: bytes up to a limit, and the plain data that text holds.

A name may stand for anything: a device that never ends, a file of gigabytes, brackets nested deeper
than a parser goes, a number with more digits than Python prints. Whoever reads through here gets
what was expected or an error that says what came instead.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from lmn_bench.errors import UsageError
from lmn_bench.units import format_cap

# Of files that people write by hand; the largest that comes with lmn-bench has 1 % of it.
MOST_TYPED_BYTES = 2**20
# Tables within tables; suites have two, and Python itself stops at a thousand.
_DEEPEST = 32
# Dots before the "=" of a line: a key of n parts takes Python's parser time that grows with n^2.
_MOST_DOTS = 64
_DOTTED = re.compile(rf"^(?:[^.=\n]*\.){{{_MOST_DOTS}}}", re.MULTILINE)
# TOML's own bounds: an integer that 64 bits do not hold is an error.
_LEAST_INTEGER, _MOST_INTEGER = -(2**63), 2**63 - 1


class DataError(ValueError):
    """A text that is no TOML that can be worked with; its message follows the name of the file."""


def read_bytes(path: Path, most: int, shown: str | None = None) -> bytes:
    """All bytes of a file, or of a pipe until it is closed.

    Args:
        path: of the file.
        most: bytes that it may hold.
        shown: its name in errors, if not the path.

    Raises:
        OSError: it cannot be read.
        UsageError: it holds more, or its name is none.
    """
    name = shown or str(path)
    try:
        with path.open("rb") as file:
            return read_stream(file, most, name)
    except ValueError as error:
        raise UsageError(f"cannot read {name!r}: {error}") from error


def read_stream(file: IO[bytes], most: int, name: str) -> bytes:
    """What is left of an open file or pipe.

    Args:
        file: open for reading.
        most: bytes that it may hold.
        name: in errors.

    Raises:
        OSError: it cannot be read.
        UsageError: it holds more.
    """
    content = file.read(most + 1)
    if len(content) > most:
        raise UsageError(
            f"{name} holds more than {format_cap(most)}",
            "it is a device that never ends" if _is_device(file) else "give a smaller one",
        )
    return content


def read_stored(path: Path, most: int) -> bytes:
    """All bytes of a file of a folder that we look into unasked: never a pipe, which might wait.

    Raises:
        OSError: it cannot be read, or is no regular file.
        UsageError: it holds more than `most` bytes.
    """
    with open_stored(path) as file:
        return read_stream(file, most, str(path))


def open_stored(path: Path) -> IO[bytes]:
    """A regular file, open for reading, as `read_stored` wants it.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        what = "Is a directory" if path.is_dir() else "Is a pipe or a device, no file"
        raise OSError(None, what, str(path))
    return path.open("rb")


def toml_data(text: str) -> dict[str, Any]:
    """The tables of a TOML text.

    Raises:
        DataError: it is no TOML, nested too deep, or has an integer beyond 64 bits.
    """
    if _DOTTED.search(text):
        raise DataError(_TOO_DEEP)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"is not valid TOML: {error}") from None
    except RecursionError:
        raise DataError(_TOO_DEEP) from None
    except ValueError:
        # Python reads no whole number of more digits than it could print.
        raise DataError(_TOO_LONG) from None
    for value, depth in _walk(data):
        if depth > _DEEPEST:
            raise DataError(_TOO_DEEP)
        if isinstance(value, int) and not _LEAST_INTEGER <= value <= _MOST_INTEGER:
            raise DataError(_TOO_LONG)
    return data


_TOO_DEEP = f"is not usable TOML: nested more than {_DEEPEST} deep"
_TOO_LONG = "is not valid TOML: a whole number that 64 bits do not hold"


def _walk(data: Any) -> Iterator[tuple[Any, int]]:
    """Every value and how deep it lies, without recursion."""
    waiting = [(data, 0)]
    while waiting:
        value, depth = waiting.pop()
        yield value, depth
        inner = value.values() if isinstance(value, dict) else value
        if isinstance(value, dict | list):
            waiting.extend((item, depth + 1) for item in inner)


def shown(value: object, most: int = 80) -> str:
    """A value as Python writes it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}…"


def _is_device(file: IO[bytes]) -> bool:
    try:
        return stat.S_ISCHR(os.fstat(file.fileno()).st_mode)
    except (OSError, ValueError):
        return False
