"""What a case will take, told before it is run: memory and time. No torch, no measuring.

The counts come from `subjects.sizes` and are exact. The estimates here are of first order, for a
person deciding whether to start a run: memory within about twice the truth, time within several
times, on another machine than the one whose rates stand below more.
"""

from __future__ import annotations

from typing import Final

from lmn import tree
from lmn.cost import DECODE_STATE_PARTS
from lmn_bench.schema import Case, ModelSpec
from lmn_bench.subjects.names import LACKING, LMN_FAMILY
from lmn_bench.subjects.sizes import (
    SEGMENT_TOKENS,
    feedforward_width,
    flops,
    parameters,
    require_mode,
    segment_flops,
    slots,
    state_bytes,
    window_flops,
)

__all__ = [
    "feedforward_width",
    "flops",
    "memory_bytes",
    "parameters",
    "seconds",
    "slots",
    "state_bytes",
    "window_flops",
    "working_memory_bytes",
]

ITEMSIZE: Final = {"float32": 4, "bfloat16": 2, "float64": 8}

# Vectors per token that a mixer holds at its peak, beside the feed-forward part's; read off torch's
# allocator at width 64 with 1 to 3 layers. Training adds what backward needs of every layer.
MIXER_TRAINING_VECTORS: Final = {"transformer": 12, "lstm": 21, "gru": 12, "rnn": 6}
OUTSIDE_VECTORS: Final = 4
LSTM_VECTORS: Final = 11
# An LMN gathers the rows that a chunk's tokens see: key, value, node, and copies of them.
VECTORS_PER_ROW: Final = 6
VECTORS_PER_PUBLISHED_SLOT: Final = 5
# torch's CPU kernels record a step's backward pass as some 80 nodes of the autograd graph.
GRAPH_BYTES_PER_STEP: Final = {"gru": 17_000, "rnn": 6_000}

# Rates of one thread of a 2.6 GHz server core (AVX-512, float32) at width 64, and of a GPU. Small
# products and single tokens are far from any machine's peak.
FLOPS_PER_THREAD_S: Final = 20e9
ATTENTION_FLOPS_PER_THREAD_S: Final = 40e9
TOKEN_FLOPS_S: Final = 10e9
GPU_FLOPS_S: Final = 10e12
GPU_TOKEN_FLOPS_S: Final = 200e9
# Time that a step of a recurrence takes apart from its products, in a fused sequence call.
SEQUENCE_STEP_S: Final = {
    ("lstm", "prefill"): 4e-6, ("lstm", "train"): 6e-6,
    ("gru", "prefill"): 15e-6, ("gru", "train"): 180e-6,
    ("rnn", "prefill"): 6e-6, ("rnn", "train"): 55e-6,
}  # fmt: skip
GPU_SEQUENCE_STEP_S: Final = 10e-6
# Time that one layer takes for one token apart from its products: dispatching some 20 to 60
# operations.
TOKEN_S: Final = {
    "lmn": 35e-6, "lmn-conv": 35e-6, "lmn-expander": 45e-6, "lmn-published": 180e-6,
    "transformer": 120e-6, "lstm": 80e-6, "gru": 75e-6, "rnn": 65e-6,
}  # fmt: skip
GPU_TOKEN_FACTOR: Final = 3
# Steps of one pass over a decode window, as `Measuring.decode_window` has it by default.
DECODE_STEPS: Final = 33
FLOAT64_SLOWDOWN: Final = 2


def memory_bytes(case: Case) -> int:
    """Parameters, state and working memory of a case together, in bytes.

    For decode, of what makes its context.

    Raises:
        SubjectError: the subject lacks the mode, or cannot be built in these sizes.
    """
    require_mode(case.subject, case.mode)
    itemsize = ITEMSIZE[case.dtype]
    subject, mode = _context(case) if case.mode == "decode" else (case.subject, case.mode)
    working = working_memory_bytes(subject, case.model, mode, case.length, case.batch, itemsize)
    return itemsize * parameters(case.subject, case.model) + working


