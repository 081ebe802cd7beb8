"""The process between lmn-bench and one that measures: nothing that was started outlives it.

It starts a command and sleeps in the kernel until that has ended, or lmn-bench has, however it did
(`kill -9` too). Then it ends every process that the command has left, as they are all its own, and
ends as the command did. A model may kill the process that measures; it knows none of this one.

Arguments: LIFELINE KEPT… -- COMMAND…
    LIFELINE: a pipe's end that reads its end when lmn-bench is gone.
    KEPT: files of what the command prints (`keeping`).
"""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from lmn_bench.keeping import BURST_S, Kept
from lmn_bench.offspring import adopt_orphans, die_with_parent, end_relatives

# A process in the middle of a system call that cannot be broken off ends a little later.
_ENDING_S = 5.0
_CANNOT_START = 127
_WAKING_BYTES = 4096
# Ctrl-C is handed on; who asks this process itself to end asks for all.
_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
# Held back by whoever starts this process, until it can hear them.
HELD_SIGNALS = frozenset({signal.SIGINT, *_ENDING_SIGNALS})


def main() -> NoReturn:
    """Run the command that the arguments name, and end as it has ended."""
    split = sys.argv.index("--")
    lifeline, *kept = map(int, sys.argv[1:split])
    adopt_orphans()
    pid = _start(sys.argv[split + 1 :], lifeline)
    # Whoever reads what the command writes waits for its end, not for ours.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(nowhere, number)
    status = _Watch(pid, lifeline, Kept(kept)).until_end()
    end_relatives(limit_s=_ENDING_S)
    _end_as(os.waitstatus_to_exitcode(status))


def _start(command: Sequence[str], lifeline: int) -> int:
    """Start the command as a child that the kernel ends with this process; its number."""
    me = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    die_with_parent(me)
    os.close(lifeline)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_SIGNALS)
    try:
        os.execvp(command[0], [*command])
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(_CANNOT_START)


class _Watch:
    """Sleeps until something happens to the command."""

    def __init__(self, pid: int, lifeline: int, kept: Kept) -> None:
        self._pid, self._lifeline, self._kept = pid, lifeline, kept
        self._waking, writing = os.pipe()
        for end in (self._waking, writing):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, *HELD_SIGNALS):
            signal.signal(number, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_SIGNALS)

    def until_end(self) -> int:
        """The command's status once it has ended."""
        poll = select.poll()
        poll.register(self._lifeline, select.POLLIN)
        poll.register(self._waking, select.POLLIN)
        if self._kept.changes is not None:
            poll.register(self._kept.changes, select.POLLIN)
        while True:
            ended, status = os.waitpid(self._pid, os.WNOHANG)
            if ended:
                return status
            ready = {descriptor for descriptor, _ in poll.poll()}
            if self._lifeline in ready:
                self._kill()
                return os.waitpid(self._pid, 0)[1]
            if self._waking in ready:
                self._hand_on()
            if self._kept.changes in ready:
                self._kept.cut()
                select.select([self._waking, self._lifeline], [], [], BURST_S)

    def _hand_on(self) -> None:
        with suppress(BlockingIOError):
            told = os.read(self._waking, _WAKING_BYTES)
            if signal.SIGINT in told:
                os.kill(self._pid, signal.SIGINT)
            if set(told) & set(_ENDING_SIGNALS):
                self._kill()

    def _kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)


def _end_as(code: int) -> NoReturn:
    """End with the same code, or by the same signal."""
    if code < 0:
        # What it says has been said once.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main()
