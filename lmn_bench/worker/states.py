"""The state of a user's model is all that decoding depends on, or it is incorrect."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lmn_bench.errors import SubjectError
from lmn_bench.subjects.behaviour import COPIES_SHARED, HIDDEN, RANDOM, Same, agrees_when_seeded
from lmn_bench.subjects.protocol import State
from lmn_bench.subjects.user import MODES_HINT, UserModel
from lmn_bench.worker.checks import IncorrectSubjectError

# Tokens read on before the same state is asked again.
_STEPS_BETWEEN = 3


def check_states(
    subject: UserModel, x: Tensor, other: Tensor, head: int, same: Same
) -> tuple[bool, bool]:
    """Decode from copies of one state, with other continuations and sequences in between.

    Args:
        subject: decodes.
        x: (batch, tokens, width), more tokens than `head`.
        other: likewise, another sequence.
        head: tokens that the state is of.
        same: whether two outputs are equal but for rounding.

    Returns:
        Whether decode depends on what was read although the state has no bytes, and whether it
        writes into its token.

    Raises:
        IncorrectSubjectError: the state is not all that it depends on.
    """
    capacity, token = head + _STEPS_BETWEEN + 1, x[:, head]
    _, state = subject.prefill(x[:, :head].clone(), capacity=capacity)

    def from_state() -> Tensor:
        return step(subject, token.clone(), subject.copy_state(state))[0]

    first = from_state()
    going_on = subject.copy_state(state)
    for _ in range(_STEPS_BETWEEN):
        _, going_on = step(subject, other[:, head].clone(), going_on)
    _, of_other = subject.prefill(other[:, :head].clone(), capacity=capacity)
    elsewhere, _ = step(subject, token.clone(), of_other)
    for again in (from_state(), step(subject, token.clone(), state)[0]):
        if not same(first, again):
            raise IncorrectSubjectError(f"decode {_why(subject, from_state, same)}")
    _, state = subject.prefill(x[:, :head].clone(), capacity=capacity)
    given = token.clone()
    hides = subject.state_bytes(state) == 0 and not same(first, elsewhere)
    step(subject, given, state)
    return hides, not torch.equal(given, token)


def check_stream(subject: UserModel, x: Tensor, other: Tensor, same: Same) -> bool:
    """Read two sequences in turns from nothing, and the first once more alone.

    Returns:
        Whether decode writes into its token.

    Raises:
        IncorrectSubjectError: what came of the first depends on the second.
    """

    def alone() -> Tensor:
        outputs, state = [], subject.initial_state(x.shape[0], capacity=x.shape[1])
        for token in x.unbind(1):
            output, state = step(subject, token.clone(), state)
            outputs.append(output)
        return torch.stack(outputs, dim=1)

    first = alone()
    outputs = []
    states = [subject.initial_state(x.shape[0], capacity=x.shape[1]) for _ in range(2)]
    for one, two in zip(x.unbind(1), other.unbind(1), strict=True):
        output, states[0] = step(subject, one.clone(), states[0])
        _, states[1] = step(subject, two.clone(), states[1])
        outputs.append(output)
    if not same(first, torch.stack(outputs, dim=1)):
        raise IncorrectSubjectError(f"decode {_why(subject, alone, same)}")
    given = x[:, 0].clone()
    step(subject, given, subject.initial_state(x.shape[0], capacity=x.shape[1]))
    return not torch.equal(given, x[:, 0])


def step(subject: UserModel, token: Tensor, state: State) -> tuple[Tensor, State]:
    """One step, its result looked at.

    Raises:
        SubjectError: it is not an output of the token's shape and a state.
    """
    result = subject.decode(token, state)
    if not (isinstance(result, tuple) and len(result) == 2):
        raise SubjectError(
            f"{subject.name}: decode returned {type(result).__name__}, not (output, state)",
            MODES_HINT,
        )
    output = result[0]
    if not isinstance(output, Tensor) or output.shape != token.shape:
        got = (
            f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
        )
        raise SubjectError(
            f"{subject.name}: decode gave {got} for {token.dtype} of shape {tuple(token.shape)}",
            "a subject's outputs have the shape and type of its inputs",
        )
    return result


def _why(subject: UserModel, call: Callable[[], Tensor], same: Same) -> str:
    if agrees_when_seeded(call, same) and not same(call(), call()):
        return RANDOM
    return COPIES_SHARED if callable(getattr(subject.model, "copy_state", None)) else HIDDEN
