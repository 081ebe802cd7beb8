"""Which rows of the tree each chunk of tokens sees: laid side by side, put back, and masked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from lmn.tree import ChunkLayout, rows_per_node


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
    """Which nodes each chunk of a layout sees, and in which order their rows lie in it.

    The nodes of a level come as a tensor (banks, batch, nodes, vectors, width) that holds all that
    the chunks see, from the first to the last, those that do not exist included.

    Attributes:
        layout: the chunks.
        levels: what they see of each level from 1 on.
        rows: rows that one chunk sees, per level.
    """

    layout: ChunkLayout
    levels: tuple[SeenLevel, ...]
    rows: list[int]

    def gather(self, nodes: Sequence[Tensor], like: Tensor, dtype: torch.dtype) -> Tensor:
        """Lay the rows that each chunk sees side by side, and one row of zeros after them.

        Args:
            nodes: of each level from 1 on.
            like: (batch, tokens, width), for batch, width and device.
            dtype: of what comes out.

        Returns:
            (batch * chunks, rows per chunk + 1, width).
        """
        batch, _, width = like.shape
        gathered = like.new_empty(batch, self.layout.chunks, sum(self.rows) + 1, width, dtype=dtype)
        *places, last = gathered.split([*self.rows, 1], dim=2)
        last.zero_()
        for level, part, place in zip(self.levels, nodes, places, strict=True):
            self._by_chunk(level, place, part).copy_(self._seen(level, part))
        return gathered.flatten(0, 1)

    def scatter(self, gathered: Tensor, nodes: Sequence[Tensor]) -> list[Tensor]:
        """The gradients of `nodes` under `gather`: add up what went to several chunks."""
        by_chunk = gathered.unflatten(0, (-1, self.layout.chunks))
        *parts, _ = by_chunk.split([*self.rows, 1], dim=2)
        gradients = []
        for level, part, like in zip(self.levels, parts, nodes, strict=True):
            part = self._by_chunk(level, part, like)
            gradient = torch.empty_like(like, memory_format=torch.contiguous_format)
            by_node = gradient.permute(1, 2, 3, 0, 4)
            if level.sharing == 1:
                by_node.unflatten(1, (self.layout.chunks, -1)).copy_(part)
            elif self._is_even(level):
                by_node.copy_(part.sum(2))
            else:
                node_of_chunk = self._node_of_chunk(level, like.device)
                by_node.zero_().index_add_(1, node_of_chunk, part.to(like.dtype))
            gradients.append(gradient)
        return gradients

    def _by_chunk(self, level: SeenLevel, place: Tensor, nodes: Tensor) -> Tensor:
        """View the rows of a level in all chunks as `_seen` orders them."""
        banks, vectors = nodes.shape[0], nodes.shape[3]
        if level.sharing == 1:
            return torch.unflatten(place, 2, (-1, vectors, banks))
        place = torch.unflatten(place, 2, (vectors, banks))
        return torch.unflatten(place, 1, (level.nodes, -1)) if self._is_even(level) else place

    def _seen(self, level: SeenLevel, nodes: Tensor) -> Tensor:
        """What the chunks see of a level: (batch, chunks, nodes per chunk, vectors, banks, width);
        or, where chunks share nodes, (batch, nodes, 1, ...), or (batch, chunks, ...).
        """
        nodes = nodes.permute(1, 2, 3, 0, 4)  # (batch, nodes, vectors, banks, width)
        if level.sharing == 1:
            return torch.unflatten(nodes, 1, (self.layout.chunks, -1))
        if self._is_even(level):
            return nodes.unsqueeze(2)
        return nodes[:, self._node_of_chunk(level, nodes.device)]

    def _is_even(self, level: SeenLevel) -> bool:
        """Whether each node of a level serves as many chunks of this layout."""
        return level.nodes == 1 or self.layout.chunks == level.nodes * level.sharing

    def _node_of_chunk(self, level: SeenLevel, device: torch.device) -> Tensor:
        first = self.layout.first_chunk
        chunk = torch.arange(first, first + self.layout.chunks, device=device)
        return chunk // level.sharing - level.first


# of a long input, every segment has a plan of its own: keeping all would cost megabytes
@lru_cache(maxsize=64)
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
        [count * level.rows for count, level in zip(in_chunk, levels, strict=True)],
    )


def chunk_mask(plan: ChunkPlan, dtype: torch.dtype, device: torch.device) -> Tensor:
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


# a mask of the first chunks of a long segment has megabytes
@lru_cache(maxsize=8)
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
