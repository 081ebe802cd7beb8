"""Bounds on settings of a training, shared by suites and configs of `train`."""

from __future__ import annotations

from typing import Final

# A thousand is a million times what is of use; far beyond it torch's own arithmetic overflows.
MAX_LEARNING_RATE: Final = 1000.0
# Modules of a layer take a millisecond to build, however narrow.
MAX_LAYERS: Final = 10_000
