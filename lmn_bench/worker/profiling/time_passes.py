"""Where time goes: by part, by operator, with FLOPs and energy."""

from __future__ import annotations

import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from lmn_bench.worker.clock import clock_for
from lmn_bench.worker.profiling.clock import ClockCost, PartClock, clock_cost
from lmn_bench.worker.profiling.cuda_clock import CudaPartClock
from lmn_bench.worker.profiling.flops import count_flops
from lmn_bench.worker.profiling.operators import Trace
from lmn_bench.worker.profiling.power import energy_of
from lmn_bench.worker.profiling.setting import Setting
from lmn_bench.worker.profiling.timed import TimedParts, time_parts
from lmn_bench.worker.workload import counting_mode, grad_mode

# Counting FLOPs slows operations down by about this much.
_COUNTING_SLOWDOWN = 12.0
_COUNTING_LIMIT_S = 60.0


def time_passes(setting: Setting, trace_file: Path) -> dict[str, Any]:
    """Measure, and save the Chrome trace.

    Beside times: the working memory of a call with malloc as it comes, as a run has it.
    """
    call, mode = setting.call, setting.case.mode
    with grad_mode(mode, setting.subject):
        working = [max(0, one.peak - one.before) for one in setting.peaks()]
        timed = _timed(setting)
        once_s = timed.latency_s * call.units
        energy = energy_of(lambda: call.run(call.prepare()), call.tokens, once_s, setting.device)
    flops = _flops(setting, once_s)
    with grad_mode(mode, setting.subject):
        # The profiler's own first call is slow.
        setting.traced(memory=False)
        traced = setting.traced(memory=False, save_to=trace_file)
    return {
        **asdict(timed),
        "per": "token" if call.units > 1 else "sequence",
        "sites": [list(site) for site in setting.instruments.sites],
        "flops": _flat(flops, call.units),
        **_operators(traced, len(setting.instruments.sites), call.units),
        "working_bytes": int(statistics.median(working)),
        "energy": energy,
        "parameters": sum(parameter.numel() for parameter in setting.subject.parameters()),
        "warnings": setting.warnings,
    }


def _timed(setting: Setting) -> TimedParts:
    trains = setting.case.mode == "train"
    count = len(setting.instruments.sites)
    clock: PartClock | CudaPartClock
    if setting.device.type == "cuda":
        clock, cost = CudaPartClock(count, setting.device), ClockCost(0.0, 0.0)
    else:
        clock, cost = PartClock(count, trains=trains), clock_cost(trains=trains)
    _compare_outputs(setting, clock)
    timer = clock_for(setting.device)
    return time_parts(
        setting.call, timer, clock, cost, lambda: setting.instruments.installed(clock)
    )


def _compare_outputs(setting: Setting, clock: PartClock | CudaPartClock) -> None:
    """The rewritten functions must give what the subject's own do."""
    call = setting.call
    torch.manual_seed(0)
    plain = call.run(call.prepare())
    with setting.instruments.installed(clock):
        torch.manual_seed(0)
        prepared = call.prepare()
        clock.start()
        watched = call.run(prepared)
        clock.stop()
    if not torch.equal(plain, watched):
        apart = (plain - watched).abs().max().item()
        setting.warnings.append(
            f"the output with instruments differs from that without by up to {apart:.2g}"
        )


def _flops(setting: Setting, once_s: float) -> dict[tuple[int, str], int] | None:
    estimate_s = once_s * _COUNTING_SLOWDOWN
    if estimate_s > _COUNTING_LIMIT_S:
        setting.warnings.append(f"FLOPs not counted: that would take about {estimate_s:.0f} s")
        return None
    call, instruments = setting.call, setting.instruments
    with counting_mode(setting.case.mode, setting.subject):
        return count_flops(
            lambda: call.run(call.prepare()), len(instruments.sites), instruments.installed,
            trains=setting.case.mode == "train",
        )  # fmt: skip


def _flat(flops: dict[tuple[int, str], int] | None, units: int) -> list[list[Any]] | None:
    if flops is None:
        return None
    return [[site, name, count / units] for (site, name), count in flops.items()]


def _operators(trace: Trace, sites: int, units: int) -> dict[str, Any]:
    uses = [
        [site, name, use.calls / units, use.self_ns * 1e-9 / units]
        for (site, name), use in trace.uses.items()
    ]
    between = [trace.between_ns.get(site, 0) * 1e-9 / units for site in range(sites)]
    return {"uses": uses, "between_s": between, "profiled_s": trace.seconds / units}
