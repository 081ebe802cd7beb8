"""Decoding with the same few shapes at every position: what a compiler or a graph needs.

Two functions of tensors make up a step: `merge_level` makes one node, `read_token` does the rest.
Neither knows the token's number. Which level is merged is said by vectors of row numbers, of the
same length for every level, and levels that do not exist yet are masked. Nodes are stored at one
of two places of their level, as left or as right children, so a step never writes what it has
still to read: run twice, it gives what it gives when run once.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lmn.config import LMNConfig
from lmn.decode_weights import FoldedWeights, norm_epsilon, stored
from lmn.state import state_type


class StaticWeights(NamedTuple):
    """Weights (in, out) and biases (1, out), rounded; `merge` and `merge_bias` to the tree's type.

    Beside them stand the numbers that a compiler may take as constants.
    """

    norm1: Tensor
    query_key_value: Tensor
    query_key_value_bias: Tensor
    merge: Tensor
    merge_bias: Tensor
    output: Tensor
    output_bias: Tensor
    norm2: Tensor
    up: Tensor
    up_bias: Tensor
    down: Tensor
    down_bias: Tensor
    heads: int
    epsilon: float


class Memory(NamedTuple):
    """What steps write to, and the mask.

    Attributes:
        nodes: (batch, rows, width): zeros, unused, then for every level the bank by bank places of
            a left and of a right child.
        key_value: of the newest nodes, (batch, slots + 1, 2 * width); the last one is unused.
        mask: added to scores, (slots + 1,): 0, or -inf where nothing is yet.
    """

    nodes: Tensor
    key_value: Tensor
    mask: Tensor


def static_weights(config: LMNConfig, folded: FoldedWeights, dtype: torch.dtype) -> StaticWeights:
    """The folded weights as the two functions take them."""
    tree_dtype = state_type(dtype)
    entry = torch.cat([folded.query, folded.key_value], dim=1)
    entry_bias = torch.cat([folded.query_bias, folded.key_value_bias], dim=1)
    return StaticWeights(
        norm1=stored(folded.norm1, dtype),
        query_key_value=stored(entry, dtype),
        query_key_value_bias=stored(entry_bias, dtype),
        merge=stored(folded.merge, tree_dtype),
        merge_bias=stored(folded.merge_bias, tree_dtype),
        output=stored(folded.output, dtype),
        output_bias=stored(folded.output_bias, dtype),
        norm2=stored(folded.norm2, dtype),
        up=stored(folded.up, dtype),
        up_bias=stored(folded.up_bias, dtype),
        # from many features to few, a product is faster with transposed weights
        down=stored(folded.down.t(), dtype).t(),
        down_bias=stored(folded.down_bias, dtype),
        heads=config.heads,
        epsilon=norm_epsilon(config.norm_eps, dtype),
    )


def merge_level(
    x: Tensor,
    token_row: Tensor,
    children: Tensor,
    parent: Tensor,
    slots: Tensor,
    memory: Memory,
    weights: StaticWeights,
) -> None:
    """Make the newest node of one level out of its two children.

    Args:
        x: the token, (batch, width): one of the children at level 1. It is put in its place each
            time, so that this is one function for all levels.
        token_row: that place, (1,).
        children: rows of both children's vectors, in the order of the inputs of `merge`.
        parent: rows of the new node, (banks * vectors,).
        slots: of its keys and values, (banks * vectors,).
        memory: changed.
        weights: of the block.
    """
    batch, width = x.shape
    banks, inputs, _ = weights.merge.shape
    vectors = len(parent) // banks
    _place_token(x, token_row, memory, weights)
    pairs = memory.nodes.index_select(1, children).view(batch, -1, vectors, inputs)
    # the product is batched over banks: (banks or 1, batch * vectors, inputs)
    pairs = pairs.transpose(0, 1).reshape(-1, batch * vectors, inputs).expand(banks, -1, -1)
    made = torch.baddbmm(weights.merge_bias, pairs, weights.merge)
    nodes = made.view(banks, batch, vectors, width).transpose(0, 1).reshape(batch, -1, width)
    memory.nodes.index_copy_(1, parent, nodes)
    projection = weights.query_key_value[:, width:], weights.query_key_value_bias[:, width:]
    rows = nodes.to(x.dtype).flatten(0, 1)
    key_value = torch.addmm(projection[1], rows, projection[0]).view(batch, -1, 2 * width)
    memory.key_value.index_copy_(1, slots, key_value.to(nodes.dtype))


def read_token(
    x: Tensor, token_row: Tensor, first_slot: Tensor, memory: Memory, weights: StaticWeights
) -> Tensor:
    """The output (batch, width) of a token whose other slots are in place.

    Args:
        x: the token, (batch, width).
        token_row: where its node goes, (1,).
        first_slot: where its key and value go, (1,): a zero.
        memory: changed.
        weights: of the block.
    """
    batch, width = x.shape
    heads, nodes_dtype = weights.heads, memory.nodes.dtype
    token = _place_token(x, token_row, memory, weights)
    entry = torch.addmm(weights.query_key_value_bias, token, weights.query_key_value)
    entry = entry.to(nodes_dtype)
    memory.key_value.index_copy_(1, first_slot, entry[:, None, width:])
    query = entry[:, :width].view(batch, heads, 1, -1)
    # (batch, slots, heads, width / heads) each
    key, value = memory.key_value.view(batch, -1, heads, 2, width // heads).unbind(3)
    scores = query @ key.permute(0, 2, 3, 1) + memory.mask
    mixed = torch.softmax(scores, -1) @ value.transpose(1, 2)
    mixed = mixed.reshape(batch, width).to(x.dtype)
    if heads > 1:
        mixed = torch.addmm(weights.output_bias, mixed, weights.output)
    residual = x + mixed
    normalized = F.rms_norm(residual, (width,), weights.norm2, weights.epsilon)
    hidden = F.silu(torch.addmm(weights.up_bias, normalized, weights.up))
    return residual + torch.addmm(weights.down_bias, hidden, weights.down)


def _place_token(x: Tensor, row: Tensor, memory: Memory, weights: StaticWeights) -> Tensor:
    """Put the normalized token (batch, width) where it waits to be merged."""
    token = F.rms_norm(x, x.shape[1:], weights.norm1, weights.epsilon)
    memory.nodes.index_copy_(1, row, token[:, None].to(memory.nodes.dtype))
    return token
