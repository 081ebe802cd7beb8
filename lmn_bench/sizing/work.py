"""FLOPs and bytes of one call, from the sizes alone."""

from __future__ import annotations

from dataclasses import dataclass

from lmn_bench.costs import ITEMSIZE
from lmn_bench.schema import Case
from lmn_bench.subjects.names import BUILTIN
from lmn_bench.subjects.sizes import flops as sequence_flops
from lmn_bench.subjects.sizes import window_flops
from lmn_bench.subjects.traffic import bytes_moved, window_bytes_moved

# Steps that the mean of decode is taken over: the rare long merges come in by their share.
_WINDOW = 32


@dataclass(frozen=True)
class Work:
    """What one call has to do: FLOPs, and bytes to read and write at least."""

    flops: float
    bytes: float


def work_of(case: Case) -> Work | None:
    """The work of a builtin subject's case; None for a model of the user's."""
    if case.subject not in BUILTIN:
        return None
    item = ITEMSIZE[case.dtype]
    if case.mode == "decode":
        seen = max(0, case.length - 1)
        return Work(
            window_flops(case.subject, case.model, seen, _WINDOW, case.batch),
            window_bytes_moved(case.subject, case.model, seen, _WINDOW, case.batch, item),
        )
    return Work(
        sequence_flops(case.subject, case.model, case.mode, case.length, case.batch),
        bytes_moved(case.subject, case.model, case.mode, case.length, case.batch, item),
    )
