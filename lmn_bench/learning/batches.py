"""A batch: what a model reads, and what it is asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# What torch's cross entropy leaves out by default (`ignore_index`).
NOT_ASKED = -100

Tokens = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Batch:
    """Token ids and, for every position, the id that a causal model should answer there.

    Attributes:
        inputs: (batch, length) int64.
        targets: (batch, length) int64; `NOT_ASKED` where nothing is asked. The answer at a
            position depends on the inputs up to it, that position included.
    """

    inputs: Tokens
    targets: Tokens

    @property
    def asked(self) -> NDArray[np.bool_]:
        """(batch, length): where an answer is asked for."""
        asked: NDArray[np.bool_] = self.targets != NOT_ASKED
        return asked
