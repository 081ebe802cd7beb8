"""Multi-query associative recall: pairs of key and value, then keys whose value is asked.

Source: Arora et al., "Zoology: Measuring and Improving Recall in Efficient Language Models",
arXiv 2312.04927, section 4 and appendix; code HazyResearch/zoology, zoology/data/multiquery_ar.py.

Published for figure 2: vocabulary 8,192; (length, pairs) = (64, 4), (128, 8), (256, 16), (512, 64);
100,000 training and 3,000 test examples, 64 epochs; batch 512, 256 at length 256, 128 at 512; two
layers of width 64 to 512; AdamW, weight decay 0.1, learning rate the best of 4 from 1e-4 to 1e-2;
gaps by a power law with a = 0.01; positions that ask nothing hold zeros. Later work by the authors
fills them with random tokens: `filler = "random"`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np

from lmn_bench.errors import UsageError
from lmn_bench.learning.batches import NOT_ASKED, Batch, Tokens
from lmn_bench.learning.checks import check_count
from lmn_bench.learning.streams import Split, stream
from lmn_bench.learning.tasks.protocol import without_replacement

Filler = Literal["zero", "random"]


@dataclass(frozen=True)
class MultiQueryRecall:
    """`pairs` of key and value, then every key once more, at a gap that follows a power law.

    Id 0 is the filler, ids from 1 below half of the vocabulary are keys, the rest values. Keys
    and values of an example are each drawn without replacement. After the pairs come slots of
    two tokens; a slot that holds a key asks there for its value. Slot i, from 1, is taken with
    probability proportional to i^(gap_power - 1): near ones mostly, as repeated bigrams in text.

    Attributes:
        length: tokens of an example; even.
        pairs: of key and value; each takes four tokens, two of them when it is asked for.
        vocabulary_size: keys, values and the filler; even.
        gap_power: `a` of the power law; 1 is uniform.
        filler: "zero", or "random" tokens of the whole vocabulary, where nothing is asked.
    """

    length: int = 64
    pairs: int = 4
    vocabulary_size: int = 8192
    gap_power: float = 0.01
    filler: Filler = "zero"

    kind: ClassVar[str] = "mqar"

    def __post_init__(self) -> None:
        check_count("pairs", self.pairs, 1)
        check_count("length", self.length, 4 * self.pairs)
        check_count("vocabulary_size", self.vocabulary_size, 4)
        if self.length % 2 or self.vocabulary_size % 2:
            raise UsageError(
                f"expected an even length and an even vocabulary_size, got {self.length} "
                f"and {self.vocabulary_size}"
            )
        if self.pairs >= self.vocabulary_size // 2:
            raise UsageError(
                f"{self.pairs} different keys need a vocabulary_size of at least "
                f"{2 * self.pairs + 2}, got {self.vocabulary_size}"
            )
        if not isinstance(self.gap_power, int | float) or not 0 < self.gap_power <= 1:
            raise UsageError(f"gap_power: expected a number above 0 to 1, got {self.gap_power!r}")
        if self.filler not in get_args(Filler):
            raise UsageError(f"filler: expected 'zero' or 'random', got {self.filler!r}")

    @property
    def chance(self) -> float:
        """1 in all values: they are equally likely."""
        return 1 / (self.vocabulary_size - self.vocabulary_size // 2)

    @property
    def chance_among_shown(self) -> float:
        """1 in the values of the example: who remembers the values but not what they go with."""
        return 1 / self.pairs

    def batch(self, size: int, *, seed: int, step: int, split: Split = "train") -> Batch:
        """As `Task.batch`."""
        check_count("batch", size, 1)
        random = stream(self.kind, seed=seed, step=step, split=split)
        half = self.vocabulary_size // 2
        keys = 1 + without_replacement(random, size, self.pairs, half - 1)
        values = half + without_replacement(random, size, self.pairs, half)
        asked = 2 * self.pairs + 2 * self._slots(random, size)
        inputs = np.zeros((size, self.length), dtype=np.int64)
        inputs[:, 0 : 2 * self.pairs : 2] = keys
        inputs[:, 1 : 2 * self.pairs : 2] = values
        np.put_along_axis(inputs, asked, keys, axis=1)
        if self.filler == "random":
            noise = random.integers(self.vocabulary_size, size=inputs.shape)
            inputs = np.where(inputs == 0, noise, inputs)
        targets = np.full_like(inputs, NOT_ASKED)
        np.put_along_axis(targets, asked, values, axis=1)
        return Batch(inputs, targets)

    def _slots(self, random: np.random.Generator, size: int) -> Tokens:
        """(size, pairs): the slot in which each pair is asked for, from 0.

        Slots are drawn one after the other without replacement, by the order of exponential
        clocks whose rates are the weights (Efraimidis and Spirakis, 2006).
        """
        slots = (self.length - 2 * self.pairs) // 2
        weights = np.arange(1, slots + 1) ** (self.gap_power - 1.0)
        rings = random.standard_exponential((size, slots)) / weights
        return np.argsort(rings, axis=1)[:, : self.pairs]
