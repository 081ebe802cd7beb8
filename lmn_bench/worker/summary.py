"""What the timed rounds of a process come to, as fields of its record."""

from __future__ import annotations

import statistics
from typing import Any

from lmn_bench.disturbance import LOOP, PARALLEL_LOOP
from lmn_bench.samples import low_latency_s
from lmn_bench.schema import Case
from lmn_bench.worker.timing import Timing
from lmn_bench.worker.workload import Workload


def waiting_fields(timing: Timing) -> dict[str, float | None]:
    """The fields of `schema.Watched` that tell of the timed rounds."""
    every, counted = timing.waiting, timing.counted_waiting
    return {
        "timed_s": _rounded(every.timed_s), "timed_cpu_s": _rounded(every.cpu_s),
        "waited_s": _known(every.waited_s),
        "counted_s": _rounded(counted.timed_s), "counted_waited_s": _known(counted.waited_s),
    }  # fmt: skip


def _known(seconds: float | None) -> float | None:
    return None if seconds is None else _rounded(seconds)


def summarize(case: Case, work: Workload, timing: Timing, fields: dict[str, Any]) -> None:
    """Add a process's samples (s), and the metrics that they give, to the fields of its record."""
    metrics = fields["metrics"]
    windows = [one_round[work.first_step :] for one_round in timing.rounds]
    latency_s = statistics.median(statistics.fmean(window) for window in windows)
    metrics["latency_s"] = latency_s
    samples = [sample for one_round in timing.rounds for sample in one_round]
    metrics["latency_low_s"] = low_latency_s(samples, case.mode, work.steps - work.first_step)
    tokens = 1 if case.mode == "decode" else case.length
    metrics["tokens_per_s"] = case.batch * tokens / latency_s
    if case.mode == "decode":
        steps = sorted(step for window in windows for step in window)
        metrics["latency_median_s"] = statistics.median(steps)
        metrics["latency_p99_s"] = steps[min(len(steps) - 1, round(0.99 * (len(steps) - 1)))]
        # By position, then the median over passes: a pause of the machine is no worst step.
        metrics["latency_worst_s"] = max(
            statistics.median(column) for column in zip(*timing.rounds, strict=True)
        )
    fields["samples_s"] = [_rounded(s) for s in samples]
    fields["warmup_samples_s"] = [_rounded(s) for s in timing.warmup]
    fields["disturbed_samples_s"] = [_rounded(s) for r in timing.disturbed for s in r]
    metrics.update(zip((LOOP, PARALLEL_LOOP), timing.reference_s, strict=False))
    if timing.drifting:
        fields["warnings"].append("not steady: the samples still drifted when time was up")


def _rounded(seconds: float) -> float:
    """Four significant digits: finer than any clock's noise, a third of the bytes in the file."""
    return float(f"{seconds:.4g}")
