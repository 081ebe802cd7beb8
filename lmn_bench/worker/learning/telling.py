"""What a learning process tells its parent, and how often."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

Tell = Callable[[dict[str, Any]], None]

# A person reads no faster, and the parent that draws needs a core for it.
_EVERY_S = 0.25


class Ticker:
    """Is due a few times a second."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def is_due(self) -> bool:
        """Whether it is time again; if so, the next time is counted from now."""
        now = time.perf_counter()
        if now - self._last < _EVERY_S:
            return False
        self._last = now
        return True
