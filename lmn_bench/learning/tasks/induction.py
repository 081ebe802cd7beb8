"""Induction heads: a trigger comes twice; what followed it the first time?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lmn_bench.learning.batches import NOT_ASKED, Batch
from lmn_bench.learning.checks import check_count
from lmn_bench.learning.streams import Split, stream


@dataclass(frozen=True)
class InductionHeads:
    """Random tokens, among them a trigger; the last token is the trigger again.

    Source: Gu and Dao, arXiv 2312.00752, section 4.1.2 and appendix E.1, after Dao et al., "Hungry
    Hungry Hippos", arXiv 2212.14052. Published: trained at length 256 with vocabulary 16, tested
    from 2^6 to 2^20; 2 layers of width 64, batch 8 drawn afresh at every step, 204,800 steps,
    Adam without weight decay, learning rate 2e-4 or 1e-3. The authors released no generator. Ours
    counts the trigger, the last id, in the vocabulary, and its first coming is equally likely at
    every place that leaves room for a token after it.

    Attributes:
        length: tokens of an example, the last trigger included.
        vocabulary_size: the trigger and all others.
    """

    length: int = 256
    vocabulary_size: int = 16

    kind: ClassVar[str] = "induction-heads"

    def __post_init__(self) -> None:
        check_count("length", self.length, 3)
        check_count("vocabulary_size", self.vocabulary_size, 2)

    @property
    def chance(self) -> float:
        """1 in all tokens but the trigger: they are equally likely."""
        return 1 / (self.vocabulary_size - 1)

    def batch(self, size: int, *, seed: int, step: int, split: Split = "train") -> Batch:
        """As `Task.batch`."""
        check_count("batch", size, 1)
        random = stream(self.kind, seed=seed, step=step, split=split)
        trigger = self.vocabulary_size - 1
        inputs = random.integers(trigger, size=(size, self.length))
        rows = np.arange(size)
        first = random.integers(self.length - 2, size=size)
        inputs[rows, first] = trigger
        inputs[:, -1] = trigger
        targets = np.full_like(inputs, NOT_ASKED)
        targets[:, -1] = inputs[rows, first + 1]
        return Batch(inputs, targets)
