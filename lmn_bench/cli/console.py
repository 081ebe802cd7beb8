"""The two consoles: data on stdout, talk on stderr. Both obey NO_COLOR and COLUMNS."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console


class _Console(Console):
    """A console whose reader may go away (`| head`), where rich itself would end in exit code 1."""

    def on_broken_pipe(self) -> None:
        """Hand the error on to where exit codes are made."""
        raise BrokenPipeError


def stdout_console() -> Console:
    """Where results go."""
    return _Console(highlight=False)


def stderr_console() -> Console:
    """Where progress, warnings and errors go."""
    return _Console(stderr=True, highlight=False)


def print_json(data: Any) -> None:
    """One JSON value on stdout, whatever the width of the terminal."""
    stdout_console().out(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))
