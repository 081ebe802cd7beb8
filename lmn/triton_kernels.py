"""The Triton kernels of single-vector attention, forward and backward.

A program takes one block of tokens (counted from a dummy token 0, so that blocks and nodes nest),
one head and one sequence. It starts an online softmax with each token's own row, then streams over
tiles of the node rows that the block's tokens see between them and loads each straight from where
it lies. A level i <= log2 of the block size has block size / 2^i such nodes, every higher level
one, and a mask of integers alone says which token sees which.

Backward goes the same way once more, with the scores made anew from the saved log-sum-exp. A node
of a level up to the block's own is seen from one block only, so its gradient is summed inside a
matrix product and stored; a higher node is seen from many blocks, whose sums (one per block, not
one per token) meet in atomic additions. A kernel with one program per node would need no atomics,
but would leave half of the sequence to the single program of the highest node. The order of these
additions is not fixed: gradients of nodes above the block's own levels may differ in their last
bits from run to run. Everything else repeats exactly.

Without triton they are functions that nothing can run.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

# triton has neither stubs nor a place on machines without a GPU
triton: Any
tl: Any
try:
    triton, tl = import_module("triton"), import_module("triton.language")
except ImportError:
    triton = tl = None

# triton knows by this annotation what is fixed at compile time
constexpr = Any
if not TYPE_CHECKING and tl is not None:
    constexpr = tl.constexpr


def _jit(function: Callable[..., Any]) -> Any:
    """`triton.jit` where there is triton, told not to compile anew for every length."""
    if triton is None:
        return function
    lengths = {"tokens_before", "tokens", "blocks", "node_rows", "private", "slots"}
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    return triton.jit(function, do_not_specialize=[name for name in names if name in lengths])


@_jit
def _place(  # type: ignore[no-untyped-def]
    tokens_before, tokens, blocks, heads: constexpr, block_tokens: constexpr, block_width: constexpr
):
    """What one program works on; `present` tells real tokens from the padding of a block."""
    program = tl.program_id(0)
    sequence = program // blocks
    block_start = ((tokens_before + 1) // block_tokens + program % blocks) * block_tokens
    token = block_start + tl.arange(0, block_tokens)
    # offsets from here on may pass 2^31
    batch = (sequence // heads).to(tl.int64)
    place = (token - tokens_before - 1).to(tl.int64)
    present = (place >= 0) & (place < tokens)
    return batch, sequence % heads, block_start, token, place, present, tl.arange(0, block_width)


@_jit
def forward_kernel(  # type: ignore[no-untyped-def]
    projected, nodes, table, output, log_sum,
    token_batch, token_row, node_batch, node_row, tokens_before, tokens, blocks, slots,
    heads: constexpr, head_width: constexpr, scale_log2: constexpr,
    block_tokens: constexpr, tile_slots: constexpr, block_width: constexpr,
):  # fmt: skip
    """`output`, and `log_sum` of the softmax (base 2), for one block of tokens and one head."""
    batch, head, block_start, token, place, present, feature = _place(
        tokens_before, tokens, blocks, heads, block_tokens, block_width
    )
    precise = log_sum.dtype.element_ty
    width = heads * head_width
    column = (head * head_width + feature)[None, :]
    inside = present[:, None] & (feature < head_width)[None, :]
    own = projected + batch * token_batch + place[:, None] * token_row + column
    q = tl.load(own, mask=inside, other=0.0)
    own_key = tl.load(own + width, mask=inside, other=0.0).to(precise)
    # every token sees itself, so the largest score so far is finite from the start
    largest = tl.sum(q.to(precise) * own_key, 1) * scale_log2
    total = tl.full([block_tokens], 1.0, precise)
    mixed = tl.load(own + 2 * width, mask=inside, other=0.0).to(precise)
    for start in range(0, slots, tile_slots):
        # not in a function that both kernels call: torch.compile would take `table` for changed
        slot = table + start + tl.arange(0, tile_slots)
        level = tl.load(slot)
        node = (block_start >> level) + tl.load(slot + slots)
        entry = node - tl.load(slot + 2 * slots)
        exists = (entry >= 0) & (entry < tl.load(slot + 3 * slots))
        row = (tl.load(slot + 4 * slots) + entry * tl.load(slot + 5 * slots)).to(tl.int64)
        visible = ((token[:, None] >> level[None, :]) == node[None, :]) & exists[None, :]
        wanted = exists[:, None] & (feature < head_width)[None, :]
        keys = nodes + batch * node_batch + row[:, None] * node_row + column
        k = tl.load(keys, mask=wanted, other=0.0)
        v = tl.load(keys + width, mask=wanted, other=0.0)
        score = tl.dot(q, tl.trans(k), input_precision="ieee") * scale_log2
        score = tl.where(visible, score, float("-inf"))
        larger = tl.maximum(largest, tl.max(score, 1))
        weights = tl.exp2(score - larger[:, None])
        shrink = tl.exp2(largest - larger)
        total = total * shrink + tl.sum(weights, 1)
        mixed = mixed * shrink[:, None] + tl.dot(weights.to(v.dtype), v, input_precision="ieee")
        largest = larger
    out = output + (batch * tokens + place[:, None]) * width + column
    tl.store(out, (mixed / total[:, None]).to(output.dtype.element_ty), mask=inside)
    log_sums = log_sum + (batch * heads + head) * tokens + place
    tl.store(log_sums, largest + tl.log2(total), mask=present)


@_jit
def backward_kernel(  # type: ignore[no-untyped-def]
    projected, nodes, table, output, log_sum, d_output, d_projected, d_nodes,
    token_batch, token_row, node_batch, node_row, tokens_before, tokens, blocks, slots,
    private, node_rows,
    heads: constexpr, head_width: constexpr, scale: constexpr, scale_log2: constexpr,
    block_tokens: constexpr, tile_slots: constexpr, block_width: constexpr,
):  # fmt: skip
    """`d_projected` of one block of tokens and one head, and what they add to `d_nodes`."""
    batch, head, block_start, token, place, present, feature = _place(
        tokens_before, tokens, blocks, heads, block_tokens, block_width
    )
    precise = log_sum.dtype.element_ty
    exact = d_projected.dtype.element_ty
    width = heads * head_width
    column = (head * head_width + feature)[None, :]
    inside = present[:, None] & (feature < head_width)[None, :]
    own = projected + batch * token_batch + place[:, None] * token_row + column
    q = tl.load(own, mask=inside, other=0.0)
    own_key = tl.load(own + width, mask=inside, other=0.0).to(precise)
    own_value = tl.load(own + 2 * width, mask=inside, other=0.0).to(precise)
    out = (batch * tokens + place[:, None]) * width + column
    d_out = tl.load(d_output + out, mask=inside, other=0.0)
    mixed = tl.load(output + out, mask=inside, other=0.0)
    log_sums = log_sum + (batch * heads + head) * tokens + place
    log_total = tl.load(log_sums, mask=present, other=0.0)
    delta = tl.sum(mixed.to(precise) * d_out.to(precise), 1)

    weight = tl.exp2(tl.sum(q.to(precise) * own_key, 1) * scale_log2 - log_total)
    d_score = weight * (tl.sum(d_out.to(precise) * own_value, 1) - delta) * scale
    dq = d_score[:, None] * own_key
    to = d_projected + (batch * tokens + place[:, None]) * 3 * width + column
    tl.store(to + width, (d_score[:, None] * q.to(precise)).to(exact), mask=inside)
    tl.store(to + 2 * width, (weight[:, None] * d_out.to(precise)).to(exact), mask=inside)
    for start in range(0, slots, tile_slots):
        index = start + tl.arange(0, tile_slots)
        slot = table + index
        level = tl.load(slot)
        node = (block_start >> level) + tl.load(slot + slots)
        entry = node - tl.load(slot + 2 * slots)
        exists = (entry >= 0) & (entry < tl.load(slot + 3 * slots))
        row = (tl.load(slot + 4 * slots) + entry * tl.load(slot + 5 * slots)).to(tl.int64)
        visible = ((token[:, None] >> level[None, :]) == node[None, :]) & exists[None, :]
        wanted = exists[:, None] & (feature < head_width)[None, :]
        keys = nodes + batch * node_batch + row[:, None] * node_row + column
        k = tl.load(keys, mask=wanted, other=0.0)
        v = tl.load(keys + width, mask=wanted, other=0.0)
        score = tl.dot(q, tl.trans(k), input_precision="ieee") * scale_log2
        score = tl.where(visible, score, float("-inf"))
        weights = tl.exp2(score - log_total[:, None])
        d_weights = tl.dot(d_out, tl.trans(v), input_precision="ieee")
        d_scores = (weights * (d_weights - delta[:, None]) * scale).to(k.dtype)
        dq += tl.dot(d_scores, k, input_precision="ieee")
        # these two products sum over all tokens of the block that see a node
        dk = tl.dot(tl.trans(d_scores), q, input_precision="ieee")
        dv = tl.dot(tl.trans(weights.to(v.dtype)), d_out, input_precision="ieee")
        d_keys = d_nodes + (batch * node_rows + row[:, None]) * 2 * width + column
        alone = wanted & (index < private)[:, None]
        shared = wanted & (index >= private)[:, None]
        tl.store(d_keys, dk, mask=alone)
        tl.store(d_keys + width, dv, mask=alone)
        tl.atomic_add(d_keys, dk, mask=shared, sem="relaxed")
        tl.atomic_add(d_keys + width, dv, mask=shared, sem="relaxed")
    tl.store(to, dq.to(exact), mask=inside)