def working_memory_bytes(
    subject: str, spec: ModelSpec, mode: str, length: int, batch: int = 1, itemsize: int = 4
) -> int:
    """Bytes that one call needs on top of model and input, its result (outputs, state) included."""
    inner = feedforward_width(subject, spec) / spec.width
    vector = batch * spec.width * itemsize
    state = state_bytes(subject, spec, length, batch, itemsize)
    if mode == "read":
        tokens = min(length, SEGMENT_TOKENS)
        return working_memory_bytes(subject, spec, "prefill", tokens, batch, itemsize) + state
    if mode in ("decode", "stream"):
        scores = 2 * batch * spec.heads * (slots(subject, spec, length) or 0) * itemsize
        # A cache is there before its tokens are, and written in place; other states are replaced.
        in_cache = subject == "transformer" and mode == "decode"
        if subject in LMN_FAMILY and subject != "lmn-published":
            state *= DECODE_STATE_PARTS
        replaced = 0 if in_cache else 2 * state
        return int(replaced + scores + (2 * inner + OUTSIDE_VECTORS) * vector)
    tokens = length * vector
    mixer = _mixer_vectors(subject, spec, mode, length)
    if mode == "train":
        gradients = parameters(subject, spec) * itemsize
        graph = spec.layers * length * GRAPH_BYTES_PER_STEP.get(subject, 0)
        kept = spec.layers * (2 * inner + mixer) + OUTSIDE_VECTORS
        return int(kept * tokens) + gradients + graph
    held = max(2 * inner, mixer) + OUTSIDE_VECTORS
    if subject not in LMN_FAMILY or subject == "lmn-published":
        return int(held * tokens) + state
    # Worked on in segments: whole are only the outputs of this layer and of the one before.
    segment = min(length, tree.segment_tokens(batch, spec.width)) * vector
    return int(held * segment) + min(spec.layers, 2) * tokens + state


def _mixer_vectors(subject: str, spec: ModelSpec, mode: str, length: int) -> float:
    """Vectors per token that the mixer of one layer holds at its peak (train: keeps)."""
    if subject == "lmn-published":
        return VECTORS_PER_PUBLISHED_SLOT * tree.slot_count(length, spec.banks, 0)
    if subject in LMN_FAMILY:
        expansion = spec.expansion if subject == "lmn-expander" else 0
        chunk = tree.chunk_layout(0, length, spec.width).chunk_size
        rows = sum(
            max(chunk >> level, 1) * tree.rows_per_node(level, spec.banks, expansion)
            for level in range(tree.level_count(length) + 1)
        )
        return VECTORS_PER_ROW * rows / chunk + (OUTSIDE_VECTORS if mode == "train" else 0)
    if mode == "train":
        return MIXER_TRAINING_VECTORS[subject]
    return LSTM_VECTORS - OUTSIDE_VECTORS if subject == "lstm" else 0


def seconds(case: Case) -> float:
    """Time of one call of a case; for decode, of its context and one window of steps.

    Raises:
        SubjectError: the subject lacks the mode, or cannot be built in these sizes.
    """
    require_mode(case.subject, case.mode)
    if case.mode in ("train", "prefill", "read"):
        return _sequence_seconds(case, case.subject, case.mode)
    if case.mode == "stream":
        # The step in the middle stands for all.
        return case.length * _token_seconds(case, case.length // 2)
    steps_s = DECODE_STEPS * _token_seconds(case, case.length)
    return _sequence_seconds(case, *_context(case)) + steps_s


def _context(case: Case) -> tuple[str, str]:
    """The subject and mode that make the context of a decode case."""
    if case.memory_cap_bytes is not None:
        return case.subject, "prefill"
    if case.subject == "lmn-published":
        return "lmn", "read"
    return case.subject, "prefill" if (case.subject, "read") in LACKING else "read"


def _sequence_seconds(case: Case, subject: str, mode: str) -> float:
    spec = case.model
    if mode == "read":
        # The segment in the middle stands for all.
        tokens = min(case.length, SEGMENT_TOKENS)
        middle = segment_flops(subject, spec, (case.length - tokens) // 2, tokens, case.batch)
        work, mode = middle * case.length // tokens, "prefill"
    else:
        work = flops(subject, spec, mode, case.length, case.batch)
    steps = spec.layers * case.length
    step_s = SEQUENCE_STEP_S.get((subject, mode), 0.0)
    if case.device == "cuda":
        return work / GPU_FLOPS_S + (steps * GPU_SEQUENCE_STEP_S if step_s else 0.0)
    rate = ATTENTION_FLOPS_PER_THREAD_S if subject == "transformer" else FLOPS_PER_THREAD_S
    return steps * step_s + work / (rate * case.threads) * _slowdown(case)


def _token_seconds(case: Case, seen: int) -> float:
    work = flops(case.subject, case.model, "decode", seen, case.batch)
    token_s = case.model.layers * TOKEN_S[case.subject]
    if case.device == "cuda":
        return GPU_TOKEN_FACTOR * token_s + work / GPU_TOKEN_FLOPS_S
    return token_s + work / TOKEN_FLOPS_S * _slowdown(case)


def _slowdown(case: Case) -> float:
    return FLOAT64_SLOWDOWN if case.dtype == "float64" else 1
