"""Single-vector attention: each token asks once, and sees only its own slots.

Scores are q . k / sqrt(width / heads) and the softmax runs over the slots that exist; which ones do
is known from the token's number alone, never read off the values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from lmn.tree import ChunkGroup, ChunkLayout

# CUDA launches one grid layer per batch entry of an attention call, and a grid has at most 65,535.
MAXIMUM_BATCH: Final = 65_535


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


def attend_chunks(
    query: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor], layout: ChunkLayout, heads: int
) -> Tensor:
    """Attention of many tokens at once, one small dense attention per chunk.

    Inside a chunk the tokens see few different nodes, so their rows are laid side by side once, and
    a fixed mask says who sees what.

    Args:
        query: (batch, chunks * chunk size, width), padded to whole chunks.
        keys: per level (batch, entries, rows per node, width), padded to whole chunks.
        values: as `keys`.
        layout: where the chunks lie.
        heads: attention heads; divides width.

    Returns:
        (batch, chunks * chunk size, width), before the output projection; padded places hold
        finite numbers without meaning.
    """
    batch, _, width = query.shape
    rows = [level.shape[2] for level in keys]
    # chunks come first, so that a group of chunks is a view: (chunks, batch, rows, width)
    queries = torch.unflatten(query, 1, (layout.chunks, -1)).transpose(0, 1)
    groups = list(_groups(layout, batch))
    sizes = [group.chunks for group in groups]
    outputs = []
    for group, group_queries, group_keys, group_values in zip(
        groups,
        torch.split(queries, sizes),
        torch.split(_chunk_rows(keys, layout), sizes),
        torch.split(_chunk_rows(values, layout), sizes),
        strict=True,
    ):
        mask = _chunk_mask(
            layout.exponent, tuple(rows[: group.levels + 1]), group.has_dummy, query.device
        )
        seen = mask.shape[1]
        mixed = F.scaled_dot_product_attention(
            _split_heads(group_queries, heads),
            _split_heads(group_keys[:, :, :seen], heads),
            _split_heads(group_values[:, :, :seen], heads),
            attn_mask=mask,
        )  # (chunks * batch, heads, chunk size, head width)
        outputs.append(mixed.transpose(1, 2).reshape(group.chunks, batch, -1, width))
    return torch.cat(outputs).transpose(0, 1).flatten(1, 2)


def _groups(layout: ChunkLayout, batch: int) -> Iterator[ChunkGroup]:
    """Groups of chunks, cut where one attention call would hold too many."""
    limit = max(MAXIMUM_BATCH // batch, 1)
    for group in layout.groups():
        for start in range(0, group.chunks, limit):
            yield ChunkGroup(min(limit, group.chunks - start), group.levels, group.has_dummy)


def _chunk_rows(levels: Sequence[Tensor], layout: ChunkLayout) -> Tensor:
    """Lay the rows that each chunk sees side by side, level by level.

    Takes per level (batch, entries, rows per node, width); gives (chunks, batch, rows, width).
    """
    parts = []
    for level, nodes in enumerate(levels):
        if level <= layout.exponent:
            part = torch.unflatten(nodes, 1, (layout.chunks, -1)).flatten(2, 3)
        else:
            # one node serves 2^(level - c) neighbouring chunks
            shared = 1 << (level - layout.exponent)
            part = nodes.unsqueeze(2).expand(-1, -1, shared, -1, -1).flatten(1, 2)
            part = part.narrow(1, layout.first_chunk % shared, layout.chunks)
        parts.append(part.transpose(0, 1))
    return torch.cat(parts, dim=2)


def _split_heads(rows: Tensor, heads: int) -> Tensor:
    """(chunks, batch, rows, width) -> (chunks * batch, heads, rows, head width)."""
    return torch.unflatten(rows.flatten(0, 1), -1, (heads, -1)).transpose(1, 2)


@lru_cache(maxsize=256)
def _chunk_mask(
    exponent: int, rows: tuple[int, ...], has_dummy: bool, device: torch.device
) -> Tensor:
    """Which rows of a chunk each of its tokens sees: boolean (chunk size, rows).

    `rows` says how many rows a node has, for each level. Kept between calls: the same few masks
    serve every chunk of every sequence.
    """
    # a tensor born in inference mode could not serve a backward pass later
    with torch.inference_mode(False):
        token = torch.arange(1 << exponent, device=device)[:, None]
        parts = []
        for level, count in enumerate(rows):
            entry = torch.arange(max(1 << exponent >> level, 1), device=device)
            visible = (token >> level) == entry
            if has_dummy and level:
                visible &= entry > 0  # node 0 of a level does not exist
            parts.append(visible.repeat_interleave(count, dim=1))
        return torch.cat(parts, dim=1)
