"""Processes that ours has started, and those that these have started: found, stopped and ended.

Whoever adopts orphans (`adopt_orphans`) is the parent of all that its children leave behind,
however often they have forked: no descendant can get out of its sight.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
# A killed process is gone at once, unless the kernel is busy taking down what it held. A case must
# be over 2 s after its limit, and the server has to say so yet.
_ENDING_S = 0.7
_PAUSE_S = 0.002
# Of /proc/PID/stat, behind the name: state, parent, …, start.
_STATE, _PARENT, _STARTED = 0, 1, 19
_CHUNK_BYTES = 1 << 16
_ENDED = frozenset("ZXx")
# For `waitpid`: whichever child has ended.
_ANY = -1


@dataclass(frozen=True)
class Relative:
    """A descendant of a process.

    Attributes:
        pid: its number, which another process may have once it has ended.
        started: when (ticks since boot), which tells it from that one.
    """

    pid: int
    started: int


def adopt_orphans(*, adopt: bool = True) -> None:
    """Whether what a descendant starts is ours when its own parent has ended."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(adopt))


def die_with_parent(parent: int | None = None) -> None:
    """Ask the kernel to kill this process when the thread that started it ends, however it ends.

    Args:
        parent: number of the process that started this one: if it is gone already, so are we.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def relatives(of: int | None = None) -> set[Relative]:
    """The descendants of a process, by default ours, that have not ended."""
    children: dict[int, list[tuple[Relative, str]]] = {}
    for one, parent, state in _processes():
        children.setdefault(parent, []).append((one, state))
    found: set[Relative] = set()
    waiting = [os.getpid() if of is None else of]
    while waiting:
        for one, state in children.pop(waiting.pop(), ()):
            waiting.append(one.pid)
            if state not in _ENDED:
                found.add(one)
    return found


def has_children() -> bool:
    """Whether there is a child that has not been waited for, ended or not."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def is_running(pid: int) -> bool:
    """Whether there is such a process that has not ended yet."""
    fields = _stat(pid)
    return fields is not None and fields[_STATE] not in _ENDED


def end_relatives(spared: frozenset[Relative] | None = None, limit_s: float = _ENDING_S) -> int:
    """End the descendants of this process; how many there were.

    All are stopped before any is killed: one that forks while it is killed would be found never.

    Args:
        spared: those that stay, so that this process may wait for them; None: none does.
        limit_s: give up after so long; the kernel may still be taking down what they held.
    """
    found: set[Relative] = set()
    deadline = time.monotonic() + limit_s
    while has_children():
        ended = _end_all(lambda: relatives() - (spared or frozenset()), deadline)
        found |= ended
        _reap([_ANY] if spared is None else [one.pid for one in found])
        if time.monotonic() > deadline or (spared is not None and not ended):
            break
        time.sleep(_PAUSE_S)
    return len(found)


def end_marked(mark: str, limit_s: float = _ENDING_S) -> int:
    """End the processes of which the environment holds this, whosever they are; how many.

    They were started with it, or by one that was: it tells those whose parents are all gone.

    Args:
        mark: NAME=VALUE, the value not guessed by anyone.
        limit_s: give up after so long.
    """
    found: set[Relative] = set()
    deadline = time.monotonic() + limit_s
    while ended := _end_all(lambda: _marked(mark), deadline):
        found |= ended
        if time.monotonic() > deadline:
            break
        time.sleep(_PAUSE_S)
    return len(found)


def _end_all(find: Callable[[], set[Relative]], deadline: float) -> set[Relative]:
    """Kill whom `find` finds, when all of them are stopped and none can fork any more."""
    stopped: set[Relative] = set()
    while new := find() - stopped:
        for one in new:
            _send(one, signal.SIGSTOP)
        stopped |= new
        if time.monotonic() > deadline:
            break
    for one in stopped:
        _send(one, signal.SIGKILL)
    return stopped


def _marked(mark: str) -> set[Relative]:
    found = set()
    for one, _, _ in _processes():
        # Of one that has ended it is empty, and others' cannot be read.
        if mark.encode() in _read(one.pid, "environ").split(b"\0"):
            found.add(one)
    return found


def _send(one: Relative, number: signal.Signals) -> None:
    """Send a signal to this very process, never to one that has got its number since."""
    with suppress(ProcessLookupError, PermissionError):
        try:
            handle = os.pidfd_open(one.pid)
        except OSError as error:
            if isinstance(error, ProcessLookupError):
                return
            os.kill(one.pid, number)  # no such call in this kernel
            return
        try:
            if _started(one.pid) == one.started:
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)


def _reap(pids: list[int]) -> None:
    # Never blocked: one that was forked since they were listed still runs.
    for pid in pids:
        with suppress(ChildProcessError):
            while os.waitpid(pid, os.WNOHANG)[0]:
                pass


def _processes() -> Iterator[tuple[Relative, int, str]]:
    """Every process of the machine that we can see, its parent and its state."""
    with os.scandir("/proc") as entries:
        pids = [int(entry.name) for entry in entries if entry.name.isdigit()]
    for pid in pids:
        fields = _stat(pid)
        if fields is not None:
            yield Relative(pid, int(fields[_STARTED])), int(fields[_PARENT]), fields[_STATE]


def _started(pid: int) -> int | None:
    fields = _stat(pid)
    return None if fields is None else int(fields[_STARTED])


def _stat(pid: int) -> list[str] | None:
    """What the kernel tells of a process, its name left out; None where there is none."""
    # A name may hold spaces and brackets.
    return _read(pid, "stat").decode(errors="replace").rpartition(")")[2].split() or None


def _read(pid: int, name: str) -> bytes:
    """A file of the kernel's about a process; nothing where it cannot be read."""
    read = bytearray()
    with suppress(OSError):
        file = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            while chunk := os.read(file, _CHUNK_BYTES):
                read += chunk
        finally:
            os.close(file)
    return bytes(read)
