"""The two consoles: data on stdout, talk on stderr. Both obey NO_COLOR and COLUMNS."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from lmn_bench import safe
from lmn_bench.cli.streams import SteadyStream


class _Console(Console):
    """A console on which nothing is cut, and no name or message obeyed in place of being shown.

    rich's markup and its names of pictures (`:on:`) are off, whoever prints and whatever is given
    to `print`; everything passes `safe` on its way, also what was made a `Text` elsewhere.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, emoji=False, markup=False)
        # There what we print is read by a program that takes commands.
        self._is_log = os.environ.get("GITHUB_ACTIONS") == "true"

    def print(self, *objects: Any, **how: Any) -> None:
        """As rich does; a line that is longer than the terminal is left to it to break."""
        super().print(*objects, **{"crop": False, **how})

    def render_str(self, text: str, **how: Any) -> Text:
        """As rich does, of what can be shown: before it is laid out, so that widths are right."""
        return super().render_str(safe.terminal(text), **how)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """As rich does; what it draws itself (moves of the cursor) it marks as such."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=self._shown(segment.text))

    def _shown(self, text: str) -> str:
        shown = safe.terminal(text)
        return safe.log(shown) if self._is_log else shown


def stdout_console() -> Console:
    """Where results go."""
    return _Console()


def stderr_console() -> Console:
    """Where progress, warnings and errors go."""
    return _Console(stderr=True)


def print_json(data: Any) -> None:
    """One JSON value on stdout, whatever the width of the terminal or its encoding."""
    sys.stdout.write(f"{safe.json_text(data, ascii_only=not _is_utf8())}\n")


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
