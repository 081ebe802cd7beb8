"""ListOps: the value of nested operations on digits, asked for after the whole expression.

Source: Nangia and Bowman, arXiv 1804.06028, in the long form of Tay et al., "Long Range Arena",
arXiv 2011.04006; code google-research/long-range-arena, lra_benchmarks/data/listops.py. Published:
at most 10 deep, 2 to 10 arguments, more than 500 and fewer than 2,000 tokens; 96,000 training,
2,000 validation and 2,000 test examples; 4 layers of width 512, 8 heads, batch 32, learning rate
0.05 with 1,000 steps of warm-up and an inverse square root decay, weight decay 0.1, 5,000 steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lmn_bench.errors import UsageError
from lmn_bench.learning.batches import NOT_ASKED, Batch
from lmn_bench.learning.checks import check_count
from lmn_bench.learning.streams import Split, stream
from lmn_bench.learning.tasks.listops_values import NESTED, OPERATORS, answer_distribution, value

# Ids: the padding, ten digits, the opened operators, the bracket that closes, the question.
PADDING = 0
DIGITS = range(1, 11)
OPENED = range(11, 11 + len(OPERATORS))
CLOSED = OPENED.stop
ASKED = CLOSED + 1
# Past these the exact chance takes more than seconds, and memory without end.
_LONGEST = 2**14
_DEEPEST = 20
_MOST_ARGUMENTS = 20
# Expressions of fitting length are found by trying; published settings take 12 tries.
_MOST_TRIES = 100_000
_DRAWN_AT_ONCE = 8192


class _TooLongError(Exception):
    """An expression has outgrown its room: no need to write the rest."""


@dataclass(frozen=True)
class ListOps:
    """Expressions such as [MAX 2 [MIN 4 7 ] 0 ], and one question for their value, a digit.

    A position is an operator with probability 1/4 unless it lies `depth` deep, with 2 to
    `arguments` arguments; expressions are drawn until one has a fitting length. A mark after the
    expression asks for its value, since a causal model has no other place that knows the end has
    come; padding follows. The value of a median of an even number of digits is rounded down.

    Attributes:
        length: tokens of an example: the expression's at most, and the mark.
        shortest: tokens of an expression at least.
        depth: of the nesting at most, digits included.
        arguments: of an operator at most.
    """

    length: int = 2000
    shortest: int = 501
    depth: int = 10
    arguments: int = 10

    kind: ClassVar[str] = "listops"
    vocabulary_size: ClassVar[int] = ASKED + 1

    def __post_init__(self) -> None:
        check_count("depth", self.depth, 2, _DEEPEST)
        check_count("arguments", self.arguments, 2, _MOST_ARGUMENTS)
        # Shorter than an operator with two arguments is a digit, which asks nothing.
        check_count("shortest", self.shortest, 4, _LONGEST - 1)
        check_count("length", self.length, self.shortest + 1, _LONGEST)
        longest = 1
        for _ in range(self.depth - 1):
            longest = 2 + self.arguments * longest
        if self.shortest > longest:
            raise UsageError(
                f"no expression {self.depth} deep with {self.arguments} arguments has "
                f"{self.shortest} tokens: the longest has {longest}",
                "allow more depth or arguments, or shorter expressions",
            )

    @property
    def chance(self) -> float:
        """The share of the commonest value, exactly: values are not equally likely."""
        return float(self.answers.max())

    @property
    def answers(self) -> NDArray[np.float64]:
        """(10,): the probability of each digit to be the value of an example."""
        return answer_distribution(self.depth, self.arguments, self.shortest, self.length - 1)

    def batch(self, size: int, *, seed: int, step: int, split: Split = "train") -> Batch:
        """As `Task.batch`; digit d has id 1 + d.

        Raises:
            UsageError: also where expressions of a fitting length hardly ever come.
        """
        check_count("batch", size, 1)
        numbers = _numbers(stream(self.kind, seed=seed, step=step, split=split))
        inputs = np.full((size, self.length), PADDING, dtype=np.int64)
        targets = np.full_like(inputs, NOT_ASKED)
        for row in range(size):
            tokens, answer = self._expression(numbers)
            inputs[row, : len(tokens)] = tokens
            inputs[row, len(tokens)] = ASKED
            targets[row, len(tokens)] = DIGITS[answer]
        return Batch(inputs, targets)

    def _expression(self, numbers: Iterator[float]) -> tuple[list[int], int]:
        """The ids of an expression of fitting length, and its value."""
        for _ in range(_MOST_TRIES):
            tokens: list[int] = []
            try:
                answer = self._write(tokens, numbers, 1)
            except _TooLongError:
                continue
            if self.shortest <= len(tokens) < self.length:
                return tokens, answer
        raise UsageError(
            f"of {_MOST_TRIES:,} random expressions none has {self.shortest} to "
            f"{self.length - 1} tokens",
            "allow more lengths, or other depths and arguments",
        )

    def _write(self, tokens: list[int], numbers: Iterator[float], depth: int) -> int:
        """Append a random expression to `tokens`; gives its value."""
        if len(tokens) >= self.length:
            raise _TooLongError
        if depth == self.depth or next(numbers) >= NESTED:
            digit = int(next(numbers) * 10)
            tokens.append(DIGITS[digit])
            return digit
        operator = int(next(numbers) * len(OPERATORS))
        arguments = 2 + int(next(numbers) * (self.arguments - 1))
        tokens.append(OPENED[operator])
        values = [self._write(tokens, numbers, depth + 1) for _ in range(arguments)]
        tokens.append(CLOSED)
        return value(OPERATORS[operator], values)


def _numbers(random: np.random.Generator) -> Iterator[float]:
    """Random numbers from 0 to 1 one by one; drawn singly they take ten times as long."""
    while True:
        yield from random.random(_DRAWN_AT_ONCE).tolist()
