"""How the server waits for a child: until it has ended, whoever of its own lives on."""

from __future__ import annotations

import os
import select

from lmn_bench.keeping import BURST_S, Kept


def wait_for(pid: int, kept: Kept) -> int:
    """The status of a child once it has ended; blocked in the kernel until then.

    Args:
        pid: its number.
        kept: what it prints; closed in the end.
    """
    try:
        handle = os.pidfd_open(pid)
    except OSError:  # no such call in this kernel
        status = os.waitpid(pid, 0)[1]
        kept.close()
        return status
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    if kept.changes is not None:
        poll.register(kept.changes, select.POLLIN)
    while handle not in [descriptor for descriptor, _ in poll.poll()]:
        kept.cut()
        select.select([handle], [], [], BURST_S)
    os.close(handle)
    kept.cut()
    kept.close()
    return os.waitpid(pid, 0)[1]
