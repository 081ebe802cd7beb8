"""What this session can enforce memory caps with, and how a measuring process has to be started."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence

from lmn_bench.cgroups import MemoryGroup, make_room, no_room, own_group, why_no_room
from lmn_bench.schema import DEFAULT_CAP_MECHANISM, CapMechanism, Case, Measuring

# Runs a command and gives its exit code, its output and the last line of its errors.
Run = Callable[[Sequence[str]], tuple[int, str, str]]
_SYSTEMD_RUN = "systemd-run"
# Asking a session's manager takes some 50 ms; one that hangs would hang the run.
_PROBE_TIMEOUT_S = 10.0
# Prints the controllers of the group that it runs in.
_PROBE = ("sh", "-c", 'cat "$0/$(sed -n s,^0::/,,p /proc/self/cgroup)/cgroup.controllers"')


def mechanism_for(measuring: Measuring, cases: Iterable[Case]) -> str:
    """What the measuring processes of these cases must be able to enforce caps with."""
    capped = any(case.memory_cap_bytes is not None and case.device == "cpu" for case in cases)
    return measuring.cap_mechanism if capped else DEFAULT_CAP_MECHANISM


def launcher(group: MemoryGroup | None = None, run: Run | None = None) -> tuple[str, ...]:
    """What stands before the command of a process that makes memory groups.

    Nothing where this process can hand its own group on (it is moved inside it, then); else
    `systemd-run`, which gives the process a group of its own.

    Args:
        group: ours; by default the one that /proc tells.
        run: starts a command; by default a process.

    Raises:
        CapError: neither is possible here.
    """
    group = group or own_group()
    reason = why_no_room(group)
    if reason is None:
        make_room(group)
        return ()
    why_not = _why_no_scope(group, run or _run)
    if why_not is None:
        return _scope()
    raise no_room(group, f"{reason}; {why_not}")


def cap_mechanisms(
    with_cuda: bool, group: MemoryGroup | None = None, run: Run | None = None
) -> list[CapMechanism]:
    """Every mechanism, and why one that isn't available isn't; nothing is changed."""
    found = [
        CapMechanism(DEFAULT_CAP_MECHANISM, True, "RLIMIT_DATA, set by the process itself"),
        _by_group(group or own_group(), run or _run),
    ]
    emulated = "emulated: limits torch's allocator, the GPU stays as large as it is"
    why = emulated if with_cuda else "no NVIDIA GPU on this machine"
    return [*found, CapMechanism("cuda fraction", with_cuda, why)]


def _by_group(group: MemoryGroup | None, run: Run) -> CapMechanism:
    reason = why_no_room(group)
    if reason is None and group is not None:
        return CapMechanism("cgroup", True, f"version {group.version}, in {group.folder}")
    why_not = _why_no_scope(group, run)
    if why_not is None:
        return CapMechanism("cgroup", True, f"version 2, in a scope of {_SYSTEMD_RUN}")
    return CapMechanism("cgroup", False, f"{reason}; {why_not}")


def _why_no_scope(group: MemoryGroup | None, run: Run) -> str | None:
    """Why systemd gives no group with a memory controller; None where it does."""
    if group is None or group.version == 1:
        return f"{_SYSTEMD_RUN} hands on version 2 alone"
    if shutil.which(_SYSTEMD_RUN) is None:
        return f"there is no {_SYSTEMD_RUN}"
    code, controllers, error = run([*_scope(), *_PROBE, str(group.mount)])
    if code != 0:
        return f"{_SYSTEMD_RUN}: {error or f'exit code {code}'}"
    if "memory" not in controllers.split():
        return f"{_SYSTEMD_RUN} gives no memory controller"
    return None


def _scope() -> tuple[str, ...]:
    # It becomes the command: the same process, with its input and output.
    whose = () if os.geteuid() == 0 else ("--user",)
    return (_SYSTEMD_RUN, *whose, "--scope", "--quiet", "--collect", "-p", "Delegate=yes", "--")


def _run(command: Sequence[str]) -> tuple[int, str, str]:
    try:
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace",
            timeout=_PROBE_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, "", str(error)
    last = done.stderr.strip().splitlines()[-1:] or [""]
    return done.returncode, done.stdout, last[0]
