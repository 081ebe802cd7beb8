"""Random numbers that are a function of what they are for, never of what was drawn before.

A run that is resumed at step 1,000 draws what an uninterrupted one draws there, and every subject
sees the same data in the same order.
"""

from __future__ import annotations

import hashlib
from typing import Literal, get_args

import numpy as np

from lmn_bench.errors import UsageError
from lmn_bench.learning.checks import check_count

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
_LARGEST = 2**64 - 1


def stream(purpose: str, *, seed: int, step: int, split: Split) -> np.random.Generator:
    """The random numbers of one step of one split.

    The generator is counter-based (Philox 4x64, Salmon et al., 2011: a bijection of a 256-bit
    counter). Split and step are the two high words of the counter and draws advance the two low
    ones, so that numbers of two steps, or of training and test, never come from one counter.

    Args:
        purpose: what is drawn, such as "mqar"; with the seed it is the key.
        seed: 0 to 2^64 - 1.
        step: 0 to 2^64 - 1; of a test split, which batch it is.
        split: "train" or "test".

    Raises:
        UsageError: a number out of range, or another split.
    """
    check_count("seed", seed, 0, _LARGEST)
    check_count("step", step, 0, _LARGEST)
    if split not in SPLITS:
        raise UsageError(f"expected split 'train' or 'test', got {split!r}")
    digest = hashlib.sha256(purpose.encode()).digest()
    key = np.array([seed, int.from_bytes(digest[:8], "little")], dtype=np.uint64)
    counter = np.array([0, 0, step, SPLITS.index(split)], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))
