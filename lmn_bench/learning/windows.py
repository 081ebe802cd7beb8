"""A corpus as token ids, cut into training and validation, and the batches of both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmn_bench.errors import UsageError
from lmn_bench.learning.batches import Batch
from lmn_bench.learning.checks import check_count
from lmn_bench.learning.streams import stream

# The last tenth is held out, as the published notebook and most of the field do.
_TRAINING_TENTHS = 9


@dataclass(frozen=True, eq=False)
class TextWindows:
    """Windows of a text; the target of a token is the next one.

    Attributes:
        training: (tokens,) the first 90 %.
        validation: (tokens,) the rest.
        length: tokens of a window.
    """

    training: NDArray[np.int32]
    validation: NDArray[np.int32]
    length: int

    def training_batch(self, size: int, *, seed: int, step: int) -> Batch:
        """`size` windows at random places, the same for every subject.

        A function of the corpus, the seed and the step alone, so that a run that is resumed goes
        on with the same numbers. Windows are drawn uniformly and may overlap.

        Raises:
            UsageError: a size, seed or step out of range.
        """
        check_count("batch", size, 1)
        random = stream("text windows", seed=seed, step=step, split="train")
        starts = random.integers(len(self.training) - self.length, size=size)
        return self._windows(self.training, starts)

    @property
    def validation_windows(self) -> int:
        """How many windows side by side the validation part holds."""
        return (len(self.validation) - 1) // self.length

    def validation_batches(self, size: int, *, limit: int | None = None) -> Iterator[Batch]:
        """Windows of the validation part side by side, always the same ones.

        The last batch may be smaller: weigh a batch's mean by its windows.

        Args:
            size: windows in a batch.
            limit: at most so many windows, spread evenly; all by default.

        Raises:
            UsageError: a size or limit below 1.
        """
        check_count("batch", size, 1)
        if limit is not None:
            check_count("limit", limit, 1)
        count = min(limit or self.validation_windows, self.validation_windows)
        starts = np.arange(count) * self.validation_windows // count * self.length
        return (
            self._windows(self.validation, starts[first : first + size])
            for first in range(0, count, size)
        )

    def _windows(self, tokens: NDArray[np.int32], starts: NDArray[np.int64]) -> Batch:
        # (windows, length + 1): the last token is only ever a target
        read = tokens[starts[:, None] + np.arange(self.length + 1)].astype(np.int64)
        return Batch(np.ascontiguousarray(read[:, :-1]), np.ascontiguousarray(read[:, 1:]))


def cut_windows(tokens: NDArray[np.int32], length: int, name: str = "the corpus") -> TextWindows:
    """The first 90 % of a corpus for training, the last 10 % for validation.

    Args:
        tokens: (tokens,) ids of the whole corpus.
        length: tokens of a window; each part has to hold one, and a token after it.
        name: of the corpus, for errors.

    Raises:
        UsageError: a length below 1, or a corpus too short for it.
    """
    check_count("length", length, 1)
    training = len(tokens) * _TRAINING_TENTHS // 10
    held_out = len(tokens) - training
    if min(training, held_out) < length + 1:
        longest = min(training, held_out) - 1
        raise UsageError(
            f"{name} is too short: of its {len(tokens):,} tokens {held_out:,} "
            f"{'is' if held_out == 1 else 'are'} held out for validation, and a window of length "
            f"{length:,} needs {length + 1:,}",
            (f"use a length of at most {longest:,}, or " if longest > 0 else "use ")
            + f"a longer corpus: {10 * length + 1:,} tokens at least",
        )
    return TextWindows(tokens[:training], tokens[training:], length)
