"""Copying: a whole string, or the data tokens among noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lmn_bench.learning.batches import NOT_ASKED, Batch
from lmn_bench.learning.checks import check_count
from lmn_bench.learning.streams import Split, stream


@dataclass(frozen=True)
class SelectiveCopying:
    """Data tokens at random places amid noise, then as many marks: repeat the data in order.

    Source: Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces",
    arXiv 2312.00752, section 4.1.1 and appendix E.1. Published: length 4,096, vocabulary 16 with
    the noise, 16 data tokens; 2 layers of width 64, 400,000 steps, batch 64, learning rate 1e-4
    constant. The authors released no generator. Ours counts the marks in the length and in the
    vocabulary: id 0 is noise, the last id the mark, 14 are left for data.

    Attributes:
        length: tokens of an example, marks included.
        data_tokens: how many are to be repeated; data are drawn with replacement.
        vocabulary_size: noise, mark and data.
    """

    length: int = 4096
    data_tokens: int = 16
    vocabulary_size: int = 16

    kind: ClassVar[str] = "selective-copying"

    def __post_init__(self) -> None:
        check_count("data_tokens", self.data_tokens, 1)
        check_count("length", self.length, 2 * self.data_tokens)
        check_count("vocabulary_size", self.vocabulary_size, 3)

    @property
    def chance(self) -> float:
        """1 in all data tokens: they are equally likely."""
        return 1 / (self.vocabulary_size - 2)

    def batch(self, size: int, *, seed: int, step: int, split: Split = "train") -> Batch:
        """As `Task.batch`."""
        check_count("batch", size, 1)
        random = stream(self.kind, seed=seed, step=step, split=split)
        memory = self.length - self.data_tokens
        data = random.integers(1, self.vocabulary_size - 1, size=(size, self.data_tokens))
        # the places of the smallest of as many random numbers, in order
        order = np.argpartition(random.random((size, memory)), self.data_tokens - 1, axis=1)
        places = np.sort(order[:, : self.data_tokens], axis=1)
        inputs = np.zeros((size, self.length), dtype=np.int64)
        np.put_along_axis(inputs, places, data, axis=1)
        inputs[:, memory:] = self.vocabulary_size - 1
        targets = np.full_like(inputs, NOT_ASKED)
        targets[:, memory:] = data
        return Batch(inputs, targets)


@dataclass(frozen=True)
class Copy:
    """A random string, a mark, and the string again, of which every token is asked for.

    The string's second coming is in the input, shifted by one (teacher forcing), so that to look
    up what followed the last few tokens is a way to solve it.

    Source: Jelassi et al., "Repeat After Me: Transformers are Better than State Space Models at
    Copying", arXiv 2402.01032, section 3; code sjelassi/transformers_ssm_copy, synthetic_exps.
    Its code trains on strings of 8 to 50 of up to 26 letters, packed into 220 tokens with marks
    at their ends, and tests on 40 to 200. Ours has one string per example, of one length, and
    therefore needs no mark for its end.

    Attributes:
        string_tokens: of the string.
        vocabulary_size: the letters, from id 0, and the mark, the last id.
    """

    string_tokens: int = 50
    vocabulary_size: int = 27

    kind: ClassVar[str] = "copy"

    def __post_init__(self) -> None:
        check_count("string_tokens", self.string_tokens, 1)
        check_count("vocabulary_size", self.vocabulary_size, 2)

    @property
    def length(self) -> int:
        """Twice the string: the mark stands in for the last token, which is only a target."""
        return 2 * self.string_tokens

    @property
    def chance(self) -> float:
        """1 in all letters: they are equally likely."""
        return 1 / (self.vocabulary_size - 1)

    def batch(self, size: int, *, seed: int, step: int, split: Split = "train") -> Batch:
        """As `Task.batch`."""
        check_count("batch", size, 1)
        random = stream(self.kind, seed=seed, step=step, split=split)
        letters = self.vocabulary_size - 1
        string = random.integers(letters, size=(size, self.string_tokens))
        mark = np.full((size, 1), letters)
        inputs = np.concatenate([string, mark, string[:, :-1]], axis=1)
        targets = np.full_like(inputs, NOT_ASKED)
        targets[:, self.string_tokens :] = string
        return Batch(inputs, targets)
