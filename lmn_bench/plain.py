"""What strangers' code says, as text that a terminal, a page and a file can hold.

Names, messages and printed lines of a user's model may hold anything: colours, control characters,
halves of characters that no encoding has, and exceptions whose message cannot even be asked for.
"""

from __future__ import annotations

import os
import sysconfig
import traceback
from pathlib import Path

from lmn_bench.escapes import plain

# A reason or warning stands in a table: a page of text would bury the rest.
MOST_CHARACTERS = 600
# Characters looked at for one that is shown: the rest may be colours and space.
_READ = 20
_OURS = Path(__file__).resolve().parent
_NOT_THE_USERS = (
    f"{_OURS}{os.sep}", f"{_OURS.parent / 'lmn'}{os.sep}",
    *(f"{sysconfig.get_path(which)}{os.sep}torch{os.sep}" for which in ("purelib", "platlib")),
)  # fmt: skip
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


def one_line(text: str, most: int = MOST_CHARACTERS) -> str:
    """As `plain`, in one line of at most so many characters."""
    # A message of megabytes is not read through for its first line.
    line = " ".join(plain(text[: _READ * most]).split())
    is_whole = len(line) <= most and len(text) <= _READ * most
    return line if is_whole else f"{line[: most - 1]}…"


def message_of(error: BaseException) -> str:
    """Its message, or that it cannot be read: asking a stranger's error may raise another one."""
    try:
        return str(error)
    except Exception as unreadable:
        return f"(its message cannot be read: {type(unreadable).__name__})"


def said_by(error: BaseException) -> str:
    """Type and message of an error, whatever they are made of, in one line."""
    message = message_of(error)
    kind = type(error).__name__
    return one_line(f"{kind}: {message}" if message else kind)


def said_at(error: BaseException) -> str:
    """As `said_by`, with the user's file and line where it was raised, if there is one."""
    place = user_place(error)
    return said_by(error) if place is None else f"{said_by(error)} ({place})"


def user_place(error: BaseException) -> str | None:
    """The "file:line" of the last frame that is the user's; None where there is none.

    That of installed packages counts where no frame is the user's own; torch, Python and we never.
    """
    standard = f"{sysconfig.get_path('stdlib')}{os.sep}"
    own = installed = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        if file.startswith("<") or file.startswith(_NOT_THE_USERS):
            continue
        if any(part in file for part in _INSTALLED):
            installed = f"{_shown(file)}:{line}"
        elif not file.startswith(standard):
            own = f"{_shown(file)}:{line}"
    return own or installed


def _shown(file: str) -> str:
    here = f"{Path.cwd()}{os.sep}"
    return one_line(file.removeprefix(here))
