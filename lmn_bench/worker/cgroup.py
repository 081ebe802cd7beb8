"""Groups of cases: a limit on the memory that one process touches, enforced by the kernel.

Unlike `RLIMIT_DATA` a group counts what is really there: pages that were touched, files that were
read, page tables. At the limit there is no error to catch: the kernel kills the process.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmn_bench.cgroups import MemoryGroup, Room, make_room, move, read_field, read_number, remove
from lmn_bench.cgroups import sweep as sweep_folder

_OOM_SCORE = Path("/proc/self/oom_score_adj")
# The kernel takes memory from a limit in pieces of up to 64 pages.
_CHARGE_BYTES = 64 * os.sysconf("SC_PAGE_SIZE")
# A process that must not be killed would hang at its limit; this one is always the first to go.
_MOST_KILLABLE = "1000"


@dataclass(frozen=True)
class _Files:
    """What the two versions call the same things.

    `events`: a file of counters, that of processes killed among them.
    """

    mechanism: str
    limit: str
    used: str
    peak: str
    events: str


_FILES = {
    1: _Files(
        "cgroup v1", "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.max_usage_in_bytes",
        "memory.oom_control",
    ),
    2: _Files(
        "cgroup v2", "memory.max", "memory.current", "memory.peak",
        "memory.events",
    ),
}  # fmt: skip


class CaseGroups:
    """Makes a group for each case in a room; those of servers that were killed go first."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._numbers = itertools.count()
        sweep_folder(room.folder)

    @classmethod
    def here(cls, group: MemoryGroup | None) -> CaseGroups:
        """In this process's own group.

        Raises:
            CapError: no groups can be made there.
        """
        return cls(make_room(group))

    def make(self) -> CaseGroup:
        """A new group, with no process and no limit."""
        folder = self._room.folder / f"lmn-bench-{os.getpid()}-{next(self._numbers)}"
        folder.mkdir()
        return CaseGroup(self._room.version, folder, self._room.home)


@dataclass(frozen=True)
class CaseGroup:
    """The group of one case: its process joins it, the server reads how that ended.

    Attributes:
        version: of the kernel's interface, 1 or 2.
        folder: the group's files.
        home: the group that the process comes from.
        oom_score: where the kernel is told to choose this process first.
    """

    version: int
    folder: Path
    home: Path
    oom_score: Path = _OOM_SCORE

    @property
    def mechanism(self) -> str:
        """Its name in records: cgroup v1, cgroup v2."""
        return _FILES[self.version].mechanism

    @contextmanager
    def limit(self, budget_bytes: int) -> Iterator[None]:
        """Join the group, allowed to use `budget_bytes` on top of what it was charged before.

        Pages that this process touched before stay with the group it was in then.
        """
        used = read_number(self.folder / _FILES[self.version].used) or 0
        self._set(used + budget_bytes)
        with suppress(OSError):
            self.oom_score.write_text(_MOST_KILLABLE)
        move(self.folder)
        try:
            yield
        finally:
            move(self.home)

    def ending(self) -> dict[str, Any]:
        """`peak_bytes`, the most it was charged, where the kernel tells; `killed`, at its limit."""
        peak = self._number(_FILES[self.version].peak)
        told = {} if peak is None else {"peak_bytes": peak}
        return {"killed": self._event("oom_kill") > 0 and self._limit_was_met(), **told}

    def close(self) -> None:
        """Take the group away, with whatever a model left running in it."""
        remove(self.folder)

    def _number(self, name: str) -> int | None:
        return read_number(self.folder / name)

    def _event(self, name: str) -> int:
        return read_field(self.folder / _FILES[self.version].events, name)

    def _limit_was_met(self) -> bool:
        """Whether there was no memory left within the limit of this very group.

        Kills for want of memory in a group above, or in the machine, are counted here as well.
        """
        if self.version == 2:
            return self._event("oom") > 0
        # Version 1 counts failures in memory.failcnt; that of Linux 6.18 stays 0 (tried).
        files = _FILES[1]
        limit, peak = self._number(files.limit), self._number(files.peak)
        return limit is not None and peak is not None and peak >= limit - _CHARGE_BYTES

    def _set(self, limit_bytes: int) -> None:
        """Limit memory, and allow no swap: it would be slow in place of full."""
        write = self._write
        if self.version == 2:
            write("memory.swap.max", "0", optional=True)
            # With a process go those that it has started.
            write("memory.oom.group", "1", optional=True)
            write("memory.max", str(limit_bytes))
            return
        # Memory and swap together may never be limited lower than memory alone.
        if write("memory.memsw.limit_in_bytes", "-1", optional=True):
            write("memory.limit_in_bytes", str(limit_bytes))
            write("memory.memsw.limit_in_bytes", str(limit_bytes))
        else:
            write("memory.swappiness", "0", optional=True)
            write("memory.limit_in_bytes", str(limit_bytes))

    def _write(self, name: str, text: str, *, optional: bool = False) -> bool:
        """Set one of the group's values; whether the kernel has it at all."""
        path = self.folder / name
        if optional and not path.exists():
            return False
        path.write_text(text)
        return True
