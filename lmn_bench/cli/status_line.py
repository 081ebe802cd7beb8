"""Lines on stderr that are drawn over, where there is a terminal."""

from __future__ import annotations

from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text


class StatusLine:
    """Draws when it is told to: no thread of ours runs beside what is measured.

    Silent where it is not enabled, or stderr is no terminal. Use it as a context manager.
    """

    def __init__(self, console: Console, *, enabled: bool = True) -> None:
        enabled = enabled and console.is_terminal
        self._live = Live(console=console, auto_refresh=False, transient=True) if enabled else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(self, *how: Any) -> None:
        if self._live is not None:
            self._live.__exit__(*how)

    @property
    def is_drawn(self) -> bool:
        """Whether anybody sees it."""
        return self._live is not None

    def draw(self, *lines: str) -> None:
        """Put these lines in the place of the last ones; what is too long is cut."""
        if self._live is not None:
            text = Text("\n".join(lines), no_wrap=True, overflow="ellipsis")
            self._live.update(text, refresh=True)
