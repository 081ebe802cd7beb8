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
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

# A shorter prefill isn't worth the copy.
WORTH_KEEPING_S = 1.0


class ContextFile:
    """Where one case keeps its state between processes: a file, empty at first.

    Named, not open: a model cannot write into it by chance, nor close it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def state(self, prefill: Callable[[], Any], device: torch.device) -> Any:
        """The state that an earlier process kept, or that of `prefill`, kept if it took long."""
        if self._size():
            with self._path.open("rb") as file:
                # Written by ourselves, into memory that nobody else can reach.
                return torch.load(file, map_location=device, weights_only=False)
        begin = time.perf_counter()
        state = prefill()
        if time.perf_counter() - begin >= WORTH_KEEPING_S:
            self._keep(state)
        return state

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:  # a system that hides what other processes have open
            return 0

    def _keep(self, state: Any) -> None:
        try:
            with self._path.open("wb") as file:
                torch.save(state, file)
        except Exception:
            # A user's state may hold anything; then every process prefills for itself.
            with suppress(OSError):
                os.truncate(self._path, 0)
