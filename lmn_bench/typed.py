"""Commands that a user is told to type, so that they can be typed."""

from __future__ import annotations

import os
import shlex
from pathlib import PurePath

from lmn_bench.escapes import printable


def typed(*words: str | PurePath, program: str = "lmn-bench") -> str:
    r"""A command line of one line, its words quoted where a shell needs it.

    A path that begins with a hyphen would be read as an option: it gets "./" before it. A word with
    characters that can't be shown is written as `$'\x1b'`, which bash, zsh and ksh read.
    """
    return " ".join(shell_word(word) for word in (program, *map(_word, words)))


def quoted(path: str | PurePath) -> str:
    """A path alone as a word of a command line."""
    return shell_word(_word(PurePath(path)))


def _word(word: str | PurePath) -> str:
    if isinstance(word, PurePath) and str(word).startswith("-"):
        return f"./{word}"
    return str(word)


def shell_word(word: str) -> str:
    """One word of a command line, quoted where a shell needs it."""
    if printable(word) == word and not {"\n", "\t"} & {*word}:
        return shlex.quote(word)
    return f"$'{''.join(map(_escaped, word))}'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isascii() and character.isprintable():
        return character
    # Its bytes: those of a name that is no UTF-8 are none of a character.
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
