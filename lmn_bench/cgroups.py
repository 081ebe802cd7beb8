"""Memory groups of the kernel (cgroups): the one we are in, its limits, and room for more.

Version 2 has one tree for all controllers, version 1 a tree of its own for memory. The folders are
found by what /proc says of this process, so that containers and hybrid systems are read alike.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from lmn_bench.errors import CapError

PROC = Path("/proc/self")
# The argument with which a measuring process makes groups for its cases.
WITH_GROUPS = "--cgroup"
# Processes that make groups in version 2 have to be in one of their own, beside what they make.
HOME = "lmn-bench-main"
_CASE = re.compile(r"lmn-bench-(\d+)-\d+")
_LIMIT = {1: "memory.limit_in_bytes", 2: "memory.max"}
_USED = {1: "memory.usage_in_bytes", 2: "memory.current"}
# Files that were read once and can go at any time; the whole subtree's in both versions.
_RECLAIMABLE = {1: "total_inactive_file", 2: "inactive_file"}
# Version 1 writes "no limit" as the largest number of pages, in bytes.
_NO_LIMIT_BYTES = 2**62
# A killed process leaves its group when its memory has been freed: some 0.1 s per GiB.
_REMOVE_TRIES = 100
_REMOVE_WAIT_S = 0.01
_HINT = {
    1: "run it as root, or take --cap-mechanism rlimit",
    2: "give it a group of its own: systemd-run --user --scope -p Delegate=yes lmn-bench …; or "
    "take --cap-mechanism rlimit",
}


@dataclass(frozen=True)
class MemoryGroup:
    """A group of processes whose memory the kernel counts.

    Attributes:
        version: of the kernel's interface, 1 or 2.
        folder: the group's files.
        mount: the top of what is visible of the tree.
    """

    version: int
    folder: Path
    mount: Path

    def limit_bytes(self) -> int | None:
        """The lowest limit of this group and of all above it; None without any."""
        limits = [limit for _, limit in self._limits()]
        return min(limits, default=None)

    def left_bytes(self) -> int | None:
        """What may still be used before one of the limits is met; None without any."""
        left = [limit - _used(folder, self.version) for folder, limit in self._limits()]
        return max(0, min(left)) if left else None

    def _limits(self) -> Iterator[tuple[Path, int]]:
        folder = self.folder
        while True:
            limit = read_number(folder / _LIMIT[self.version])
            if limit is not None and limit < _NO_LIMIT_BYTES:
                yield folder, limit
            if folder == self.mount:
                return
            folder = folder.parent


@dataclass(frozen=True)
class Room:
    """Where groups for cases can be made.

    Attributes:
        version: of the kernel's interface, 1 or 2.
        folder: the groups are made in it.
        home: where the processes that join them come from, and go back to.
    """

    version: int
    folder: Path
    home: Path


def own_group(proc: Path = PROC) -> MemoryGroup | None:
    """The memory group of a process, given by its folder in /proc; None where none is visible.

    Where both versions are there, the one that has the memory controller.
    """
    paths = {}
    for line in _lines(proc / "cgroup"):
        _, controllers, path = line.split(":", 2)
        if not controllers:
            paths[2] = path
        elif "memory" in controllers.split(","):
            paths[1] = path
    for version, path in sorted(paths.items()):
        found = _visible(version, PurePosixPath(path), _lines(proc / "mountinfo"))
        if found is not None:
            return found
    return None


def why_no_room(group: MemoryGroup | None) -> str | None:
    """Why no group can be made in this process's own one; None where it can.

    Only looks; see `make_room`.
    """
    if group is None:
        return "no memory cgroup is visible here"
    base = _base(group)
    if base.version == 2 and "memory" not in _words(base.folder / "cgroup.controllers"):
        return f"{base.folder} has no memory controller"
    if not os.access(base.folder, os.W_OK | os.X_OK):
        return f"{base.folder} cannot be written"
    if base.version == 1 or _is_root(base):
        return None
    if not os.access(base.folder / "cgroup.subtree_control", os.W_OK):
        return f"{base.folder} is not delegated to this user"
    others = members(base.folder) - {os.getpid()}
    if others:
        count = f"{len(others)} other process{'es' * (len(others) > 1)}"
        return f"{count} in {base.folder}, and groups with processes have no limited ones in them"
    return None


def make_room(group: MemoryGroup | None) -> Room:
    """Prepare this process's own group for groups of cases in it.

    Version 2 gives no controllers to what lies in a group that has processes: there, this process
    moves into a group beside those of the cases. Processes that it starts later are born there.

    Raises:
        CapError: it can't be done here.
    """
    reason = why_no_room(group)
    if reason is not None or group is None:
        raise no_room(group, reason or "")
    base = _base(group)
    if base.version == 1:
        return Room(1, base.folder, base.folder)
    try:
        return Room(2, base.folder, _settled(base, group))
    except OSError as error:
        raise no_room(group, f"{base.folder}: {error.strerror}") from error


def no_room(group: MemoryGroup | None, reason: str) -> CapError:
    """The error that no groups can be made, with what to do about it."""
    hint = "take --cap-mechanism rlimit" if group is None else _HINT[group.version]
    return CapError(f"memory caps by cgroup are not possible here: {reason}", hint)


def sweep(folder: Path) -> None:
    """Take away the groups of cases that servers left behind when they were killed."""
    for stray in folder.glob("lmn-bench-*"):
        named = _CASE.fullmatch(stray.name)
        if named and not Path("/proc", named[1]).exists():
            remove(stray)


def sweep_here(proc: Path = PROC) -> None:
    """`sweep` where servers that this process started make their groups."""
    group = own_group(proc)
    if group is not None:
        sweep(_base(group).folder)


def remove(folder: Path) -> None:
    """End what is left in a group and take it away; what stays is for the next `sweep`."""
    kill = folder / "cgroup.kill"
    if kill.exists():  # version 2, since Linux 5.14: all at once, however they fork
        with suppress(OSError):
            kill.write_text("1")
    for _ in range(_REMOVE_TRIES):
        for pid in members(folder):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(_REMOVE_WAIT_S)
        else:
            return


def members(folder: Path) -> set[int]:
    """The processes of a group; none of other pid namespaces, which read as 0."""
    return {int(line) for line in _lines(folder / "cgroup.procs")} - {0}


def read_number(path: Path) -> int | None:
    """The number in a file; None for "max", or where there is no such file."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def read_field(path: Path, name: str) -> int:
    """A number by its name from a file of lines "name number"; 0 where it isn't there."""
    found = (line.split() for line in _lines(path))
    return next((int(pair[1]) for pair in found if pair[0] == name), 0)


