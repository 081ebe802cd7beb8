"""Memory caps: the budget a case may use on top of what the process holds when it starts."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import torch

from lmn_bench.outcomes import says_out_of_memory
from lmn_bench.worker.memory import status_bytes, trim

# Without a cap the machine's own memory is the last one: running into it must end in a clean
# allocation error, not in the kernel killing some process. The rest stays for the system.
SHARE_OF_AVAILABLE_MEMORY = 0.9
_CGROUP = Path("/sys/fs/cgroup")


@contextmanager
def memory_budget(budget_bytes: int | None, device: torch.device) -> Iterator[None]:
    """Limit what this process may allocate from here on to `budget_bytes`.

    CPU: `RLIMIT_DATA` = what the process holds now + the budget; it counts private writable
    memory, touched or not, needs no privileges, and fails with an error that can be caught. Free
    room in the heap counts as held, so the process must be a fresh one, as a case's is.
    CUDA: an emulated cap on torch's caching allocator.
    """
    if device.type == "cuda":
        if budget_bytes is not None:
            torch.cuda.empty_cache()
            held = torch.cuda.memory_reserved(device)
            total = torch.cuda.get_device_properties(device).total_memory
            fraction = min(1.0, (held + budget_bytes) / total)
            torch.cuda.set_per_process_memory_fraction(fraction, device)
        yield
        return
    if budget_bytes is None:
        budget_bytes = int(_available_bytes() * SHARE_OF_AVAILABLE_MEMORY)
    trim()
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (status_bytes("VmData") + budget_bytes, hard))
    try:
        yield
    finally:
        # Only the soft limit moved, so it can be lifted again, and the report of a failure needs
        # memory of its own.
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _available_bytes() -> int:
    """What is left of the machine's memory, or of the container's where that is less."""
    available = int(psutil.virtual_memory().available)
    with suppress(OSError, ValueError):  # no cgroup v2, or no limit ("max")
        limit = int((_CGROUP / "memory.max").read_text())
        available = min(available, limit - int((_CGROUP / "memory.current").read_text()))
    return max(0, available)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that an allocation failed."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return says_out_of_memory(str(error))
