"""Memory of a native program: counted from the sizes, as nothing of Python and PyTorch is there.

total = weights + state + buffer, where the buffer holds the activations of one layer for the tokens
that are worked on at once: t b (6 width + 2 inner) values of a layer's input, output, norm, query,
key and value (or gates) and its feed-forward part, and b heads slots scores of one token; t is 1 in
decode, a segment in read, and the whole length in prefill, whose results are kept. A program's code
may stay in flash and is not counted; its stack and tables are in the upper end.

No such program was measured. What has no formula (a model of the user's, backward of training) is
charged with PyTorch's working memory instead, and says so.
"""

from __future__ import annotations

from dataclasses import replace

from lmn_bench.costs import ITEMSIZE
from lmn_bench.schema import Case
from lmn_bench.sizing.memory import kept_state_bytes, parameter_bytes
from lmn_bench.sizing.question import Basis, MemoryNeed
from lmn_bench.subjects.names import BUILTIN
from lmn_bench.subjects.sizes import SEGMENT_TOKENS, feedforward_width, slots

# Input, output and norm of a layer, and query, key and value of attention or the gates of a cell.
_VECTORS = 6
# Stack, tables and bookkeeping of a small runtime: interpreters for microcontrollers take 16 to 32.
_RUNTIME_BYTES = 32 * 2**10


def native_need(case: Case, measured: MemoryNeed) -> MemoryNeed:
    """Memory of a native program that runs `case`.

    Args:
        case: at any length, batch and size.
        measured: what PyTorch needs for it.
    """
    if case.subject not in BUILTIN or case.mode == "train":
        held = measured.parameters + measured.state
        upper = measured.high - measured.floor + _RUNTIME_BYTES
        return replace(measured, floor=0.0, low=held, high=upper, basis=Basis.AS_IN_TORCH)
    weights, state, buffer = parameter_bytes(case), kept_state_bytes(case), layer_bytes(case)
    held = weights + state
    return MemoryNeed(
        floor=0.0,
        parameters=weights,
        state=state,
        working=buffer,
        low=held,
        high=held + buffer + _RUNTIME_BYTES,
        basis=Basis.COUNTED,
    )


def layer_bytes(case: Case) -> float:
    """The buffer: activations of one layer, see above."""
    spec, item = case.model, ITEMSIZE[case.dtype]
    at_once = {"prefill": case.length, "read": min(case.length, SEGMENT_TOKENS)}.get(case.mode, 1)
    values = _VECTORS * spec.width + 2 * feedforward_width(case.subject, spec)
    scores = case.batch * spec.heads * (slots(case.subject, spec, case.length) or 0)
    return float((at_once * case.batch * values + scores) * item)
