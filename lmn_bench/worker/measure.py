"""One case, one process: build, check, warm up, measure memory, time, count."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from lmn_bench.errors import LmnBenchError
from lmn_bench.malloc import make_lean
from lmn_bench.nvml import GpuUse, watch_gpu
from lmn_bench.outcomes import allocation_that_failed
from lmn_bench.plain import said_at, said_by
from lmn_bench.schema import LEAN_MALLOC, Case, Measuring, Outcome
from lmn_bench.subjects.build import build
from lmn_bench.subjects.names import is_user_subject
from lmn_bench.subjects.printed import Printed
from lmn_bench.subjects.protocol import Subject, SubjectWithGraphs, lacking, supported_modes
from lmn_bench.subjects.search import origins
from lmn_bench.subjects.user import UserModel
from lmn_bench.worker import compiling, counters, memory
from lmn_bench.worker.caps import Cap, is_out_of_memory, memory_budget
from lmn_bench.worker.checks import (
    IncorrectSubjectError,
    check_read,
    check_subject,
    require_finite,
)
from lmn_bench.worker.clock import clock_for
from lmn_bench.worker.contexts import ContextFile
from lmn_bench.worker.counting import look_closer
from lmn_bench.worker.job import Job, case_of, spec_of
from lmn_bench.worker.limits import open_words, started_words, what_cannot_be_started
from lmn_bench.worker.loading import load_everything, start_cuda
from lmn_bench.worker.needs import measure_needs
from lmn_bench.worker.plant import planted_share, slowed
from lmn_bench.worker.reference import ReferenceLoops
from lmn_bench.worker.settings import Settings
from lmn_bench.worker.summary import summarize, waiting_fields
from lmn_bench.worker.timing import Timing, sample
from lmn_bench.worker.trial import try_out
from lmn_bench.worker.unseen import OverCapError, Unseen
from lmn_bench.worker.warming import LONG_CALL_S, require_threads, warm_up_copy, watched
from lmn_bench.worker.watch import Watch
from lmn_bench.worker.workload import Workload, build_workload, grad_mode

# Metrics of a model that are known before it is called.
_KNOWN_BEFORE = ("floor_bytes", "parameters", "parameter_bytes")


def probe(
    subject: str, spec: dict[str, int], cases: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Build a subject and say what it is and whence: parameters, modes, files.

    Args:
        subject: its name.
        spec: its sizes.
        cases: in which a user's own is to be tried, one of every mode; the device and type of the
            first are those that it is built for, else the CPU and float32.

    Raises:
        SubjectError: it cannot be built, or takes no input.
    """
    to_try = [case_of(case) for case in cases]
    first = to_try[0] if to_try else None
    dtype = torch.float32 if first is None else getattr(torch, first.dtype)
    device = torch.device("cpu" if first is None else first.device)
    built = build(
        subject, spec_of(spec), dtype=dtype, device=device, seed=0,
        length=None if first is None else first.length,
    )  # fmt: skip
    for case in to_try:
        if isinstance(built, UserModel) and case.mode in built.modes:
            try:
                try_out(built, case, dtype, device)
            except LmnBenchError:
                raise
            except Exception:  # told with every case that it is wrong in, or that lacks memory
                continue
    count = sum(parameter.numel() for parameter in built.parameters())
    modes = sorted(supported_modes(built))
    return {"parameters": count, "modes": modes, "origins": origins(subject)}


def run_job(
    job: Job,
    context: ContextFile | None = None,
    best_loops_s: tuple[float, ...] = (),
    cap: Cap | None = None,
) -> dict[str, Any]:
    """Measure and return the fields of a record: outcome, reason, metrics, samples.

    Every end of a measurement comes back as an outcome.

    Args:
        job: what to measure.
        context: where processes of this case hand on a long context.
        best_loops_s: fastest reference loops of the run so far: on one thread, and on those of
            this case.
        cap: what this process can enforce a memory cap with; by default `RLIMIT_DATA`.

    Raises:
        SubjectError: the subject cannot be imported, or built in this size.
        CapError: the job asks for a mechanism that this process does not have.
    """
    fields: dict[str, Any] = {"metrics": {}, "warnings": []}
    printed = Printed()
    try:
        outcome, reason = _measure(job, fields, context, best_loops_s, cap or Cap(), printed), None
    except LmnBenchError:
        raise  # a model that cannot be built, or a cap: the parent says so
    except OverCapError as error:
        # Nothing that was measured over the cap stands for the case.
        metrics = {key: fields["metrics"][key] for key in _KNOWN_BEFORE if key in fields["metrics"]}
        fields = {"metrics": metrics, "warnings": fields["warnings"]}
        outcome, reason = Outcome.OUT_OF_MEMORY, str(error)
    except (Exception, SystemExit) as error:
        outcome, reason = _failure(error, job.case)
    if is_user_subject(job.case.subject):
        fields.setdefault("stderr", printed.lines())
    return {"outcome": outcome, **fields, **({"reason": reason} if reason else {})}