def _used(folder: Path, version: int) -> int:
    used = read_number(folder / _USED[version]) or 0
    return used - read_field(folder / "memory.stat", _RECLAIMABLE[version])


def _visible(version: int, path: PurePosixPath, mounts: list[str]) -> MemoryGroup | None:
    """The folder of a group, from the mounts of this process."""
    for line in mounts:
        place, _, kind = line.partition(" - ")
        root, mount = place.split(" ")[3:5]
        name, _, options = kind.split(" ", 2)
        if name != ("cgroup2" if version == 2 else "cgroup"):
            continue
        if version == 1 and "memory" not in options.split(","):
            continue
        # Outside of what a container sees, paths begin with "/..".
        if ".." in path.parts or not path.is_relative_to(root):
            continue
        folder = Path(mount) / path.relative_to(root)
        if folder.is_dir():
            return MemoryGroup(version, folder, Path(mount))
    return None


def _base(group: MemoryGroup) -> MemoryGroup:
    """The group that holds those of the cases: ours, or the one above if we moved already."""
    return replace(group, folder=group.folder.parent) if group.folder.name == HOME else group


def _is_root(group: MemoryGroup) -> bool:
    """Whether it is the kernel's own top group, which may have both processes and limited groups.

    A container's top group is none.
    """
    return not (group.folder / "cgroup.type").exists()


def _settled(base: MemoryGroup, group: MemoryGroup) -> Path:
    """Hand the memory controller of version 2 down; the group that this process is in then."""
    control = base.folder / "cgroup.subtree_control"
    if base != group or _is_root(base):
        control.write_text("+memory")
        return group.folder
    home = base.folder / HOME
    home.mkdir(exist_ok=True)
    move(home)
    try:
        control.write_text("+memory")
    except OSError:
        # Someone else has come in since we looked.
        move(base.folder)
        with suppress(OSError):
            home.rmdir()
        raise
    return home


def move(folder: Path) -> None:
    """Move this process, with all its threads, into a group."""
    (folder / "cgroup.procs").write_text(str(os.getpid()))


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
