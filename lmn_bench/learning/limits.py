"""Bounds on settings of a training, shared by suites and configs of `train`."""

from __future__ import annotations

from typing import Final

# A thousand is a million times what is of use; far beyond it torch's own arithmetic overflows.
MAX_LEARNING_RATE: Final = 1000.0
# A block of a million features has 48 TB of weights; squares and products of sizes up to here are
# numbers that floats hold and Python prints.
MAX_WIDTH: Final = 2**20
# Of anything that is counted: tokens, steps, examples. As many as a length may have.
MAX_COUNT: Final = 2**40
# Seconds are added up and told; a day is the longest that anything here may be made to wait.
MAX_WAIT_S: Final = 86_400
# Modules of a layer take a millisecond to build, however narrow.
MAX_LAYERS: Final = 10_000
