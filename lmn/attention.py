"""Single-vector attention: each token asks once, and sees only its own slots.

Scores are q . k / sqrt(width / heads) and the softmax runs over the slots that exist; which ones do
is known from the token's number alone, never read off the values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from lmn.tree import ChunkLayout, rows_per_node


def attend_slots(query: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    """Attention of one token per batch row over all of its slots.

    Args:
        query: (batch, width).
        keys: (batch, slots, width).
        values: (batch, slots, width).
        heads: attention heads; divides width.

    Returns:
        (batch, width), before the output projection.
    """
    batch, slots, width = keys.shape
    split = (batch, slots, heads, width // heads)
    mixed = F.scaled_dot_product_attention(
        query.reshape(batch, heads, 1, width // heads),
        keys.view(split).transpose(1, 2),  # (batch, heads, slots, head width)
        values.view(split).transpose(1, 2),
    )
    return mixed.flatten(1)


class SeenLevel(NamedTuple):
    """The nodes of one level that the chunks of a layout see.

    Attributes:
        first: number of the first one; 0 stands for none.
        nodes: how many there are, from the first to the last.
        rows: rows per node.
        sharing: neighbouring chunks that see one node.
    """

    first: int
    nodes: int
    rows: int
    sharing: int


@dataclass(frozen=True)
class ChunkPlan:
    """Which rows each chunk of a layout sees, and where they lie.

    Nodes come as one list of rows, level by level from 1 on: each level holds the nodes that the
    chunks see, from the first to the last, those that do not exist included.

    Attributes:
        layout: the chunks.
        levels: what they see of each level from 1 on.
        sizes: rows in the list, per level.
        sizes_in_chunk: rows that one chunk sees, per level.
    """

    layout: ChunkLayout
    levels: tuple[SeenLevel, ...]
    sizes: list[int]
    sizes_in_chunk: list[int]

    def gather(self, nodes: Tensor, dtype: torch.dtype) -> Tensor:
        """Lay the rows that each chunk sees side by side, and one row of zeros after them.

        (batch, rows of the list, features) -> (batch * chunks, rows per chunk + 1, features).
        """
        batch, _, features = nodes.shape
        chunks, sizes = self.layout.chunks, self.sizes_in_chunk
        gathered = nodes.new_empty(batch, chunks, sum(sizes) + 1, features, dtype=dtype)
        *places, last = gathered.split([*sizes, 1], dim=2)
        last.zero_()
        parts = nodes.split(self.sizes, dim=1)
        for level, part, place in zip(self.levels, parts, places, strict=True):
            if level.sharing == 1:
                place.copy_(part.view(place.shape))
                continue
            by_node = part.view(batch, level.nodes, level.rows, features)
            if self._is_even(level):
                place.unflatten(1, (level.nodes, -1)).copy_(by_node.unsqueeze(2))
            else:
                place.copy_(by_node[:, self._node_of_chunk(level, nodes.device)])
        return gathered.flatten(0, 1)

    def scatter(self, gathered: Tensor, batch: int, dtype: torch.dtype) -> Tensor:
        """The gradient of `gather`: add up what went to several chunks."""
        _, _, features = gathered.shape
        by_chunk = gathered.view(batch, self.layout.chunks, -1, features)
        nodes = gathered.new_empty(batch, sum(self.sizes), features, dtype=dtype)
        *parts, _ = by_chunk.split([*self.sizes_in_chunk, 1], dim=2)
        places = nodes.split(self.sizes, dim=1)
        for level, part, place in zip(self.levels, parts, places, strict=True):
            if level.sharing == 1:
                place.copy_(part.reshape(place.shape))
                continue
            by_node = place.view(batch, level.nodes, level.rows, features)
            if self._is_even(level):
                by_node.copy_(part.unflatten(1, (level.nodes, -1)).sum(2))
            else:
                node_of_chunk = self._node_of_chunk(level, nodes.device)
                by_node.zero_().index_add_(1, node_of_chunk, part.to(dtype))
        return nodes

    def _is_even(self, level: SeenLevel) -> bool:
        """Whether each node of a level serves as many chunks of this layout."""
        return level.nodes == 1 or self.layout.chunks == level.nodes * level.sharing

    def _node_of_chunk(self, level: SeenLevel, device: torch.device) -> Tensor:
        first = self.layout.first_chunk
        chunk = torch.arange(first, first + self.layout.chunks, device=device)
        return chunk // level.sharing - level.first


@lru_cache(maxsize=1024)
def chunk_plan(layout: ChunkLayout, banks: int, expansion: int) -> ChunkPlan:
    """The plan of a layout. Kept between calls: its integers cost as much as a dozen operations."""
    levels = []
    for level in range(1, layout.levels + 1):
        first, last = layout.seen_nodes(level)
        rows = rows_per_node(level, banks, expansion)
        sharing = max(1 << level >> layout.exponent, 1)
        levels.append(SeenLevel(first, last - first + 1, rows, sharing))
    in_chunk = [layout.nodes_per_chunk(level) for level in range(1, layout.levels + 1)]
    return ChunkPlan(
        layout,
        tuple(levels),
        [level.nodes * level.rows for level in levels],
        [count * level.rows for count, level in zip(in_chunk, levels, strict=True)],
    )


def attend_chunks(projected: Tensor, nodes: Tensor, plan: ChunkPlan, heads: int) -> Tensor:
    """Attention of many tokens at once, one small dense attention per chunk.

    Inside a chunk the tokens see few different nodes, so their rows are laid side by side once, and
    a fixed mask says who sees what. Each token's own key and value need no such place. Backward
    gathers and scores again: nothing of size tokens x slots is kept.

    Args:
        projected: queries, keys and values of the tokens, (batch, chunks * chunk size, 3 * width),
            padded to whole chunks.
        nodes: keys and values of the nodes, (batch, rows, 2 * width), as `plan` lists them.
        plan: who sees what.
        heads: attention heads; divides width.

    Returns:
        (batch, chunks * chunk size, width), before the output projection; padded places hold
        finite numbers without meaning.
    """
    mixed: Tensor = _ChunkAttention.apply(projected, nodes, plan, heads)  # type: ignore[no-untyped-call]
    return mixed


class _ChunkAttention(torch.autograd.Function):
    """Heads are taken one by one: their parts of the rows are views, where all at once would copy.

    Scores of half-precision numbers are computed and summed in float32.
    """

    @staticmethod
    def forward(ctx: Any, projected: Tensor, nodes: Tensor, plan: ChunkPlan, heads: int) -> Tensor:
        ctx.save_for_backward(projected, nodes)
        ctx.plan, ctx.heads = plan, heads
        mixed = []
        for head in _heads(projected, nodes, plan, heads):
            own = head.weights[..., -1:] * head.value
            mixed.append(torch.baddbmm(own, head.weights, head.row_values, out=own))
        whole = torch.cat(mixed, dim=-1) if heads > 1 else mixed[0]
        return whole.view(projected.shape[0], -1, whole.shape[-1]).to(projected.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        projected, nodes = ctx.saved_tensors
        plan, heads = ctx.plan, ctx.heads
        batch, _, width = gradients[0].shape
        dtype = _accumulation_type(projected.dtype)
        scale = 1 / math.sqrt(width // heads)
        chunks = batch * plan.layout.chunks
        by_head = gradients[0].to(dtype).reshape(chunks, -1, heads, width // heads).unbind(2)
        queries, keys, values, row_keys, row_values = [], [], [], [], []
        for gradient, head in zip(by_head, _heads(projected, nodes, plan, heads), strict=True):
            weights = head.weights
            to_weights = torch.bmm(gradient, head.row_values.transpose(1, 2))
            # the row of zeros gave nothing there
            to_weights[..., -1] = (gradient * head.value).sum(-1)
            to_scores = torch._softmax_backward_data(to_weights, weights, -1, dtype).mul_(scale)
            own = to_scores[..., -1:]
            to_query = own * head.key
            queries.append(torch.baddbmm(to_query, to_scores, head.row_keys, out=to_query))
            keys.append(own * head.query)
            values.append(weights[..., -1:] * gradient)
            row_keys.append(torch.bmm(to_scores.transpose(1, 2), head.query))
            row_values.append(torch.bmm(weights.transpose(1, 2), gradient))
        to_projected = torch.cat([*queries, *keys, *values], dim=-1).view(projected.shape)
        to_nodes = plan.scatter(torch.cat([*row_keys, *row_values], dim=-1), batch, nodes.dtype)
        return to_projected.to(projected.dtype), to_nodes, None, None


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


def _heads(projected: Tensor, nodes: Tensor, plan: ChunkPlan, heads: int) -> Iterator[_Head]:
    dtype = _accumulation_type(projected.dtype)
    batch, _, features = projected.shape
    head_width = features // 3 // heads
    chunks = projected.to(dtype).reshape(
        batch * plan.layout.chunks, plan.layout.chunk_size, 3, heads, head_width
    )
    rows = plan.gather(nodes, dtype)
    rows = rows.view(*rows.shape[:2], 2, heads, head_width)
    mask, scale = _mask(plan, dtype, projected.device), 1 / math.sqrt(head_width)
    for head in range(heads):
        query, key, value = chunks[..., head, :].unbind(2)
        row_keys, row_values = rows[..., head, :].unbind(2)
        scores = mask.repeat(len(rows) // len(mask), 1, 1)
        # the row of zeros leaves its column to the token's own score
        scores[..., -1] = (query * key).sum(-1).mul_(scale)
        torch.baddbmm(scores, query, row_keys.transpose(1, 2), alpha=scale, out=scores)
        yield _Head(query, key, value, row_keys, row_values, scores.softmax(-1))


def _accumulation_type(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype


def _mask(plan: ChunkPlan, dtype: torch.dtype, device: torch.device) -> Tensor:
    """0 where a token of a chunk sees a row, else -inf: (chunks or 1, chunk size, rows + 1).

    The last column is for the token's own score. One mask serves all chunks unless some see nodes
    that do not exist.
    """
    layout = plan.layout
    rows = tuple(level.rows for level in plan.levels)
    if layout.is_uniform:
        # every chunk that sees all levels has the mask of this one
        return _mask_of_chunks(layout.exponent, 1 << len(rows), 1, rows, dtype, device)
    first = layout.first_chunk
    return _mask_of_chunks(layout.exponent, first, layout.chunks, rows, dtype, device)


@lru_cache(maxsize=64)
def _mask_of_chunks(
    exponent: int,
    first: int,
    chunks: int,
    rows: tuple[int, ...],
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """As `_mask`, of chunks `first` .. `first` + `chunks` - 1. Kept between calls."""
    # a tensor born in inference mode could not serve a backward pass later
    with torch.inference_mode(False):
        start = (first + torch.arange(chunks)) << exponent
        token = start[:, None] + torch.arange(1 << exponent)
        parts = [torch.ones(chunks, 1 << exponent, 0, dtype=torch.bool)]
        for level, count in enumerate(rows, start=1):
            node = (start >> level)[:, None] + torch.arange(max(1 << exponent >> level, 1))
            visible = (token[:, :, None] >> level) == node[:, None]
            visible &= node[:, None] > 0  # node 0 of a level does not exist
            parts.append(visible.repeat_interleave(count, dim=2))
        seen = torch.cat([*parts, parts[0].new_ones(chunks, 1 << exponent, 1)], dim=2)
        return torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, -math.inf).to(device)
