"""What every task offers, and what all of them draw with."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from lmn_bench.learning.batches import Batch, Tokens
from lmn_bench.learning.streams import Split


@runtime_checkable
class Task(Protocol):
    """Examples of one size, made afresh for every step.

    A task is a frozen dataclass of its settings. Published tasks with a fixed training set are
    drawn afresh here too: a model has nothing to learn by heart, and steps are what is compared.
    """

    @property
    def kind(self) -> str:
        """Its name among `TASK_KINDS`."""

    @property
    def length(self) -> int:
        """Tokens of an example."""

    @property
    def vocabulary_size(self) -> int:
        """Ids go from 0 to this, itself excluded, in inputs and targets."""

    @property
    def chance(self) -> float:
        """The accuracy of giving always the same answer, the likeliest: no input read."""

    def batch(self, size: int, *, seed: int, step: int, split: Split = "train") -> Batch:
        """`size` examples: (size, length) inputs and targets.

        A function of the settings, the seed, the step and the split alone. Random numbers of
        training and test never overlap (`streams.stream`).

        Raises:
            UsageError: a size, seed or step out of range.
        """


def without_replacement(random: np.random.Generator, rows: int, count: int, choices: int) -> Tokens:
    """In every row, `count` different numbers below `choices` in random order, (rows, count).

    R. W. Floyd's algorithm, a column at a time: work grows with `count`, not with `choices`
    (Bentley and Floyd, 1987, Communications of the ACM 30(9), page 754).
    """
    chosen = np.empty((rows, count), dtype=np.int64)
    for column, last in enumerate(range(choices - count, choices)):
        drawn = random.integers(last + 1, size=rows)
        taken = (chosen[:, :column] == drawn[:, None]).any(axis=1)
        chosen[:, column] = np.where(taken, last, drawn)
    # Which numbers is random by now, their order not yet.
    return random.permuted(chosen, axis=1)
