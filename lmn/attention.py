"""Single-vector attention: each token asks once, and sees only its own slots.

Scores are q . k / sqrt(width / heads) and the softmax runs over the slots that exist; which ones do
is known from the token's number alone, never read off the values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lmn.chunks import ChunkPlan, chunk_mask
from lmn.state import state_type


def attend_nodes(
    query: Tensor, nodes: Tensor, key_weight: Tensor, value_weight: Tensor, heads: int
) -> Tensor:
    """Attention of one token per batch row over all of its slots, none of which is projected.

    q . (Wk s) = (Wk^T q) . s, and a sum of Wv s is Wv of the sum: each head asks the nodes
    themselves. Keys and values come without their biases, see `attend_chunks`.

    Args:
        query: (batch, width).
        nodes: (batch, slots, width), of the type to compute in.
        key_weight: Wk, (width, width).
        value_weight: Wv, (width, width).
        heads: attention heads; divides width.

    Returns:
        (batch, width), of the query's type, before the output projection.
    """
    by_head = (heads, query.shape[-1] // heads)
    key, value = (
        weight.to(nodes.dtype).unflatten(0, by_head) for weight in (key_weight, value_weight)
    )
    asked = query.to(nodes.dtype).unflatten(1, by_head).transpose(0, 1).bmm(key)
    # (batch, heads, width): to the slots, heads are so many queries
    scores = torch.bmm(asked.transpose(0, 1), nodes.transpose(1, 2)) / math.sqrt(by_head[1])
    mixed = torch.bmm(scores.softmax(-1), nodes).transpose(0, 1)
    mixed = mixed.bmm(value.transpose(1, 2))  # (heads, batch, head width)
    return mixed.transpose(0, 1).flatten(1).to(query.dtype)


def attend_chunks(
    query: Tensor,
    own: Tensor,
    weight: Tensor | None,
    nodes: Sequence[Tensor],
    plan: ChunkPlan,
    heads: int,
) -> Tensor:
    """Attention of many tokens at once, one small dense attention per chunk.

    Inside a chunk the tokens see few different nodes, so their rows are laid side by side once, and
    a fixed mask says who sees what. Each token's own key and value need no such place. Backward
    gathers, projects and scores again: nothing that was made of the nodes is kept.

    Keys and values come without their biases. A key's would add the same to all scores of a token,
    which the softmax takes away again; a value's is for the caller to add, once, to what comes out.

    Args:
        query: (batch, chunks * chunk size, width), padded to whole chunks.
        own: the tokens' own keys and values, (batch, chunks * chunk size, 2 * width).
        weight: makes keys and values of nodes, (2 * width, width). With `None`, only for a single
            head, every node and every token is its own key and value, and `own` is of one width.
        nodes: of each level from 1 on, as `plan` wants them.
        plan: who sees what.
        heads: attention heads; divides width.

    Returns:
        (batch, chunks * chunk size, width), before the output projection; padded places hold
        finite numbers without meaning.
    """
    mixed: Tensor = _ChunkAttention.apply(query, own, weight, plan, heads, *nodes)  # type: ignore[no-untyped-call]
    return mixed


class _ChunkAttention(torch.autograd.Function):
    """Heads are taken one by one: their parts of the rows are views, where all at once would copy.

    Scores of half-precision numbers are computed and summed in float32.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        own: Tensor,
        weight: Tensor | None,
        plan: ChunkPlan,
        heads: int,
        *nodes: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(query, own, weight, *nodes)
        ctx.plan, ctx.heads = plan, heads
        mixed = []
        rows = _project(plan.gather(nodes, query, _row_type(query, weight)), weight)
        for head in _heads(query, own, rows, plan, heads):
            part = head.weights[..., -1:] * head.value
            mixed.append(torch.baddbmm(part, head.weights, head.row_values, out=part))
        whole = torch.cat(mixed, dim=-1) if heads > 1 else mixed[0]
        return whole.view(query.shape).to(query.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, own, weight, *nodes = ctx.saved_tensors
        plan, heads = ctx.plan, ctx.heads
        batch, _, width = query.shape
        dtype = state_type(query.dtype)
        scale = 1 / math.sqrt(width // heads)
        chunks = batch * plan.layout.chunks
        by_head = gradients[0].to(dtype).reshape(chunks, -1, heads, width // heads).unbind(2)
        rows = plan.gather(nodes, query, _row_type(query, weight))
        queries, keys, values, row_keys, row_values = [], [], [], [], []
        shares = _heads(query, own, _project(rows, weight), plan, heads)
        for gradient, head in zip(by_head, shares, strict=True):
            weights = head.weights
            to_weights = torch.bmm(gradient, head.row_values.transpose(1, 2))
            # the row of zeros gave nothing there
            to_weights[..., -1] = (gradient * head.value).sum(-1)
            to_scores = torch._softmax_backward_data(to_weights, weights, -1, dtype).mul_(scale)
            to_own = to_scores[..., -1:]
            to_query = to_own * head.key
            queries.append(torch.baddbmm(to_query, to_scores, head.row_keys, out=to_query))
            keys.append(to_own * head.query)
            values.append(weights[..., -1:] * gradient)
            row_keys.append(torch.bmm(to_scores.transpose(1, 2), head.query))
            row_values.append(torch.bmm(weights.transpose(1, 2), gradient))
        to_query = torch.cat(queries, dim=-1).view(query.shape).to(query.dtype)
        if weight is None:
            to_own, to_rows, to_weight = (
                keys[0].add_(values[0]),
                row_keys[0].add_(row_values[0]),
                None,
            )
        else:
            to_own = torch.cat([*keys, *values], dim=-1)
            to_key_values = torch.cat([*row_keys, *row_values], dim=-1).flatten(0, 1).to(rows.dtype)
            to_weight = to_key_values.t().mm(rows.flatten(0, 1))
            to_rows = to_key_values.mm(weight).view(rows.shape)
        to_own = to_own.view(own.shape).to(own.dtype)
        return to_query, to_own, to_weight, None, None, *plan.scatter(to_rows, nodes)


class _Head(NamedTuple):
    """One head's share: (batch * chunks, chunk size or rows, head width) but for the weights.

    Attributes:
        query, key, value: of the tokens.
        row_keys, row_values: of the rows that each chunk sees, and a row of zeros.
        weights: of attention, (batch * chunks, chunk size, rows + 1); the last is the token's own.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    row_keys: Tensor
    row_values: Tensor
    weights: Tensor


def _row_type(query: Tensor, weight: Tensor | None) -> torch.dtype:
    """Nodes are projected in the type of the weights, and taken as exact as can be where not."""
    return state_type(query.dtype) if weight is None else query.dtype


def _project(rows: Tensor, weight: Tensor | None) -> Tensor:
    """Keys and values of gathered rows: (chunks, rows, 2 * width), or of one width for both."""
    if weight is None:
        return rows
    return torch.unflatten(rows.flatten(0, 1).mm(weight.t()), 0, rows.shape[:2])


def _heads(
    query: Tensor, own: Tensor, rows: Tensor, plan: ChunkPlan, heads: int
) -> Iterator[_Head]:
    """Each head's share; `own` and `rows` hold keys and values side by side, or one for both."""
    dtype = state_type(query.dtype)
    width = query.shape[-1]
    chunks, kinds = len(rows), own.shape[-1] // width
    queries = query.to(dtype).reshape(chunks, -1, heads, width // heads)
    own = own.to(dtype).reshape(chunks, -1, kinds, heads, width // heads)
    rows = rows.to(dtype).view(chunks, -1, kinds, heads, width // heads)
    mask, scale = chunk_mask(plan, dtype, query.device), 1 / math.sqrt(width // heads)
    for head in range(heads):
        head_query = queries[..., head, :]
        key, value = own[..., 0, head, :], own[..., -1, head, :]
        row_keys, row_values = rows[..., 0, head, :], rows[..., -1, head, :]
        scores = mask.repeat(chunks // len(mask), 1, 1)
        # the row of zeros leaves its column to the token's own score
        scores[..., -1] = (head_query * key).sum(-1).mul_(scale)
        torch.baddbmm(scores, head_query, row_keys.transpose(1, 2), alpha=scale, out=scores)
        yield _Head(head_query, key, value, row_keys, row_values, scores.softmax(-1))
