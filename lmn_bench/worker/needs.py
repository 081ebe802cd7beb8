"""What a case needs in all on top of the loaded model: for sizing, and for trying a size out.

The kernel keeps two high-water marks of a process, resident pages and address space. The first is
what a machine, or a cgroup, must have; the second is what `RLIMIT_DATA` goes by: it counts what was
asked for and never touched, too. Pages of files that a first call reads in, code of libraries most
of all, belong to the loaded model: they don't grow with the case.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from lmn_bench.schema import Case
from lmn_bench.subjects.protocol import State, Subject, SubjectWithBlankState
from lmn_bench.worker import memory
from lmn_bench.worker.clock import clock_for
from lmn_bench.worker.workload import build_workload, make_input

# The step to token n and some after it: an LMN rebuilds every level at a power of two, and what a
# model makes anew for a longer context it makes here.
DECODE_STEPS = 4


def measure_needs(
    case: Case, subject: Subject, dtype: torch.dtype, device: torch.device
) -> dict[str, float | int]:
    """The metrics `loaded_bytes`, `needed_bytes`, and on the CPU `needed_reserved_bytes`.

    Args:
        case: what is done.
        subject: the model, warmed up.
        dtype: of inputs and weights.
        device: where it runs.
    """
    whole = _whole(case, subject, dtype, device)
    held = memory.held_bytes(device)
    if device.type == "cuda":
        peak, _ = memory.peak_of(whole, device)
        _forget_gradients(subject)
        # The allocator hands memory out in blocks of its own: those are what a device must have.
        return {"loaded_bytes": held, "needed_bytes": peak.reserved}
    files = memory.status_bytes("RssFile")
    peak, _ = memory.peak_of(whole, device)
    read_in = max(0, memory.status_bytes("RssFile") - files)
    _forget_gradients(subject)
    used = max(0, peak.peak - held - read_in)
    return {"loaded_bytes": held + read_in, "needed_bytes": used,
            "needed_reserved_bytes": peak.reserved}  # fmt: skip


def _forget_gradients(subject: Subject) -> None:
    for parameter in subject.parameters():
        parameter.grad = None


def _whole(
    case: Case, subject: Subject, dtype: torch.dtype, device: torch.device
) -> Callable[[], object]:
    """All that a case does, its input or context included; the result is held until its end."""
    if case.mode != "decode":

        def call() -> object:
            work = build_workload(
                case, subject, dtype=dtype, device=device, clock=clock_for(device), decode_window=1
            )
            return work.run(work.prepare())

        return call

    def steps() -> object:
        state = _before(case, subject, dtype, device)
        token = make_input(case, 1, dtype, device)[:, 0]
        for _ in range(DECODE_STEPS):
            _, state = subject.decode(token, state)
        return state

    return steps


def _before(case: Case, subject: Subject, dtype: torch.dtype, device: torch.device) -> State:
    """The state before token n: blank where the subject has that, else read."""
    tokens, capacity = case.length - 1, case.length - 1 + DECODE_STEPS
    if not tokens:
        return subject.initial_state(case.batch, capacity=capacity)
    if isinstance(subject, SubjectWithBlankState):
        return subject.blank_state(case.batch, tokens, capacity=capacity)
    return subject.context(make_input(case, tokens, dtype, device), capacity=capacity)
