"""Energy of the processor's packages (RAPL), where the kernel lets us read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

POWERCAP: Final = Path("/sys/class/powercap")
_MICRO: Final = 1e-6


@dataclass(frozen=True)
class Energy:
    """Joules used over a span, or why they are not known. Exactly one of the two is None."""

    joules: float | None
    reason: str | None


@dataclass(frozen=True)
class _Package:
    name: str
    counter: Path
    range_uj: int

    def read_uj(self) -> int:
        return int(self.counter.read_text())


@contextmanager
def watch_packages(root: Path = POWERCAP) -> Iterator[Callable[[], Energy]]:
    """Watch the energy counters of all packages; the call handed out says what was used since.

    They count whatever runs on the processor. The counter of a package wraps around; a span that
    is short of a turn, about a minute under full load, is read right.

    Args:
        root: where the kernel shows them.
    """
    packages, reason = _packages(root)
    try:
        begin = [package.read_uj() for package in packages]
    except OSError as error:
        packages, begin, reason = [], [], _unreadable(error)

    def used() -> Energy:
        if reason is not None:
            return Energy(None, reason)
        try:
            spans = [
                (package.read_uj() - before) % package.range_uj
                for package, before in zip(packages, begin, strict=True)
            ]
        except OSError as error:
            return Energy(None, _unreadable(error))
        return Energy(sum(spans) * _MICRO, None)

    yield used


def _packages(root: Path) -> tuple[list[_Package], str | None]:
    """The packages of the machine, or why there are none."""
    found = []
    try:
        for folder in sorted(root.glob("intel-rapl:*")):
            # Below a package, "intel-rapl:0:0", lie parts of it; "psys" counts the packages again.
            if folder.name.count(":") > 1:
                continue
            name = (folder / "name").read_text().strip()
            if name.startswith("package"):
                limit = int((folder / "max_energy_range_uj").read_text())
                found.append(_Package(name, folder / "energy_uj", limit + 1))
    except OSError as error:
        return [], _unreadable(error)
    if not found:
        return [], f"this machine shows no RAPL counters ({root}/intel-rapl:* has no package)"
    return found, None


def _unreadable(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return (
            f"{error.filename} is for root alone, as it is since Linux 5.10; "
            f"`sudo chmod a+r {error.filename}` opens it until the next start"
        )
    return f"{error.filename} cannot be read: {error.strerror}"
