"""Memory of a capped case that `RLIMIT_DATA` does not count: shared, in files of memory, of others.

The limit is of one process and of what is private in it. A model may put its tensors into shared
memory, into a file that is in memory alone, or have another process hold them: what is held so in
the end counts like all else. What was given back before is not seen.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from lmn_bench.offspring import relatives
from lmn_bench.units import format_bytes, format_cap
from lmn_bench.worker.memory import status_bytes

# Below it, it is what Python and torch share with processes of their own.
_WORTH_TELLING_BYTES = 2**20
_BLOCK_BYTES = 512
_KIB = 1024
_STREAMS = (1, 2)
# A file by its device and its number.
_File = tuple[int, int]


class OverCapError(MemoryError):
    """A case holds more than its cap, where the limit cannot see it."""


class Unseen:
    """What a case holds beside what the limit counts, from here on.

    Args:
        budget_bytes: the cap, on top of what is held now.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._data = status_bytes("VmData")
        self._resident = status_bytes("VmRSS")
        self._largest = _largest_child_bytes()
        # What it prints is ours to keep.
        self._streams = {_file_of(os.fstat(number)) for number in _STREAMS if _is_open(number)}
        self._devices = _memory_devices()
        self._shared = self._shared_bytes()

    def told(self) -> list[str]:
        """What a record tells of it; call it when the limit is lifted: it takes memory.

        Raises:
            OverCapError: with what the limit counts, it is more than the cap.
        """
        shared = max(0, self._shared_bytes() - self._shared)
        others = _others_bytes()
        largest = _largest_child_bytes()
        if largest > self._largest:
            # Up to the size of this one, it may have been what it has inherited.
            others = max(others, largest - max(self._resident, status_bytes("VmHWM")))
        parts = {"memory that is shared or in files of memory": shared,
                 "processes of its own": others}  # fmt: skip
        held = {what: size for what, size in parts.items() if size >= _WORTH_TELLING_BYTES}
        if not held:
            return []
        words = " and ".join(f"{format_bytes(size)} in {what}" for what, size in held.items())
        counted = max(0, status_bytes("VmData") - self._data)
        if sum(held.values()) + counted > self._budget:
            raise OverCapError(f"over {format_cap(self._budget)}, unseen by RLIMIT_DATA: {words}")
        return [f"RLIMIT_DATA does not count {words}, held in the end; with them the cap was kept"]

    def _shared_bytes(self) -> int:
        """Memory of files that lie in memory, mapped or open, here or in a process of our own."""
        sizes: dict[_File, int] = {}
        for pid in (os.getpid(), *(one.pid for one in relatives())):
            with suppress(OSError):
                for file, size in (*_mapped(pid), *_opened(pid)):
                    sizes[file] = max(size, sizes.get(file, 0))
        return sum(
            size for file, size in sizes.items()
            if file[0] in self._devices and file not in self._streams
        )  # fmt: skip


def _mapped(pid: int) -> Iterator[tuple[_File, int]]:
    """Files that a process has mapped, and how much of each is in memory."""
    sizes: dict[_File, int] = {}
    file: _File | None = None
    with Path(f"/proc/{pid}/smaps").open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            words = line.split(maxsplit=5)
            if not words[0].endswith(":"):
                major, minor = (int(part, 16) for part in words[3].split(":"))
                file = (os.makedev(major, minor), int(words[4]))
            elif words[0] == "Rss:" and file is not None and file[1]:
                sizes[file] = sizes.get(file, 0) + int(words[1]) * _KIB
    yield from sizes.items()


def _opened(pid: int) -> Iterator[tuple[_File, int]]:
    """Files that a process has open, and how much of each is stored."""
    with os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            with suppress(OSError):
                told = entry.stat()
                yield _file_of(told), told.st_blocks * _BLOCK_BYTES


def _others_bytes() -> int:
    """Private memory of the processes that this one has started, and that still run."""
    total = 0
    for one in relatives():
        with suppress(OSError):
            for line in Path(f"/proc/{one.pid}/smaps_rollup").read_text().splitlines():
                if line.startswith(("Private_Clean:", "Private_Dirty:")):
                    total += int(line.split()[1]) * _KIB
    return total


def _largest_child_bytes() -> int:
    """Resident memory at most of the largest process of its own that has ended."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _KIB


def _memory_devices() -> frozenset[int]:
    """The file systems that lie in memory, that of memory files and shared memory among them."""
    probe = os.memfd_create("probe")
    found = {os.fstat(probe).st_dev}
    os.close(probe)
    with suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            place, _, kind = line.partition(" - ")
            if kind.split(" ", 1)[0] == "tmpfs":
                major, minor = map(int, place.split(" ")[2].split(":"))
                found.add(os.makedev(major, minor))
    return frozenset(found)


def _file_of(told: os.stat_result) -> _File:
    return told.st_dev, told.st_ino


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
