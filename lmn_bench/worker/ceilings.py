"""The most that a device does: a product of large matrices, and a copy from memory to memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from lmn_bench.schema import Ceiling
from lmn_bench.worker.clock import Clock, clock_for

# The best size differs: small matrices fit the caches, large ones keep every unit busy.
SIZES = {"cpu": (512, 1024, 2048), "cuda": (2048, 4096, 8192)}
# Calls after the first, warm one: at least these, and for this long. The best one counts: a ceiling
# is what the machine can do, not what it did beside a neighbour.
_LEAST_CALLS, _GOAL_S = 4, 0.15
# A dtype without units of its own is slow enough at a small size: a larger one tells nothing more.
_SLOW_CALL_S = 0.5
# A copy this many times the last-level cache meets it in one word of so many.
_CACHES = 4
_LEAST_COPY_BYTES, _MOST_COPY_BYTES = 64 * 2**20, 512 * 2**20
_LAST_LEVEL = Path("/sys/devices/system/cpu/cpu0/cache/index3/size")


def measure_ceilings(device: str, threads: int, dtypes: Sequence[str]) -> list[dict[str, Any]]:
    """The ceilings of a device, one per dtype, as plain data.

    Args:
        device: "cpu" or "cuda".
        threads: CPU threads; makes no difference on CUDA.
        dtypes: "float32" and so on.
    """
    place = torch.device(device)
    if device == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = False
    else:
        torch.set_num_threads(threads)
    clock = clock_for(place)
    with torch.inference_mode():
        return [
            asdict(
                Ceiling(
                    device,
                    threads if device == "cpu" else 0,
                    dtype,
                    _matrix_flops_per_s(getattr(torch, dtype), place, clock),
                    _copy_bytes_per_s(getattr(torch, dtype), place, clock),
                )
            )
            for dtype in dtypes
        ]


def _matrix_flops_per_s(dtype: torch.dtype, device: torch.device, clock: Clock) -> float:
    best = 0.0
    for size in SIZES[device.type]:
        left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        product = torch.empty_like(left)

        def multiply(
            left: torch.Tensor = left, right: torch.Tensor = right, product: torch.Tensor = product
        ) -> object:
            return torch.mm(left, right, out=product)

        call_s = _best_s(multiply, clock)
        best = max(best, 2 * size**3 / call_s)
        if call_s > _SLOW_CALL_S:
            break
    return best


def _copy_bytes_per_s(dtype: torch.dtype, device: torch.device, clock: Clock) -> float:
    """Bytes read and bytes written, both counted."""
    count = _copy_bytes() // dtype.itemsize
    source = torch.ones(count, dtype=dtype, device=device)
    target = torch.zeros_like(source)
    return 2 * source.nbytes / _best_s(lambda: target.copy_(source), clock)


def _best_s(call: Callable[[], object], clock: Clock) -> float:
    """The fastest of several calls, after one to get warm; of one call that is slow."""
    first = clock.time(call)
    if first > _SLOW_CALL_S:
        return first
    times: list[float] = []
    while len(times) < _LEAST_CALLS or sum(times) < _GOAL_S:
        times.append(clock.time(call))
    return min(times)


def _copy_bytes() -> int:
    """Size of the buffer that is copied."""
    try:
        cache = int(_LAST_LEVEL.read_text().strip().removesuffix("K")) * 1024
    except (OSError, ValueError):
        cache = 0
    return min(max(_CACHES * cache, _LEAST_COPY_BYTES), _MOST_COPY_BYTES)
