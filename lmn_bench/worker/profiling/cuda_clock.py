"""Time by parts on a GPU: CUDA events where parts begin, read when all is done.

Nothing waits for the GPU in between. A part's time runs from its event to the next one on the
stream, idle time included, so that parts add up to the round. Not tried yet, for want of a GPU.
"""

from __future__ import annotations

from typing import Any

import torch

from lmn_bench.worker.profiling.clock import Reading, hook_of
from lmn_bench.worker.profiling.graph import Trail, numbered_nodes


class CudaPartClock:
    """A probe that adds up time on the device's stream by site.

    Args:
        sites: how many there are.
        device: whose stream.
    """

    def __init__(self, sites: int, device: torch.device) -> None:
        self._sites, self._device = sites, device
        self._trail = Trail()
        self._log: list[tuple[torch.cuda.Event, int]] = []
        self._current = 0
        self._around_backward: list[int] = []

    def enter(self, site: int) -> int:
        """Another site begins; the one before it."""
        before, self._current = self._current, site
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        self._log.append((event, site))
        self._trail.note(site)
        return before

    mark = enter

    def leave(self, before: int, value: Any) -> Any:
        """Back to the site before."""
        self.enter(before)
        return value

    def begin_backward(self, roots: Any) -> None:
        """Let autograd tell where parts begin; see `PartClock`."""
        site = self._current
        self._around_backward.append(site)
        for number, node in numbered_nodes(roots):
            wanted = self._trail.site_of(number)
            if wanted != site:
                node.register_prehook(hook_of(self.enter, wanted))
                site = wanted
        self._trail.clear()

    def end_backward(self) -> None:
        """Back to where autograd was called from."""
        self.enter(self._around_backward.pop())

    def start(self) -> None:
        """A round begins, with nothing left to do on the device."""
        self._log.clear()
        self._trail.clear()
        self._current = 0
        torch.cuda.synchronize(self._device)
        self.enter(0)

    def stop(self) -> Reading:
        """The round has ended: times by site."""
        self.enter(0)
        torch.cuda.synchronize(self._device)
        spent = [0] * self._sites
        for (begin, site), (end, _) in zip(self._log, self._log[1:], strict=False):
            spent[site] += round(begin.elapsed_time(end) * 1e6)
        nothing = (0,) * self._sites
        return Reading(tuple(spent), nothing, nothing)
