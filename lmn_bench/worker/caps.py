"""Memory caps: the budget a case may use on top of what the process holds when it starts."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import psutil
import torch

from lmn_bench.cgroups import own_group
from lmn_bench.errors import CapError
from lmn_bench.outcomes import says_out_of_memory
from lmn_bench.plain import message_of
from lmn_bench.schema import DEFAULT_CAP_MECHANISM
from lmn_bench.worker.cgroup import CaseGroup
from lmn_bench.worker.memory import status_bytes, trim

# Without a cap the machine's own memory is the last one: running into it must end in a clean
# allocation error, not in the kernel killing some process. The rest stays for the system.
SHARE_OF_AVAILABLE_MEMORY = 0.9


@dataclass(frozen=True)
class AppliedCap:
    """A cap that is in force.

    Attributes:
        mechanism: what enforces it: "rlimit", "cgroup v1", "cgroup v2" or "cuda fraction".
        floor_bytes: what the process held when it was set, resident (CUDA: reserved by torch).
    """

    mechanism: str
    floor_bytes: int


@dataclass(frozen=True)
class Cap:
    """How budgets are enforced in this process.

    Attributes:
        group: to be joined under a budget; None: `RLIMIT_DATA` is set.
        tell: called with every cap at the moment when it is in force.
    """

    group: CaseGroup | None = None
    tell: Callable[[AppliedCap], None] = lambda _: None

    def by(self, mechanism: str) -> Cap:
        """The same by the mechanism asked for, "rlimit" or "cgroup".

        Raises:
            CapError: this process was given no group.
        """
        if mechanism == DEFAULT_CAP_MECHANISM:
            return Cap(None, self.tell)
        if self.group is None:
            raise CapError("this measuring process was not started for memory caps by cgroup")
        return self


@contextmanager
def memory_budget(
    budget_bytes: int | None, device: torch.device, cap: Cap | None = None
) -> Iterator[AppliedCap | None]:
    """Limit what this process may use from here to the end of the block to `budget_bytes`.

    By `RLIMIT_DATA`, what the process holds now + the budget: it counts private writable memory,
    touched or not, needs no privileges, and fails with an error that can be caught. Free room in
    the heap counts as held, so the process must be a fresh one, as a case's is.
    By a group: see `worker.cgroup`; the kernel kills the process.
    CUDA: an emulated cap on torch's caching allocator, whatever `cap` says.

    Args:
        budget_bytes: on top of what the process holds; None: as much as the machine has left.
        device: whose memory is limited.
        cap: how, and whom to tell; by default `RLIMIT_DATA` and nobody.

    Yields:
        what is in force; None without a budget.
    """
    trim()
    if budget_bytes is None:
        with nullcontext() if device.type == "cuda" else _data_limit(_last_bytes()):
            yield None
        return
    cap = cap or Cap()
    limit: AbstractContextManager[None]
    if device.type == "cuda":
        torch.cuda.empty_cache()
        applied = AppliedCap("cuda fraction", torch.cuda.memory_reserved(device))
        limit = _fraction_limit(budget_bytes, device)
    else:
        mechanism = cap.group.mechanism if cap.group else DEFAULT_CAP_MECHANISM
        applied = AppliedCap(mechanism, status_bytes("VmRSS"))
        limit = cap.group.limit(budget_bytes) if cap.group else _data_limit(budget_bytes)
    with limit:
        cap.tell(applied)
        yield applied


@contextmanager
def _data_limit(budget_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (status_bytes("VmData") + budget_bytes, hard))
    try:
        yield
    finally:
        # Only the soft limit moved, so it can be lifted again, and the report of a failure needs
        # memory of its own.
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@contextmanager
def _fraction_limit(budget_bytes: int, device: torch.device) -> Iterator[None]:
    held = torch.cuda.memory_reserved(device)
    total = torch.cuda.get_device_properties(device).total_memory
    fraction = min(1.0, (held + budget_bytes) / total)
    torch.cuda.set_per_process_memory_fraction(fraction, device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)


def _last_bytes() -> int:
    """Most of what is left of the machine's memory, or of the container's where that is less."""
    available = int(psutil.virtual_memory().available)
    group = own_group()
    left = None if group is None else group.left_bytes()
    least = available if left is None else min(available, left)
    return int(least * SHARE_OF_AVAILABLE_MEMORY)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that an allocation failed."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return says_out_of_memory(message_of(error))
