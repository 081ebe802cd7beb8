"""Deterministic counters: dispatched operations and the FLOPs they stand for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from lmn_bench.subjects.flop_formulas import FORMULAS


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


def count(call: Callable[[], object]) -> OperationCounter:
    """The counter after one call."""
    counter = OperationCounter()
    with counter:
        call()
    return counter
