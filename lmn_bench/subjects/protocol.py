"""What a subject offers to be measured: training, prefill, reading on and on, decoding.

A subject works on vectors, (batch, tokens, width) in and out: embedding and vocabulary are the same
for every family and would only dilute what is measured.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from lmn_bench.schema import MODES

# Whatever a subject needs to go on decoding; opaque to everyone but the subject that made it.
State = Any

# The methods that each mode calls. `parameters` is needed by all of them.
METHODS_OF_MODE: dict[str, tuple[str, ...]] = {
    "train": ("train_step",),
    "prefill": ("prefill", "state_bytes"),
    "read": ("read", "state_bytes"),
    "decode": ("prefill", "decode", "copy_state", "state_bytes"),
    "stream": ("initial_state", "decode", "state_bytes"),
}
assert METHODS_OF_MODE.keys() == MODES.keys()


@runtime_checkable
class Subject(Protocol):
    """A model under measurement.

    Nothing about a sequence is hidden in the model: the state is passed in and handed back.
    """

    def train_step(self, x: Tensor) -> Tensor:
        """Forward and backward over `x` (batch, tokens, width); the loss, detached.

        Gradients are cleared first, so repeated calls do the same work. `x` needs no gradient of
        its own. The loss of every subject is `sequence_loss`.
        """
        ...

    def prefill(self, x: Tensor, *, capacity: int | None = None) -> tuple[Tensor, State]:
        """Read a whole sequence at once.

        Args:
            x: (batch, tokens, width).
            capacity: tokens that the state has to have room for in all, those of `x` included;
                `None` means exactly those. Only preallocated caches care.

        Returns:
            The outputs (batch, tokens, width) and the state from which `decode` goes on.
        """
        ...

    def read(self, x: Tensor) -> tuple[Tensor, State]:
        """Read a whole sequence in memory that doesn't grow with it, whatever the state does.

        Args:
            x: (batch, tokens, width).

        Returns:
            The output of the last token (batch, width) and the state from which `decode` goes on:
            those of `prefill`.
        """
        ...

    def context(self, x: Tensor, *, capacity: int) -> State:
        """The state after `x`, equal to that of `prefill`, made in the cheapest way there is.

        Nobody times it: decode is measured after it.
        """
        ...

    def initial_state(self, batch: int, *, capacity: int) -> State:
        """The state of no tokens, with room for `capacity`."""
        ...

    def decode(self, x_t: Tensor, state: State) -> tuple[Tensor, State]:
        """Read one token (batch, width); its output (batch, width) and the state after it.

        `state` may be used up: copy it first where it is still needed.
        """
        ...

    def copy_state(self, state: State) -> State:
        """An independent copy: decoding from it leaves the original as it was."""
        ...

    def state_bytes(self, state: State) -> int:
        """Bytes that must be kept to decode on: of the tokens read, without unused capacity."""
        ...

    @property
    def can_compile(self) -> bool:
        """Whether `compile_for` is there."""
        ...

    def compile_for(self, mode: str) -> None:
        """From here on, what `mode` computes goes through torch.compile."""
        ...

    def parameters(self) -> Iterable[nn.Parameter]:
        """The trainable numbers."""
        ...

    def slots(self, length: int) -> int | None:
        """Vectors that token `length` (counted from 1) attends to; `None` without attention."""
        ...


@runtime_checkable
class SubjectWithBlankState(Subject, Protocol):
    """A model that can be put before a context without reading it."""

    def blank_state(self, batch: int, tokens: int, *, capacity: int) -> State:
        """A state of the size that it has after `tokens` tokens, of arbitrary numbers.

        What decoding takes, in time and memory, does not depend on the numbers: so a context can
        be sized that would take hours to read.
        """
        ...


@runtime_checkable
class SubjectWithGraphs(Subject, Protocol):
    """A model whose `decode` can run as CUDA graphs, recorded for the memory of a state."""

    def use_cuda_graphs(self) -> None:
        """From here on, `decode` runs as CUDA graphs."""
        ...

    def restore_state(self, state: State, into: State) -> State:
        """As `copy_state`, in the memory of `into`, an earlier copy, so that graphs stay valid."""
        ...


def sequence_loss(output: Tensor) -> Tensor:
    """The loss that every subject trains on: the mean of the squared outputs, a scalar.

    It needs no target, costs next to nothing, and its gradient is dense, as a real loss's is.
    """
    return output.square().mean()


# The grad mode of calls that are not training.
INFERENCE = "inference_mode"


def calls_of(subject: object) -> AbstractContextManager[object]:
    """The grad mode in which a subject is called but for training: inference mode if it can."""
    calls = getattr(subject, "calls", None)
    found: AbstractContextManager[object] = calls() if calls else torch.inference_mode()
    return found


def lacking(subject: object, name: str, mode: str) -> str:
    """That `subject` has no `mode`, why if it tells, and what it has."""
    why = getattr(subject, "lacks", {}).get(mode)
    has = ", ".join(sorted(supported_modes(subject)))
    return f"{name} has no {mode}{f' ({why})' if why else ''}; it has {has}"


def supported_modes(subject: object) -> frozenset[str]:
    """The modes that `subject` has the methods for.

    An adapter knows best what its model can do and says so in `modes`.
    """
    modes = getattr(subject, "modes", None)
    if isinstance(modes, frozenset):
        return modes
    return frozenset(
        mode
        for mode, methods in METHODS_OF_MODE.items()
        if all(callable(getattr(subject, method, None)) for method in methods)
    )
