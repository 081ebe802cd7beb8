"""Limits of a process beside its memory: threads and processes that it starts, files it opens."""

from __future__ import annotations

import errno
import resource
import threading
import traceback
from pathlib import Path

from lmn_bench.plain import message_of

_PIDS_MAX = Path("/proc/sys/kernel/pid_max")
# Python's, and what C++ says of its own threads.
_THREAD_SIGNS = ("can't start new thread", "resource temporarily unavailable")


def what_cannot_be_started(error: Exception) -> str | None:
    """What an error says can be started no more: "thread", "process" or None.

    Both need memory: threads for their stacks.
    """
    if isinstance(error, OSError):
        return "process" if error.errno == errno.EAGAIN and _was_in_a_fork(error) else None
    said = message_of(error).lower()
    return "thread" if any(sign in said for sign in _THREAD_SIGNS) else None


def _was_in_a_fork(error: OSError) -> bool:
    """Whether it is none of a pipe that is asked not to block, which has the same number."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and "fork" in (frames[-1].line or "")


def started_words(what: str) -> str:
    """How many run, and how many may: what can keep a process from starting another one."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    limit = "no limit" if soft == resource.RLIM_INFINITY else f"a limit of {soft:,}"
    return (
        f"no further {what} can be started, with {threading.active_count():,} threads in this "
        f"process, {limit} for this user and {int(_PIDS_MAX.read_text()):,} for the machine"
    )


def open_words() -> str:
    """How many files a process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return f"a process may have {soft:,} files open, and its code has used them up"