def _failure(error: BaseException, case: Case) -> tuple[Outcome, str]:
    """How a model that raised an error has ended, and why."""
    if isinstance(error, IncorrectSubjectError):
        return Outcome.INCORRECT, str(error)
    if isinstance(error, Exception) and (wanting := what_cannot_be_started(error)):
        if case.memory_cap_bytes is not None:
            return Outcome.OUT_OF_MEMORY, f"no memory for another {wanting}: {said_by(error)}"
        return Outcome.ERROR, f"{said_at(error)}: {started_words(wanting)}"
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return Outcome.ERROR, f"{said_at(error)}: {open_words()}"
    if isinstance(error, Exception) and is_out_of_memory(error):
        return Outcome.OUT_OF_MEMORY, allocation_that_failed(str(error))
    ours = isinstance(error, compiling.CompilationError)
    return Outcome.ERROR, str(error) if ours else said_at(error)


def _measure(
    job: Job,
    fields: dict[str, Any],
    context: ContextFile | None,
    best_loops_s: tuple[float, ...],
    cap: Cap,
    printed: Printed,
) -> Outcome:
    case, metrics, watch = job.case, fields["metrics"], Watch()
    share = planted_share(os.environ)
    dtype = getattr(torch, case.dtype)
    # torch wants an index where it sets a memory fraction.
    device = torch.device(case.device, 0) if case.device == "cuda" else torch.device("cpu")
    if job.measuring.malloc == LEAN_MALLOC and not make_lean():
        fields["warnings"].append("malloc is not glibc's, and was left as it is")
    torch.set_num_threads(case.threads)
    if device.type == "cuda":
        start_cuda(device, metrics)
    metrics["floor_bytes"] = memory.status_bytes("VmRSS")
    settings = Settings.now()
    subject = build(
        case.subject, case.model, dtype=dtype, device=device, seed=job.seed, length=case.length
    )
    own = subject if isinstance(subject, UserModel) else None
    if own is not None:
        fields["warnings"] += [
            *(f"its code {what}" for what in settings.restore(keep_folder=True)),
            *own.notes,
        ]
    parameters = list(subject.parameters())
    metrics["parameters"] = sum(p.numel() for p in parameters)
    metrics["parameter_bytes"] = sum(p.numel() * p.element_size() for p in parameters)
    modes = supported_modes(subject)
    if case.mode not in modes:
        fields["reason"] = lacking(subject, case.subject, case.mode)
        return Outcome.SKIPPED

    if case.compile:
        reason = compiling.why_not(subject)
        if reason is not None:
            fields["reason"] = reason
            return Outcome.SKIPPED

    if case.cuda_graph and not isinstance(subject, SubjectWithGraphs):
        fields["reason"] = f"{case.subject} has no CUDA graphs"
        return Outcome.SKIPPED

    # The same inputs in every replicate: what varies is the process, not the data.
    torch.manual_seed(0)
    bounded = case.memory_cap_bytes is not None or job.measuring.needs
    trial = None
    if own is None:
        _check(case, subject, dtype, device, metrics)
        load_everything(case, subject, dtype, device)
    else:
        trial = try_out(own, case, dtype, device)
        fields["warnings"] += trial.warnings
        if trial.check_error is not None:
            metrics["check_error"] = trial.check_error
        if bounded:
            warm_up_copy(case, own, trial, dtype, device)
        torch.manual_seed(0)
    clock = clock_for(device)
    if case.memory_cap_bytes is not None and device.type == "cpu":
        cap = cap.by(job.measuring.cap_mechanism)
    unseen = _unseen(case, device, cap)
    with memory_budget(case.memory_cap_bytes, device, cap), grad_mode(case.mode, subject):
        if job.measuring.needs:
            metrics.update(measure_needs(case, subject, dtype, device))
            metrics["loaded_bytes"] += metrics.get("context_memory_bytes", 0)
            if not job.measuring.timing:
                return Outcome.OK
        work = build_workload(
            case, subject, dtype=dtype, device=device, clock=clock,
            decode_window=job.measuring.decode_window, context=context,
            blank_context=job.measuring.blank_context,
        )  # fmt: skip
        if case.compile:
            metrics.update(compiling.compile_subject(subject, case.mode, work))
        if isinstance(subject, SubjectWithGraphs) and case.cuda_graph:
            compiling.record_subject(subject, work)
        call_s = first_call_s = _memory_pass(work, case, subject, device, metrics)
        if own is not None and not bounded and call_s < LONG_CALL_S:
            call_s = first_call_s = _memory_pass(work, case, subject, device, metrics)
        if job.measuring.timing:
            watching = nullcontext() if own is None else watched(case, fields["warnings"])
            with slowed(subject, share, device), watching:
                timing = _timing_pass(
                    work, job.measuring, case, device, first_call_s, best_loops_s, fields
                )
            fields["watched"] = {**watch.seen(), **waiting_fields(timing)}
            summarize(case, work, timing, fields)
            call_s = metrics["latency_s"] * work.steps / (1 + share)
            if share:
                fields["warnings"].append(f"a slow-down of {100 * share:.4g}% was planted")
    if unseen is not None:
        fields["warnings"] += unseen.told()
    if own is not None:
        # What counting makes torch print is nothing that the model said.
        fields["stderr"] = printed.lines()
        require_threads(case)
    if trial is not None and trial.hides_state and metrics.pop("state_bytes", None) is not None:
        fields["warnings"].append(
            "state_bytes is not known: what decode depends on is no tensor; state_bytes(state) "
            "would tell"
        )
    slots = subject.slots(case.length) if hasattr(subject, "slots") else None
    if slots is not None:
        metrics["slots"] = int(slots)
    metrics.update(counters.known_bytes(case, work.steps))
    if case.compile:
        metrics["compiled_graphs"] = compiling.compiled_graphs()
        fields["warnings"] += compiling.warnings()
    try:
        look_closer(job, work, subject, device, call_s, fields)
    except Exception as error:
        # Times and memory are good, whatever a dispatch mode or a sampler does to the model.
        fields["warnings"].append(f"not counted: {said_at(error)}")
    return Outcome.OK


