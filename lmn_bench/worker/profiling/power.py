"""Energy per token, and on a GPU its clock and what held it back, over a second of plain calls."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Final

import torch

from lmn_bench.nvml import watch_gpu
from lmn_bench.worker.profiling.energy import watch_packages

# Counters move about 1,000 times (RAPL) or 10 to 50 times (NVML) a second.
SPAN_S: Final = 1.0


def energy_of(
    run: Callable[[], object], tokens: int, once_s: float, device: torch.device
) -> dict[str, Any]:
    """Run again and again for about `SPAN_S`, and read the counters before and after.

    Args:
        run: the work, what it uses up made anew.
        tokens: that it reads.
        once_s: about how long it takes.
        device: where it runs.

    Returns:
        `joules_per_token` or, where that is None, the `reason`; `source`, `power_w`, `clock_hz`
        and `throttle_reasons` as far as they are known.
    """
    count = max(1, math.ceil(SPAN_S / max(once_s, 1e-6)))
    if device.type == "cuda":
        return _gpu_energy(run, tokens, count, device)
    with watch_packages() as used:
        if used().reason is None:
            begin = time.perf_counter()
            for _ in range(count):
                run()
            span_s = time.perf_counter() - begin
        energy = used()
    if energy.joules is None:
        return _nothing(f"not available here: {energy.reason}")
    return {
        **_nothing(None), "joules_per_token": energy.joules / (count * tokens),
        "source": "RAPL, all of the processor's packages", "power_w": energy.joules / span_s,
    }  # fmt: skip


def _gpu_energy(
    run: Callable[[], object], tokens: int, count: int, device: torch.device
) -> dict[str, Any]:
    with watch_gpu(f"GPU-{torch.cuda.get_device_properties(device).uuid}") as seen:
        for _ in range(count):
            run()
        torch.cuda.synchronize(device)
        use = seen()
    told = {
        "source": "NVML, the GPU", "power_w": use.power_w, "clock_hz": use.clock_hz,
        "throttle_reasons": list(use.throttle_reasons),
    }  # fmt: skip
    if use.energy_j is None:
        return {**_nothing("not available here: this card counts no energy"), **told}
    return {**_nothing(None), "joules_per_token": use.energy_j / (count * tokens), **told}


def _nothing(reason: str | None) -> dict[str, Any]:
    return {"joules_per_token": None, "reason": reason, "source": None, "power_w": None,
            "clock_hz": None, "throttle_reasons": []}  # fmt: skip
