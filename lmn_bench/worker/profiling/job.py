"""A profile, start to end: what a forked process measures of one call, pass by pass.

Every pass has instruments of its own, so that none is seen by another. There are two processes:
one for time (without instruments and by parts in alternation, then operators and FLOPs) with malloc
as it comes, and one for memory (by part, resident, by line) with malloc lean, as the holes of a
heap belong to no part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lmn_bench.errors import LmnBenchError, ProfileError, UsageError
from lmn_bench.malloc import make_lean
from lmn_bench.outcomes import allocation_that_failed
from lmn_bench.plain import said_at
from lmn_bench.schema import Case
from lmn_bench.subjects.build import build
from lmn_bench.subjects.printed import Printed
from lmn_bench.subjects.protocol import Subject, supported_modes
from lmn_bench.subjects.user import UserModel
from lmn_bench.worker.caps import is_out_of_memory, memory_budget
from lmn_bench.worker.checks import IncorrectSubjectError, check_subject
from lmn_bench.worker.clock import clock_for
from lmn_bench.worker.loading import load_everything, start_cuda, start_threads
from lmn_bench.worker.profiling.instruments import Instruments
from lmn_bench.worker.profiling.memory_passes import memory_passes
from lmn_bench.worker.profiling.setting import Setting
from lmn_bench.worker.profiling.time_passes import time_passes
from lmn_bench.worker.profiling.timed import Call
from lmn_bench.worker.settings import Settings
from lmn_bench.worker.trial import try_out
from lmn_bench.worker.workload import build_workload, grad_mode, make_input

# Tokens decoded after the context; the same window as in a run.
DECODE_WINDOW = 32
# An operator takes the profiler about a kilobyte; read one by one, a token takes about 20 a layer.
MOST_OPERATORS = 500_000
_OPERATORS_PER_TOKEN = 20


@dataclass(frozen=True)
class ProfileJob:
    """What the parent asks for.

    Attributes:
        case: what to run.
        seed: of the weights.
        depth: the last level of a user's modules that are parts of their own; None for others.
        memory: whether to look at memory, or at time.
        lines: look at memory line by line too.
        trace: where to save the Chrome trace.
    """

    case: Case
    seed: int
    depth: int | None
    memory: bool
    lines: bool
    trace: Path

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ProfileJob:
        """The job in `data`."""
        return cls(
            Case.from_dict(data["case"]), data["seed"], data["depth"], data["memory"],
            data["lines"], Path(data["trace"]),
        )  # fmt: skip


def run_profile(job: ProfileJob) -> dict[str, Any]:
    """Measure, and return plain data for `lmn_bench.profiles`: what this job looks at.

    Raises:
        SubjectError: the subject cannot be imported, or built in this size.
        UsageError: it lacks the mode.
        ProfileError: it is wrong, fails, or runs out of memory.
    """
    case = job.case
    what = f"{case.subject} in {case.mode} at {case.length:,} tokens"
    try:
        return _run(job)
    except LmnBenchError:
        raise
    except IncorrectSubjectError as error:
        raise ProfileError(
            f"{case.subject} is wrong: {error}", "where its time goes can wait until it is right"
        ) from error
    except Exception as error:
        if is_out_of_memory(error):
            raise ProfileError(
                f"{what} ran out of memory: {allocation_that_failed(str(error))}",
                "take a shorter --length or a smaller --batch",
            ) from error
        raise ProfileError(f"{what} raised {said_at(error)}") from error


def _run(job: ProfileJob) -> dict[str, Any]:
    case = job.case
    _refuse_too_many(case)
    device = torch.device("cuda", 0) if case.device == "cuda" else torch.device("cpu")
    dtype: torch.dtype = getattr(torch, case.dtype)
    if job.memory:
        make_lean()
    torch.set_num_threads(case.threads)
    if device.type == "cuda":
        start_cuda(device, {})
    settings, printed = Settings.now(), Printed()
    subject = build(
        case.subject, case.model, dtype=dtype, device=device, seed=job.seed, length=case.length
    )
    told = [f"its code {what}" for what in settings.restore(keep_folder=True)]
    modes = supported_modes(subject)
    if case.mode not in modes:
        raise UsageError(
            f"{case.subject} has no {case.mode}", f"it has: {', '.join(sorted(modes))}"
        )
    torch.manual_seed(0)
    if isinstance(subject, UserModel):
        told += [*subject.notes, *try_out(subject, case, dtype, device).warnings]
        # Its first call is of its own length, and is none of those that are looked at.
        start_threads(device)
        torch.manual_seed(0)
    else:
        if "decode" in modes and not job.memory:
            check_subject(subject, case.model.width, dtype, device, from_nothing="stream" in modes)
        load_everything(case, subject, dtype, device)
    with memory_budget(None, device), grad_mode(case.mode, subject):
        call = _call(case, subject, dtype, device)
        # Before the instruments are made: some models make their modules in their first call.
        call.run(call.prepare())
        own = {}
        if isinstance(subject, UserModel):
            # Here: what instruments make torch print is nothing that the model said.
            own = {"told": told, "stderr": printed.lines()}
        depth = job.depth or 1
        instruments = Instruments(case.subject, subject, depth)
        instruments.watch(lambda: call.run(call.prepare()))
        setting = Setting(
            case, device, subject, call, instruments, depth, _gradient_clearer(subject)
        )
        if job.memory:
            return {**memory_passes(setting, lines=job.lines), **own}
    return {**time_passes(setting, job.trace), **own}


def _call(case: Case, subject: Subject, dtype: torch.dtype, device: torch.device) -> Call:
    """The work that is profiled; of decode, the window after the step to token `length`."""
    work = build_workload(
        case, subject, dtype=dtype, device=device, clock=clock_for(device),
        decode_window=DECODE_WINDOW,
    )  # fmt: skip
    if case.mode != "decode":
        return Call(work.prepare, lambda p: work.run(p)[0], 1, case.batch * case.length)
    torch.manual_seed(0)
    tokens = make_input(case, DECODE_WINDOW + 1, dtype, device).unbind(1)

    def prepare() -> Any:
        return subject.decode(tokens[0], work.prepare())[1]

    def run(state: Any) -> Any:
        output = None
        for token in tokens[1:]:
            output, state = subject.decode(token, state)
        return output

    return Call(prepare, run, DECODE_WINDOW, case.batch * DECODE_WINDOW)


def _refuse_too_many(case: Case) -> None:
    per_token = _OPERATORS_PER_TOKEN * case.model.layers
    if case.mode == "stream" and per_token * case.length > MOST_OPERATORS:
        raise UsageError(
            f"{case.length:,} tokens one by one are more operators than a profiler can hold",
            f"take a --length of up to {MOST_OPERATORS // per_token:,}, or --mode decode",
        )


def _gradient_clearer(subject: Subject) -> Callable[[], None]:
    """Drops the gradients of a training step, so that the next one allocates its own again."""

    def clear() -> None:
        for parameter in subject.parameters():
            parameter.grad = None

    return clear
