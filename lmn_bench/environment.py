"""Facts of the machine and its software, and warnings about what would disturb a measurement."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from lmn_bench import __version__
from lmn_bench.cgroups import own_group
from lmn_bench.nvml import read_gpus
from lmn_bench.schema import Environment, NoiseWarning

# With a load above this share of the cores, something else is running.
BUSY_LOAD_PER_CORE = 0.3
# Below this share of memory available, a long case may start to swap.
LOW_MEMORY_SHARE = 0.25
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_THROTTLE_COUNTS = "/sys/devices/system/cpu/cpu*/thermal_throttle/core_throttle_count"


def read_environment() -> Environment:
    """Read the machine as it is now. Needs no torch and starts no process but git."""
    gpus = read_gpus()
    memory = psutil.virtual_memory()
    commit, dirty = _git_state()
    logical = len(os.sched_getaffinity(0))
    facts = Environment(
        hostname=socket.gethostname(),
        cpu_model=_cpu_model(),
        logical_cores=logical,
        physical_cores=min(psutil.cpu_count(logical=False) or logical, logical),
        memory_bytes=memory.total,
        available_memory_bytes=memory.available,
        memory_limit_bytes=_memory_limit(memory.total),
        os=_os_name(),
        kernel=platform.release(),
        python=platform.python_version(),
        lmn_bench=__version__,
        torch=_version("torch"),
        governor=_read(_GOVERNOR),
        load_average=round(os.getloadavg()[0], 2),
        git_commit=commit,
        git_dirty=dirty,
        gpus=gpus,
    )
    return replace(facts, warnings=tuple(noise_warnings(facts, throttle_events())))


def noise_warnings(facts: Environment, throttled: int = 0) -> list[NoiseWarning]:
    """What would make numbers from this machine less sure."""
    found = []
    if facts.load_average > BUSY_LOAD_PER_CORE * facts.logical_cores:
        found.append(NoiseWarning(
            "busy", f"load average {facts.load_average} on {facts.logical_cores} cores",
            "close other programs, or expect wider intervals"))  # fmt: skip
    if facts.governor not in (None, "performance"):
        found.append(NoiseWarning(
            "governor", f"the CPU frequency governor is {facts.governor!r}",
            "`sudo cpupower frequency-set -g performance` keeps the clock steady"))  # fmt: skip
    if throttled:
        found.append(NoiseWarning(
            "throttled", f"the CPU has throttled {throttled} times for heat since it started",
            "improve cooling or lower the load"))  # fmt: skip
    if facts.available_memory_bytes < LOW_MEMORY_SHARE * facts.memory_bytes:
        found.append(NoiseWarning(
            "low-memory", "less than a quarter of the memory is available",
            "close other programs: long cases may run out of memory"))  # fmt: skip
    for gpu in facts.gpus:
        if gpu.other_processes:
            found.append(NoiseWarning(
                "gpu-shared", f"{gpu.other_processes} other processes use {gpu.name}",
                "wait for them, or choose another GPU with CUDA_VISIBLE_DEVICES"))  # fmt: skip
        if gpu.throttle_reasons:
            found.append(NoiseWarning(
                "gpu-throttled", f"{gpu.name} is held back: {', '.join(gpu.throttle_reasons)}",
                "lower its load or raise its power limit"))  # fmt: skip
    return found


def throttle_events() -> int:
    """How often the CPU's cores have throttled for heat since boot; 0 where it can't be read."""
    counts = (_read(path) for path in sorted(Path("/").glob(_THROTTLE_COUNTS.lstrip("/"))))
    return sum(int(count) for count in counts if count and count.isdigit())


def _cpu_model() -> str:
    for line in (_read(Path("/proc/cpuinfo")) or "").splitlines():
        if line.lower().startswith(("model name", "hardware")):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _memory_limit(total: int) -> int | None:
    """The lowest memory limit of our cgroup and those above it, if below the machine's memory."""
    group = own_group()
    limit = None if group is None else group.limit_bytes()
    return limit if limit is not None and limit < total else None


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _git_state() -> tuple[str | None, bool | None]:
    """Commit and dirtiness of the checkout this package runs from; None when it isn't one."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None, None

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                # Killed on the way, a refresh of the index would leave its lock behind.
                ["git", "--no-optional-locks", "-C", str(root), *arguments],
                capture_output=True, encoding="utf-8", errors="replace", timeout=10, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    # Results are what we write ourselves; only a change of the code makes numbers hard to repeat.
    status = git("status", "--porcelain", "--", ".", ":!results")
    return commit, None if status is None else bool(status)


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def is_supported() -> str | None:
    """Why this platform can't be measured on, or None when it can."""
    if not sys.platform.startswith("linux"):
        return f"{sys.platform} has no /proc: memory and caps are measured through Linux's"
    if not Path("/proc/self/clear_refs").exists():
        return "/proc/self/clear_refs is missing: the kernel was built without it"
    return None
