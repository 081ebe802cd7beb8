"""How glibc's malloc is set while a case is measured: as it comes, or lean.

As it comes, every thread has a heap of its own, and blocks of up to 32 MiB are cut from heaps once
blocks of their size have been freed: fast, as freed pages are used again, but a heap keeps holes
between the blocks that live. What a model then needs is up to twice what it holds, and may be less
for a longer sequence than for a shorter one. Lean, there is one heap, and what is large is mapped
by itself and goes back to the kernel when it is freed: the least memory, and the same every time;
time is lost on fresh pages.

A program of yours has the same by the environment variables that stand here.
Source: mallopt(3), "Environment variables".
"""

from __future__ import annotations

import ctypes

# Environment variable: (parameter of mallopt, value).
_LEAN = {
    "MALLOC_ARENA_MAX": (-8, 1),
    "MALLOC_MMAP_THRESHOLD_": (-3, 256 * 2**10),
    "MALLOC_TRIM_THRESHOLD_": (-1, 2**20),
}
LEAN_VARIABLES = " ".join(f"{name}={value}" for name, (_, value) in _LEAN.items())


def make_lean() -> bool:
    """Set this process's malloc lean, before it starts threads; False where there is no glibc."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        return False
    for parameter, value in _LEAN.values():
        libc.mallopt(parameter, value)
    return True
