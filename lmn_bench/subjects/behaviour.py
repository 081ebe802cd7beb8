"""What a user's model does that it should not: it remembers, draws lots, or takes the wrong axis.

A model whose output depends on more than its input (and state) has no time per call that a reader
could make use of: every call is another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

Run = Callable[[Tensor], Tensor]
Same = Callable[[Tensor, Tensor], bool]

RANDOM = (
    "draws random numbers outside of training: the same input gave two outputs; switch them off "
    "there, as in F.dropout(x, p, training=self.training)"
)
REMEMBERS = (
    "depends on what the model read before: the same input gave two outputs; what it keeps inside "
    "itself belongs into the state that it returns"
)
HIDDEN = (
    "depends on what the model read besides: copies of one state gave two outputs; what it keeps "
    "inside itself belongs into the state that it returns"
)
COPIES_SHARED = (
    "depends on what was read from a copy of its state: copy_state must give one that shares no "
    "memory with it"
)
SWAPPED = (
    "reads the batch as the sequence: an example changes what is given for others, a token for no "
    "other token; inputs are (batch, tokens, width), so torch's layers need batch_first=True"
)


def why_not_repeatable(run: Run, x: Tensor, other: Tensor, same: Same) -> str | None:
    """Why the same input does not give the same output, or None where it does.

    Args:
        run: one call.
        x: an input.
        other: another one of the same shape.
        same: whether two outputs are equal but for rounding.
    """
    # All alive at once: the memory of one that is gone would be that of the next.
    given = x.clone(), other.clone(), x.clone(), x.clone()
    first, of_other, again = map(run, given[:3])
    if not same(first, again):
        return RANDOM if agrees_when_seeded(lambda: run(x.clone()), same) else REMEMBERS
    reused = given[3]
    run(reused)
    # The same memory with other numbers: whoever knows it by its address gives the old output.
    reused.copy_(other)
    return None if same(of_other, run(reused)) else REMEMBERS


def agrees_when_seeded(call: Callable[[], Tensor], same: Same) -> bool:
    """Whether two outputs are equal where the random numbers are."""
    seeded = []
    for _ in range(2):
        torch.manual_seed(0)
        seeded.append(call())
    return same(*seeded)


def axis_problems(run: Run, x: Tensor, other: Tensor, same: Same) -> Iterator[tuple[bool, str]]:
    """What is wrong with the axes of a model; True beside what makes it another computation.

    Args:
        run: one call.
        x: an input of two examples and two tokens at least.
        other: another one of the same shape.
        same: whether two outputs are equal but for rounding.
    """
    before = run(x.clone())
    if not _influences(run, x, other, before, same, axis=0):
        return
    if not _influences(run, x, other, before, same, axis=1):
        yield True, SWAPPED
    else:
        yield False, "examples of a batch change each other's outputs"


def _influences(
    run: Run, x: Tensor, other: Tensor, before: Tensor, same: Same, *, axis: int
) -> bool:
    """Whether the first or the last place along an axis changes the output at others."""
    last = x.shape[axis] - 1
    for place, first in ((0, 1), (last, 0)):
        changed = x.clone()
        changed.select(axis, place).copy_(other.select(axis, place))
        after = run(changed)
        if not same(before.narrow(axis, first, last), after.narrow(axis, first, last)):
            return True
    return False


def changes_its_input(run: Run, x: Tensor) -> bool:
    """Whether a call writes into the tensor that it is given."""
    given = x.clone()
    run(given)
    return not torch.equal(given, x)
