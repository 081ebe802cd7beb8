"""The two consoles: data on stdout, talk on stderr. Both obey NO_COLOR and COLUMNS."""

from __future__ import annotations

import codecs
import json
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from lmn_bench.cli.streams import SteadyStream
from lmn_bench.escapes import encodable_data, printable


class _Console(Console):
    """A console on which nothing is cut, and no name or message obeyed in place of being shown."""

    def print(self, *objects: Any, **how: Any) -> None:
        """As rich does; a line that is longer than the terminal is left to it to break."""
        super().print(*objects, **{"crop": False, **how})

    def render_str(self, text: str, **how: Any) -> Text:
        """As rich does, of what can be shown."""
        return super().render_str(printable(text), **how)


def stdout_console() -> Console:
    """Where results go."""
    return _Console(highlight=False, emoji=False)


def stderr_console() -> Console:
    """Where progress, warnings and errors go."""
    return _Console(stderr=True, highlight=False, emoji=False)


def print_json(data: Any) -> None:
    """One JSON value on stdout, whatever the width of the terminal or its encoding."""
    text = json.dumps(
        encodable_data(data), indent=2, ensure_ascii=not _is_utf8(), allow_nan=False
    )  # fmt: skip
    sys.stdout.write(f"{text}\n")


def write_stdout(text: str, *, utf8: bool = False) -> None:
    """Text on stdout as it is.

    Args:
        text: what is written.
        utf8: a page says itself how it is encoded, whatever a terminal takes.
    """
    if utf8 and isinstance(sys.stdout, SteadyStream):
        sys.stdout.write_utf8(text)
    else:
        sys.stdout.write(text)


def _is_utf8() -> bool:
    return codecs.lookup(getattr(sys.stdout, "encoding", None) or "utf-8").name == "utf-8"
