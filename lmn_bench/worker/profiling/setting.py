"""What all passes of a profile share: the model, the call, and how it is watched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from lmn_bench.schema import Case
from lmn_bench.subjects.protocol import Subject
from lmn_bench.worker import memory
from lmn_bench.worker.clock import clock_for
from lmn_bench.worker.profiling.instruments import Instruments
from lmn_bench.worker.profiling.operators import Trace, trace_call
from lmn_bench.worker.profiling.timed import Call

# The kernel's peak is read so often, where a call takes no longer than this.
_PEAKS = 5
_LONG_CALL_S = 5.0


@dataclass(frozen=True)
class Setting:
    """A model that is loaded, and the call of it that is profiled.

    Attributes:
        case, device, subject: what is profiled, and where.
        call: one call of it.
        instruments: that tell its parts.
        depth: see `ProfileJob`.
        clear: to be called before every call: drops what the last one left.
        warnings: of all passes.
    """

    case: Case
    device: torch.device
    subject: Subject
    call: Call
    instruments: Instruments
    depth: int
    clear: Callable[[], None]
    warnings: list[str] = field(default_factory=list)

    def peaks(self) -> list[memory.Peak]:
        """Memory of a call, often."""
        found: list[memory.Peak] = []
        spent_s = 0.0
        while len(found) < _PEAKS and spent_s < _LONG_CALL_S:
            self.clear()
            peak, seconds = memory.peak_of(self.once(), self.device)
            found.append(peak)
            spent_s += seconds
        return found

    def traced(self, *, memory: bool, save_to: Path | None = None) -> Trace:
        """A call under the profiler: its operators, or its memory."""
        self.clear()
        return trace_call(
            self.once(), self.instruments.sites, self.instruments.installed,
            device=self.device, memory=memory, save_to=save_to,
        )  # fmt: skip

    def once(self) -> Callable[[], float]:
        """A call, with what it uses up made before, that says how long it took."""
        timer, prepared = clock_for(self.device), self.call.prepare()
        return lambda: timer.time(lambda: self.call.run(prepared))
