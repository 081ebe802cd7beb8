"""What is timed: a case turned into calls on its subject."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lmn_bench.schema import Case
from lmn_bench.subjects.protocol import (
    INFERENCE,
    Subject,
    SubjectWithBlankState,
    SubjectWithGraphs,
    calls_of,
)
from lmn_bench.worker.clock import Clock
from lmn_bench.worker.contexts import ContextFile
from lmn_bench.worker.timing import block_size


@dataclass
class Workload:
    """The calls of one case.

    Attributes:
        prepare: makes what `call` consumes (a copy of the state); never timed, never counted.
        run: the work: the last output (the loss, in training), and the state, if any.
        take: one timed round: its samples in seconds.
        steps: operations and FLOPs of `call` are divided by this to give those of one unit.
        first_step: how many leading samples of a round stand apart from the window (decode: 1).
        state_bytes: of the state after `length` tokens, where `call` reads on beyond them.
    """

    prepare: Callable[[], Any]
    run: Callable[[Any], tuple[Tensor, Any]]
    take: Callable[[], tuple[float, ...]]
    steps: int = 1
    first_step: int = 0
    state_bytes: int | None = None

    def call(self, prepared: Any) -> Any:
        """The work whose memory and operations are measured; the state, if any."""
        return self.run(prepared)[1]

    def output(self, prepared: Any) -> Tensor:
        """What the work gives, for comparing ways of computing it."""
        return self.run(prepared)[0]


def grad_mode(mode: str, subject: Subject) -> AbstractContextManager[object]:
    """Autograd for train, inference mode for everything else that can be run in it."""
    return nullcontext() if mode == "train" else calls_of(subject)


def counting_mode(mode: str, subject: Subject) -> AbstractContextManager[object]:
    """As `grad_mode`, but inference mode gives way to no_grad.

    Under inference mode a dispatch mode sees composite operations (a whole LSTM as one) instead of
    what they are made of. A user's own that needs gradients has them.
    """
    if getattr(subject, "calling", INFERENCE) != INFERENCE:
        return grad_mode(mode, subject)
    return nullcontext() if mode == "train" else torch.no_grad()


def make_input(case: Case, tokens: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Unit-variance random input of shape (batch, tokens, width)."""
    return torch.randn(case.batch, tokens, case.model.width, dtype=dtype, device=device)


def build_workload(
    case: Case,
    subject: Subject,
    *,
    dtype: torch.dtype,
    device: torch.device,
    clock: Clock,
    decode_window: int,
    context: ContextFile | None = None,
    blank_context: bool = False,
) -> Workload:
    """The workload of `case`; allocates its inputs and, for decode, makes the context."""
    if case.mode == "decode":
        capacity = case.length + decode_window
        if blank_context and isinstance(subject, SubjectWithBlankState):
            start = subject.blank_state(case.batch, case.length - 1, capacity=capacity)
        else:
            start = _context(case, subject, dtype, device, capacity, context)
        return _decode(case, subject, dtype, device, clock, decode_window, start)
    inputs = make_input(case, case.length, dtype, device)
    # A model that writes into its input gets a fresh one for every call, made off the clock.
    changes = getattr(subject, "changes_input", False)
    if case.mode == "train":

        def run(given: Any) -> tuple[Tensor, Any]:
            return subject.train_step(given if changes else inputs), None

    elif case.mode == "prefill":

        def run(given: Any) -> tuple[Tensor, Any]:
            return subject.prefill(given if changes else inputs)

    elif case.mode == "read":

        def run(given: Any) -> tuple[Tensor, Any]:
            return subject.read(given if changes else inputs)

    else:

        def run(given: Any) -> tuple[Tensor, Any]:
            state = subject.initial_state(case.batch, capacity=case.length)
            return _steps(subject, given.unbind(1) if changes else tokens, state)

        tokens = inputs.unbind(1)

    repeats = 0

    def take_fresh() -> tuple[float, ...]:
        given = inputs.clone()
        return (clock.time(lambda: run(given)),)

    def take() -> tuple[float, ...]:
        nonlocal repeats
        if not repeats:
            one_call_s = clock.time(lambda: run(None))
            repeats = block_size(one_call_s)
            if repeats == 1:
                return (one_call_s,)
        return (clock.time(lambda: run(None), repeats) / repeats,)

    if changes:
        return Workload(prepare=inputs.clone, run=run, take=take_fresh)
    return Workload(prepare=lambda: None, run=run, take=take)


def _steps(subject: Subject, tokens: Sequence[Tensor], state: Any) -> tuple[Tensor, Any]:
    """Read the tokens one by one: the last output, and the state after it."""
    output = tokens[0]
    for token in tokens:
        output, state = subject.decode(token, state)
    return output, state


@contextmanager
def _all_cores() -> Iterator[None]:
    """Lend all cores to work that nobody times: a long context can take half a minute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    yield
    torch.set_num_threads(threads)


def _context(
    case: Case,
    subject: Subject,
    dtype: torch.dtype,
    device: torch.device,
    capacity: int,
    kept: ContextFile | None,
) -> Any:
    """The state after n - 1 tokens, however the subject comes by it cheapest."""
    if case.length == 1:
        return subject.initial_state(case.batch, capacity=capacity)

    def make() -> Any:
        context = make_input(case, case.length - 1, dtype, device)
        if case.memory_cap_bytes is not None:
            return subject.prefill(context, capacity=capacity)[1]
        with _all_cores():
            return subject.context(context, capacity=capacity)

    # Under a cap every process shows for itself that the context fits its prefill.
    shared = kept if case.memory_cap_bytes is None else None
    return make() if shared is None else shared.state(make, device)


def _decode(
    case: Case,
    subject: Subject,
    dtype: torch.dtype,
    device: torch.device,
    clock: Clock,
    window: int,
    start: Any,
) -> Workload:
    """Steps at a context: from `start`, the state after n - 1 tokens.

    A pass is the step to token n, then `window` steps after it. At a power of two the first one
    is where an LMN rebuilds every level; the window after it holds the usual share of merges.
    """
    # The same tokens whether the context was prefilled here or handed on.
    torch.manual_seed(0)
    inputs = make_input(case, window + 1, dtype, device)
    changes = getattr(subject, "changes_input", False)

    as_they_are = inputs.unbind(1)

    def fresh() -> tuple[Tensor, ...]:
        return inputs.clone().unbind(1) if changes else as_they_are

    _, at_length = subject.decode(fresh()[0], subject.copy_state(start))
    state_bytes = subject.state_bytes(at_length)
    del at_length

    copy = _state_copier(case, subject, start)

    def take() -> tuple[float, ...]:
        state, tokens = copy(), fresh()
        samples = []
        for token in tokens:

            def step(token: Tensor = token) -> None:
                nonlocal state
                _, state = subject.decode(token, state)

            samples.append(clock.time(step))
        return tuple(samples)

    return Workload(
        prepare=copy,
        run=lambda state: _steps(subject, fresh(), state),
        take=take,
        steps=window + 1,
        first_step=1,
        state_bytes=state_bytes,
    )


def _state_copier(case: Case, subject: Subject, start: Any) -> Callable[[], Any]:
    """Makes copies of `start`, one at a time."""
    if not (case.cuda_graph and isinstance(subject, SubjectWithGraphs)):
        return lambda: subject.copy_state(start)
    kept: Any = None

    def copy() -> Any:
        # CUDA graphs are of a state's own memory: a copy in other memory would record them anew.
        nonlocal kept
        first = kept is None
        kept = subject.copy_state(start) if first else subject.restore_state(start, kept)
        return kept

    return copy
