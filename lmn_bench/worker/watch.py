"""What the machine did while a case was measured: who had its cores, and who waited.

Read before and after, from what the kernel counts anyway; nothing is sampled beside a measurement.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PROC = Path("/proc")
_GROUPS = Path("/sys/fs/cgroup")
# Columns of /proc/stat that are neither idle nor stolen: user, nice, system, irq, softirq.
_BUSY = (0, 1, 2, 5, 6)
_STOLEN = 7


@dataclass(frozen=True)
class _Reading:
    wall_s: float
    busy_s: float
    stolen_s: float
    own_cpu_s: float
    switches: int
    pressure_s: float | None


class Watch:
    """Tells what happened on our cores since it was made.

    Args:
        proc: the kernel's files (made-up ones in tests).
        groups: where the groups of processes are mounted.
        cores: that the process may run on; by default those of its affinity.
        now: the clock (s).
        own_cpu_s: CPU time of this process so far (s).
    """

    def __init__(
        self,
        proc: Path = _PROC,
        groups: Path = _GROUPS,
        cores: frozenset[int] | None = None,
        now: Callable[[], float] = time.perf_counter,
        own_cpu_s: Callable[[], float] | None = None,
    ) -> None:
        self._proc = proc
        self._cores = frozenset(os.sched_getaffinity(0)) if cores is None else cores
        self._now = now
        self._own_cpu_s = own_cpu_s or _own_cpu_s
        self._pressure = _pressure_file(proc, groups)
        self._begin = self._read()

    def seen(self) -> dict[str, Any]:
        """The fields of `schema.Watched` up to now, but for those of the timed rounds."""
        begin, end = self._begin, self._read()
        own_s = end.own_cpu_s - begin.own_cpu_s
        pressure_s = None
        if begin.pressure_s is not None and end.pressure_s is not None:
            pressure_s = round(end.pressure_s - begin.pressure_s, 4)
        return {
            "wall_s": round(end.wall_s - begin.wall_s, 4),
            "cores": len(self._cores),
            "own_cpu_s": round(own_s, 4),
            # Ticks of 10 ms are rough: less than nothing is nothing.
            "others_cpu_s": round(max(0.0, end.busy_s - begin.busy_s - own_s), 4),
            "stolen_s": round(end.stolen_s - begin.stolen_s, 4),
            "switches": end.switches - begin.switches,
            "load_average": _load_average(self._proc),
            "pressure_s": pressure_s,
        }

    def _read(self) -> _Reading:
        busy_s, stolen_s = _core_times(self._proc, self._cores)
        return _Reading(
            self._now(), busy_s, stolen_s, self._own_cpu_s(),
            resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw, _total_s(self._pressure),
        )  # fmt: skip


def _own_cpu_s() -> float:
    """CPU time of this process and of its children that have ended."""
    return sum(os.times()[:4])


def _core_times(proc: Path, cores: frozenset[int]) -> tuple[float, float]:
    """Busy and stolen seconds of these cores since boot; zeros where nobody tells."""
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    busy = stolen = 0
    for line in (_text(proc / "stat") or "").splitlines():
        name, *columns = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cores:
            counts = [int(column) for column in columns]
            busy += sum(counts[i] for i in _BUSY if i < len(counts))
            stolen += counts[_STOLEN] if len(counts) > _STOLEN else 0
    return busy * tick_s, stolen * tick_s


def _pressure_file(proc: Path, groups: Path) -> Path:
    """The pressure of our own group where it is told, else that of the machine."""
    for line in (_text(proc / "self/cgroup") or "").splitlines():
        if line.startswith("0::"):
            own = groups / line[3:].lstrip("/") / "cpu.pressure"
            if own.is_file():
                return own
    return proc / "pressure/cpu"


def _total_s(path: Path) -> float | None:
    """Seconds in which some thread waited for a core, from a file of pressure stall information."""
    for line in (_text(path) or "").splitlines():
        kind, *fields = line.split()
        if kind == "some":
            return int(dict(field.split("=") for field in fields)["total"]) / 1e6
    return None


def _load_average(proc: Path) -> float:
    return float((_text(proc / "loadavg") or "0").split()[0])


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None
