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
# A process that must not be killed would hang at its limit; this one is always the first to go.
_MOST_KILLABLE = "1000"


@dataclass(frozen=True)
class _Files:
    """What the two versions call the same things.

    `kills` and `hits`: file and name of the counters of processes killed, and of times when the
    group's own limit left nothing but that. A group above may run out of memory too.
    """

    mechanism: str
    limit: str
    used: str
    peak: str
    kills: tuple[str, str]
    hits: tuple[str, str | None]


_FILES = {
    1: _Files(
        "cgroup v1", "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.max_usage_in_bytes",
        ("memory.oom_control", "oom_kill"), ("memory.failcnt", None),
    ),
    2: _Files(
        "cgroup v2", "memory.max", "memory.current", "memory.peak",
        ("memory.events", "oom_kill"), ("memory.events", "oom"),
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
    """

    version: int
    folder: Path
    home: Path

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
            _OOM_SCORE.write_text(_MOST_KILLABLE)
        move(self.folder)
        try:
            yield
        finally:
            move(self.home)

    def ending(self) -> dict[str, Any]:
        """`peak_bytes`, the most it was charged, where the kernel tells; `killed`, at its limit."""
        files = _FILES[self.version]
        kills_file, kills = files.kills
        hits_file, hits = files.hits
        hit = read_field(self.folder / hits_file, hits) if hits else self._number(hits_file)
        killed = bool(hit and read_field(self.folder / kills_file, kills))
        peak = self._number(files.peak)
        return {"killed": killed, **({} if peak is None else {"peak_bytes": peak})}

    def close(self) -> None:
        """Take the group away, with whatever a model left running in it."""
        remove(self.folder)

    def _number(self, name: str) -> int | None:
        return read_number(self.folder / name)

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
