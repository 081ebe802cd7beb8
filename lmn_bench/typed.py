"""Commands that a user is told to type, so that they can be typed."""

from __future__ import annotations

import shlex
from pathlib import PurePath


def typed(*words: str | PurePath, program: str = "lmn-bench") -> str:
    """A command line, its words quoted where a shell needs it.

    A path that begins with a hyphen would be read as an option: it gets "./" before it.
    """
    return shlex.join([program, *(_word(word) for word in words)])


def quoted(path: str | PurePath) -> str:
    """A path alone as a word of a command line."""
    return shlex.quote(_word(PurePath(path)))


def _word(word: str | PurePath) -> str:
    if isinstance(word, PurePath) and str(word).startswith("-"):
        return f"./{word}"
    return str(word)