def _unseen(case: Case, device: torch.device, cap: Cap) -> Unseen | None:
    """What looks after memory that the limit does not see; None where it sees all."""
    if case.memory_cap_bytes is None or device.type == "cuda" or cap.group is not None:
        return None
    return Unseen(case.memory_cap_bytes)


def _check(
    case: Case,
    subject: Subject,
    dtype: torch.dtype,
    device: torch.device,
    metrics: dict[str, Any],
) -> None:
    """See that the ways in which a builtin subject runs agree."""
    modes, width = supported_modes(subject), case.model.width
    if "decode" in modes:
        metrics["check_error"] = check_subject(
            subject, width, dtype, device, from_nothing="stream" in modes
        )
    if case.mode == "read" and "prefill" in modes:
        error = check_read(subject, width, dtype, device)
        metrics["check_error"] = max(error, metrics.get("check_error", 0.0))


def _watched(device: torch.device) -> AbstractContextManager[Callable[[], GpuUse | None]]:
    if device.type != "cuda":
        return nullcontext(lambda: None)
    return watch_gpu(f"GPU-{torch.cuda.get_device_properties(device).uuid}")


def _note_gpu(use: GpuUse | None, fields: dict[str, Any]) -> None:
    if use is None:
        return
    if use.power_w is not None:
        fields["metrics"]["gpu_power_w"] = use.power_w
    if use.throttle_reasons:
        held_back = ", ".join(use.throttle_reasons)
        fields["warnings"].append(f"the GPU was held back while timing: {held_back}")


def _memory_pass(
    work: Workload, case: Case, subject: Subject, device: torch.device, metrics: dict[str, Any]
) -> float:
    """Measure the peak of one call; return how long that call took."""
    prepared = work.prepare()
    clock, elapsed_s, state = clock_for(device), 0.0, None
    outputs: list[Tensor] = []

    def call() -> object:
        nonlocal elapsed_s, state

        def inner() -> None:
            nonlocal state
            output, state = work.run(prepared)
            if isinstance(subject, UserModel):
                outputs[:] = [output.detach()]

        elapsed_s = clock.time(inner)
        return state

    peak, state = memory.peak_of(call, device)
    for output in outputs:
        require_finite(output)
    metrics["peak_memory_bytes"] = peak.peak
    metrics["working_memory_bytes"] = max(0, peak.peak - peak.before)
    if device.type == "cuda":
        metrics["reserved_memory_bytes"] = torch.cuda.max_memory_reserved(device)
    if work.state_bytes is not None:
        metrics["state_bytes"] = work.state_bytes
    elif state is not None:
        metrics["state_bytes"] = subject.state_bytes(state)
    return elapsed_s


def _timing_pass(
    work: Workload,
    measuring: Measuring,
    case: Case,
    device: torch.device,
    first_call_s: float,
    best_loops_s: tuple[float, ...],
    fields: dict[str, Any],
) -> Timing:
    # The loop on all threads needs memory of its own, which must not come out of a cap's budget.
    threads = case.threads if case.memory_cap_bytes is None else 1
    reference = ReferenceLoops(threads, best_loops_s) if device.type == "cpu" else None
    with _watched(device) as seen:
        timing = sample(work.take, measuring, already_warm_s=first_call_s, reference=reference)
        _note_gpu(seen(), fields)
    return timing
