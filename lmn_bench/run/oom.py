"""Whether the kernel has ended processes for want of memory, as it counts them itself."""

from __future__ import annotations

from pathlib import Path

_VMSTAT = Path("/proc/vmstat")
_FIELD = "oom_kill"


class OomKills:
    """Counts them on the whole machine from here on, those of groups at their own limit included.

    Args:
        vmstat: the kernel's file (a made-up one in tests).
    """

    def __init__(self, vmstat: Path = _VMSTAT) -> None:
        self._vmstat = vmstat
        self._begin = self._read()

    def since(self) -> int | None:
        """How many; None where the kernel does not tell."""
        now = self._read()
        return None if now is None or self._begin is None else now - self._begin

    def _read(self) -> int | None:
        try:
            pairs = (line.split() for line in self._vmstat.read_text().splitlines())
            return next((int(value) for name, value in pairs if name == _FIELD), None)
        except (OSError, ValueError):
            return None
