"""Long contexts are prefilled once per case: the first process keeps the state for the others.

All processes of a case read the same tokens with the same weights, so the state is the same too;
only what is timed after it must be repeated. A Transformer's prefill of 131,072 tokens takes half a
minute. The state lies in an anonymous file of the fork server: it goes with the server, however
that ends.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import torch

# A shorter prefill isn't worth the copy.
WORTH_KEEPING_S = 1.0


class ContextFile:
    """Where one case keeps its state between processes: an open file, empty at first."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def state(self, prefill: Callable[[], Any], device: torch.device) -> Any:
        """The state that an earlier process kept, or that of `prefill`, kept if it took long."""
        if os.fstat(self._descriptor).st_size:
            with os.fdopen(os.dup(self._descriptor), "rb") as file:
                file.seek(0)
                # Written by ourselves, into memory that nobody else can reach.
                return torch.load(file, map_location=device, weights_only=False)
        begin = time.perf_counter()
        state = prefill()
        if time.perf_counter() - begin >= WORTH_KEEPING_S:
            self._keep(state)
        return state

    def _keep(self, state: Any) -> None:
        try:
            with os.fdopen(os.dup(self._descriptor), "wb") as file:
                file.seek(0)
                torch.save(state, file)
        except Exception:
            # A user's state may hold anything; then every process prefills for itself.
            os.ftruncate(self._descriptor, 0)
