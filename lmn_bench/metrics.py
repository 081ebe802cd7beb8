"""Every metric once: key, unit, which way is better, what it means, how it is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lmn_bench.errors import UnknownNameError

# Of metrics that a slow machine moves.
TIME_UNITS = ("s", "token/s")


@dataclass(frozen=True)
class Metric:
    """One measured or counted quantity.

    Attributes:
        key: name in records.
        unit: base unit: s, B, FLOP, token/s or "" for a plain count.
        better: which direction is better, or "neither".
        exact: counted, so equal in every replicate; otherwise it varies between processes.
        meaning: what it is.
        measured: how it is obtained.
    """

    key: str
    title: str
    unit: str
    better: Literal["lower", "higher", "neither"]
    exact: bool
    meaning: str
    measured: str


_ALL = (
    Metric("latency_s", "latency", "s", "lower", False,
           "time of one call: a sequence (prefill, read, stream), a training step, a decoded token",
           "median of the samples of one process; decode: median over passes of the mean step"),
    Metric("latency_low_s", "undisturbed latency", "s", "lower", False,
           "time of one call when little disturbs it: what the code itself takes",
           "lower quartile of the samples of one process (decode: of the mean step of its passes); "
           "on a shared machine it differs half as much between processes as the median does"),
    Metric("latency_median_s", "median step", "s", "lower", False,
           "decode: the usual step, without the mean's share of rare long merges",
           "median over all steps of the window"),
    Metric("latency_p99_s", "99th percentile step", "s", "lower", False,
           "decode: the step that one in a hundred exceeds",
           "99th percentile over all steps of the window"),
    Metric("latency_worst_s", "worst step", "s", "lower", False,
           "decode: the slowest position at this context; for an LMN the step to a power of two, "
           "which rebuilds every level",
           "maximum over positions (the step to token n and the window) of the median over passes"),
    Metric("tokens_per_s", "throughput", "token/s", "higher", False,
           "tokens of all rows of the batch per second", "batch × tokens / latency_s"),
    Metric("validation_loss", "validation loss", "nat/token", "lower", False,
           "learn: how surprised a model is, on average, by what it did not learn from",
           "mean cross-entropy over windows of the last tenth of a text, always the same, or over "
           "examples of a task made for the test alone, after the last step"),
    Metric("accuracy", "accuracy", "", "higher", False,
           "learn: share of answers that are right, at the length that was learned",
           "the likeliest token against the right one, over examples made for the test alone"),
    Metric("learning_s", "learning time", "s", "lower", False,
           "learn: time of all steps; evaluating and saving are not counted",
           "sum over the steps, those before an interruption included"),
    Metric("peak_memory_bytes", "peak memory", "B", "lower", False,
           "highest resident memory of the process (CUDA: of torch's allocations) during one call",
           "kernel's high-water mark, reset before a call of its own after garbage collection and "
           "malloc_trim; CUDA: max_memory_allocated"),
    Metric("working_memory_bytes", "working memory", "B", "lower", False,
           "what one call needs on top of what the process held before it, its result included",
           "peak_memory_bytes less the resident memory just before the call"),
    Metric("loaded_bytes", "loaded model", "B", "lower", False,
           "what the process holds before a case begins: interpreter, libraries, the model and "
           "what that prepares for its first token", "resident memory after a warm-up at a tiny "
           "length; CUDA: context and reserved memory"),
    Metric("needed_bytes", "needed memory", "B", "lower", False,
           "what a case needs on top of the loaded model, at its highest: input, state, working "
           "memory, result; decode: the state of a context and the steps after it",
           "kernel's high-water mark of resident memory over the whole case in a pass of its own, "
           "less what was held before it and pages of files read in meanwhile"),
    Metric("needed_reserved_bytes", "needed memory (reserved)", "B", "lower", False,
           "the same, counting what is asked for and never touched, as RLIMIT_DATA does",
           "kernel's high-water mark of the address space, less the address space before; only "
           "where the case raised it above what building the model took"),
    Metric("floor_bytes", "process floor", "B", "lower", False,
           "interpreter and libraries before the model is built", "resident memory"),
    Metric("cap_floor_bytes", "held under the cap", "B", "lower", False,
           "what the process held when its memory cap was set: the budget comes on top",
           "resident memory (CUDA: reserved by torch) after building and warm-up"),
    Metric("cap_peak_bytes", "used of the cap", "B", "lower", False,
           "caps by cgroup: the most that was used of the budget, files read and page tables "
           "included",
           "the kernel's own peak of the group"),
    Metric("parameter_bytes", "parameters (bytes)", "B", "lower", True,
           "weights of the model", "sum over parameters"),
    Metric("parameters", "parameters", "", "neither", True,
           "numbers that the model is made of, those that are frozen too", "sum over parameters"),
    Metric("state_bytes", "state", "B", "lower", True,
           "what must be kept to decode on after n tokens", "sum over the tensors of the state"),
    Metric("allocator_peak_bytes", "allocator peak", "B", "lower", True,
           "highest sum of live bytes that torch's allocator handed out during one call",
           "running sum over the profiler's allocation events; CUDA: the caching allocator's peak"),
    Metric("flops", "FLOPs", "FLOP", "lower", True,
           "floating-point operations of matrix products, convolutions and attention in one call "
           "(decode: mean step of the window)",
           "counted on the dispatched operations; where that takes too long, by formulas that "
           "tests hold against such counts"),
    Metric("bytes_moved", "bytes moved", "B", "lower", True,
           "the least that one call has to read and write in memory: parameters, inputs, outputs, "
           "nodes, keys and values, state (decode: mean step of the window)",
           "formulas of lmn.cost and lmn_bench.subjects.traffic; none for models of your own"),
    Metric("operations", "operations", "", "lower", True,
           "operations that torch dispatches in one call (decode: mean step of the window)",
           "counted by a dispatch mode"),
    Metric("slots", "slots", "", "lower", True,
           "vectors that the last token attends to", "formula of the tree, or the context length"),
    Metric("reserved_memory_bytes", "reserved memory", "B", "lower", False,
           "CUDA: what torch's caching allocator held at its peak", "max_memory_reserved"),
    Metric("context_memory_bytes", "context memory", "B", "lower", False,
           "CUDA: the driver's context and libraries, outside torch's allocator",
           "used memory of the device less what torch reserved, in a process of its own"),
    Metric("gpu_power_w", "GPU power", "W", "neither", False,
           "CUDA: what the GPU drew while it was timed",
           "NVML: energy counter before and after the timing pass; else the momentary power"),
    Metric("reference_loop_s", "reference loop", "s", "lower", False,
           "how fast the machine itself was beside the samples that count: a fixed loop of "
           "arithmetic, the same for every model",
           "timed between rounds on the core of the main thread; median"),
    Metric("parallel_loop_s", "reference loop on all threads", "s", "lower", False,
           "the same on all threads of a case at once, where they are several: it also sees that "
           "another core is taken",
           "timed between rounds on torch's own threads; median"),
    Metric("compile_s", "compiling", "s", "lower", False,
           "compiled cases: time until everything is compiled; never part of a latency",
           "the first call after torch.compile; torch keeps what it compiles on disk, so that the "
           "first process of a case takes longest"),
    Metric("compiled_graphs", "compiled graphs", "", "lower", True,
           "compiled cases: graphs that torch.compile made; one per length or position is many",
           "torch's own counter after all passes"),
    Metric("check_error", "check error", "", "lower", False,
           "largest difference between parallel and sequential outputs, relative to their size",
           "prefill against one token at a time, before any timing"),
)  # fmt: skip

METRICS: dict[str, Metric] = {metric.key: metric for metric in _ALL}


def metric(key: str) -> Metric:
    """The metric named `key`.

    Raises:
        UnknownNameError: with the nearest name.
    """
    if key not in METRICS:
        raise UnknownNameError("metric", key, METRICS, "; see `lmn-bench list metrics`")
    return METRICS[key]
