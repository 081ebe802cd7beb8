"""Counters of a case: calls of their own, after its timing."""

from __future__ import annotations

from typing import Any

import torch

from lmn_bench.schema import Case
from lmn_bench.subjects.protocol import Subject
from lmn_bench.worker import counters, memory
from lmn_bench.worker.job import Job
from lmn_bench.worker.workload import Workload, counting_mode, grad_mode

# Counting slows a call of many small operations about this much; where the count would take
# longer than the limit it is left out, and the record says so.
_COUNTING_SLOWDOWN = 12.0
_COUNTING_LIMIT_S = 1.0
# The kernel's and the allocator's peaks may differ by this before the record mentions it.
_PEAK_AGREEMENT = 0.10
_PEAK_AGREEMENT_FLOOR_BYTES = 4 * 2**20  # heap and library pages that a first call touches


def look_closer(
    job: Job,
    work: Workload,
    subject: Subject,
    device: torch.device,
    call_s: float,
    fields: dict[str, Any],
) -> None:
    """Counters and the memory time line: calls of their own, after the timing."""
    if job.measuring.counters and job.replicate == 0:
        # Compiled for inference mode, it would be compiled anew for another one.
        mode = grad_mode if job.case.compile else counting_mode
        try:
            with mode(job.case.mode, subject):
                _count(job.case, work, device, call_s, fields)
        except RuntimeError as error:
            if "inference" not in str(error).lower():
                raise
            # It keeps tensors of inference mode, which no other mode may write to.
            with grad_mode(job.case.mode, subject):
                _count(job.case, work, device, call_s, fields)
    if job.measuring.memory_timeline and device.type == "cpu":
        with grad_mode(job.case.mode, subject):
            prepared = work.prepare()
            fields["memory_timeline"] = memory.timeline(lambda: work.call(prepared))


def _count(
    case: Case, work: Workload, device: torch.device, call_s: float, fields: dict[str, Any]
) -> None:
    metrics = fields["metrics"]
    estimate_s = call_s * _COUNTING_SLOWDOWN
    if estimate_s > _COUNTING_LIMIT_S:
        metrics.update(counters.known_flops(case, work.steps))
        fields["warnings"].append(
            f"not counted: operations and allocator peak would take about {estimate_s:.0f} s"
        )
        return
    if case.compile or case.cuda_graph:
        # Inside a dispatch mode nothing runs compiled, and a graph is no operation.
        metrics.update(counters.known_flops(case, work.steps))
    else:
        prepared = work.prepare()
        counted = counters.count(lambda: work.call(prepared))
        metrics["operations"] = _per_step(counted.operations, work.steps)
        metrics["flops"] = _per_step(counted.flops, work.steps)
    prepared = work.prepare()
    metrics["allocator_peak_bytes"] = memory.allocator_peak(lambda: work.call(prepared), device)
    kernel, allocator = metrics["working_memory_bytes"], metrics["allocator_peak_bytes"]
    apart = abs(kernel - allocator)
    if apart > _PEAK_AGREEMENT_FLOOR_BYTES and apart > _PEAK_AGREEMENT * max(kernel, allocator):
        fields["warnings"].append(
            f"peaks differ: the kernel saw {kernel / 2**20:.1f} MiB, torch's allocator "
            f"{allocator / 2**20:.1f} MiB"
        )


def _per_step(count: int, steps: int) -> float | int:
    return count // steps if count % steps == 0 else count / steps
