"""Whether the kernel has ended processes for want of memory, as it counts them itself."""

from __future__ import annotations

from pathlib import Path

from lmn_bench.cgroups import read_field

_VMSTAT = Path("/proc/vmstat")


def oom_kills(vmstat: Path = _VMSTAT) -> int:
    """Processes that it has ended on this machine since it was started; 0 where it does not tell.

    Those of a group at its own limit are among them.
    """
    return read_field(vmstat, "oom_kill")
