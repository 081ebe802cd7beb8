"""Deterministic counters: dispatched operations, the FLOPs they stand for, and known work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from lmn_bench.schema import Case
from lmn_bench.subjects.flop_formulas import FORMULAS
from lmn_bench.subjects.names import BUILTIN
from lmn_bench.subjects.sizes import flops, window_flops
from lmn_bench.subjects.traffic import bytes_moved, window_bytes_moved


class OperationCounter(TorchDispatchMode):
    """Counts every operation that torch dispatches below autograd, and its FLOPs.

    Attributes:
        operations: operations dispatched, views included (each costs its microseconds).
        flops: 2·m·n·k per matrix product, likewise for convolution and attention.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # "Skip" wraps the method in something that imports torch's compiler, 1.5 s per process.
        return False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = 0
        self.flops = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the operation and count it."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        self.operations += 1
        packet = func._overloadpacket
        formula = FORMULAS.get(packet) or flop_registry.get(packet)
        if formula is not None:
            self.flops += int(formula(*args, **kwargs, out_val=out))
        return out


def known_flops(case: Case, steps: int) -> dict[str, float | int]:
    """The metric `flops` of a builtin subject by formula; nothing for a user's own.

    Args:
        case: what is measured.
        steps: of decode, those that a count covers: the step to token n and the window after it.
    """
    if case.subject not in BUILTIN:
        return {}
    if case.mode == "decode":
        seen = case.length - 1
        return {"flops": window_flops(case.subject, case.model, seen, steps, case.batch)}
    return {"flops": flops(case.subject, case.model, case.mode, case.length, case.batch)}


def known_bytes(case: Case, steps: int) -> dict[str, float | int]:
    """The metric `bytes_moved`, likewise."""
    if case.subject not in BUILTIN:
        return {}
    rest = (case.batch, getattr(torch, case.dtype).itemsize)
    if case.mode == "decode":
        seen = case.length - 1
        moved = window_bytes_moved(case.subject, case.model, seen, steps, *rest)
        return {"bytes_moved": moved}
    return {"bytes_moved": bytes_moved(case.subject, case.model, case.mode, case.length, *rest)}


def count(call: Callable[[], object]) -> OperationCounter:
    """The counter after one call."""
    counter = OperationCounter()
    with counter:
        call()
    return counter
