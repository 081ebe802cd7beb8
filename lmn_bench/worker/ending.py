"""How the server waits for a child: until it has ended, whoever of its own lives on."""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import time
from contextlib import suppress

# Children of a dead child become ours, so that they can be found and ended.
_PR_SET_CHILD_SUBREAPER = 36
# A killed process is gone at once, unless the kernel is busy taking down what it held.
_ENDING_S = 5.0
_PAUSE_S = 0.005
_CHUNK = 1 << 16


def adopt_orphans() -> None:
    """From here on, what a child of ours started is ours when that child has ended."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def close_in_forks(descriptor: int) -> None:
    """Let processes that are forked from this one not hold a pipe of ours open."""

    def close() -> None:
        with suppress(OSError):
            os.close(descriptor)

    os.register_at_fork(after_in_child=close)


def read_until_end(pid: int, reading: int) -> tuple[str, int]:
    """What a child wrote into a pipe until it ended, and its status; blocked in the kernel.

    A process that the child has started may hold the pipe open for as long as it likes.
    """
    told = bytearray()
    try:
        ended = os.pidfd_open(pid)
    except OSError:  # no such call in this kernel
        while chunk := os.read(reading, _CHUNK):
            told += chunk
        return _text(told), os.waitpid(pid, 0)[1]
    os.set_blocking(reading, False)
    with selectors.DefaultSelector() as selector:
        selector.register(ended, selectors.EVENT_READ)
        selector.register(reading, selectors.EVENT_READ)
        while ended not in [key.fd for key, _ in selector.select()]:
            if not _take(reading, told):
                selector.unregister(reading)
                selector.select()
                break
    os.close(ended)
    _take(reading, told)
    return _text(told), os.waitpid(pid, 0)[1]


def _take(reading: int, told: bytearray) -> bool:
    """Add what the pipe holds now; whether more can come."""
    with suppress(BlockingIOError):
        while chunk := os.read(reading, _CHUNK):
            told += chunk
        return False
    return True


def _text(told: bytearray) -> str:
    return told.decode(errors="backslashreplace")


def end_leftovers() -> int:
    """End the processes that a child has left behind; how many there were.

    Jobs run one after the other: whoever is a child of ours now was left by the last one.
    """
    if not _has_children():
        return 0
    import psutil

    me, deadline = psutil.Process(), time.monotonic() + _ENDING_S
    found: set[int] = set()
    while _has_children() and time.monotonic() < deadline:
        with suppress(psutil.Error):
            for one in me.children(recursive=True):
                # One that ended by itself, and that nobody asked about, disturbed nobody.
                if one.status() != psutil.STATUS_ZOMBIE:
                    found.add(one.pid)
                with suppress(ProcessLookupError):
                    os.kill(one.pid, signal.SIGKILL)
        # Never blocked: one that was forked since they were listed still runs.
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(_PAUSE_S)
    return len(found)


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
