"""What a learning process tells its parent, and how often."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

Tell = Callable[[dict[str, Any]], None]

# A person reads no faster, and the parent that draws needs a core for it.
_EVERY_S = 0.25
# What a model is thought to close or to write into are the lowest: ours is among the highest.
_FROM_THE_LAST = 24
_FIRST_OF_OTHERS = 3


class LostPipeError(Exception):
    """The model's code has closed the pipe to our parent, or put a file in its place."""


class Answers:
    """Lines of JSON to the parent, through a pipe that only this process holds.

    It is standard output as it is when this is made.
    """

    def __init__(self) -> None:
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        least = max(_FIRST_OF_OTHERS, most - _FROM_THE_LAST)
        self._pipe = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, least)
        self._is = os.fstat(self._pipe).st_ino
        self._owner = os.getpid()
        # Processes of a model's own, loaders for one, must not hold our parent's pipe open.
        os.register_at_fork(after_in_child=self._close)

    def __call__(self, message: dict[str, Any]) -> None:
        """Tell one thing.

        Raises:
            LostPipeError: it cannot be told any more.
        """
        if os.getpid() != self._owner:
            return
        # Half a line that is not ours may come before it.
        told = memoryview(f"\n{json.dumps(message)}\n".encode())
        while told:
            if not self._is_ours():
                raise LostPipeError("its code has closed the pipe by which its process answers")
            told = told[os.write(self._pipe, told) :]

    def be_alone(self) -> None:
        """Close all but this and the standard streams: a model is to have none of ours."""
        os.closerange(_FIRST_OF_OTHERS, self._pipe)

    def _is_ours(self) -> bool:
        try:
            return os.fstat(self._pipe).st_ino == self._is
        except OSError:
            return False

    def _close(self) -> None:
        with suppress(OSError):
            os.close(self._pipe)


class Ticker:
    """Is due a few times a second."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def is_due(self) -> bool:
        """Whether it is time again; if so, the next time is counted from now."""
        now = time.perf_counter()
        if now - self._last < _EVERY_S:
            return False
        self._last = now
        return True
