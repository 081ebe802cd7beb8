"""What tells of a limit that was hit: a failed allocation, whichever layer reports it; the time."""

from __future__ import annotations

import re
import signal

from lmn_bench.keeping import shortened
from lmn_bench.units import format_bytes

_OUT_OF_MEMORY_SIGNS = (
    "can't allocate memory",  # torch's CPU allocator
    "not enough memory",
    "out of memory",  # CUDA
    "cannot allocate memory",  # the C library
    "bad_alloc",  # C++
    "could not create a memory object",  # oneDNN
    "thread creation failed",  # libgomp: no memory for a stack
)
# Nobody outside sends these: the process did something that it must not. Under a cap that may be a
# library that takes a failed allocation for granted, but it says nothing about how much fits.
CRASHES = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT})
# Of a message of megabytes, signs are looked for in its first and last part.
_MOST_CHARACTERS = 20_000
_TOOK_LONGER = re.compile(r"took longer than (.+)")
_TRIED = re.compile(r"tried to allocate ([\d.]+ ?[A-Za-z]+)", re.IGNORECASE)


def allocation_that_failed(text: str) -> str:
    """What could not be allocated, as far as the error says; short enough for a table."""
    found = _TRIED.search(text)
    if found is None:
        return (text.strip().splitlines() or ["no message"])[-1][:200]
    amount = found.group(1)
    if amount.endswith("bytes"):
        amount = format_bytes(int(amount.split()[0]))
    return f"could not allocate {amount}"


def says_out_of_memory(text: str) -> bool:
    """Whether an error or the last words of a process tell of a failed allocation."""
    lowered = shortened(text, _MOST_CHARACTERS).lower()
    return any(sign in lowered for sign in _OUT_OF_MEMORY_SIGNS)


def took_longer(limit_s: float) -> str:
    """The reason of a process that was stopped after so long."""
    return f"took longer than {limit_s:g} s"


def time_limit_in(reason: str) -> str | None:
    """The limit that `took_longer` has put into a reason; None where it has not."""
    found = _TOOK_LONGER.search(reason)
    return None if found is None else found.group(1)
