"""What a block costs, worked out from its configuration alone: parameters, FLOPs, bytes moved,
slots, state bytes.

FLOPs are those of matrix products, 2 * m * n * k for every product that `LMNBlock.forward` and
`Decoder.step` run: linear maps, merges (a transposed convolution counts 2 * inputs * width * width
* taps), keys and values of each row that a chunk sees, and both products of attention over all
pairs of a chunk's tokens and rows, masked ones and padding included. They equal what
`torch.utils.flop_counter.FlopCounterMode` counts on the real ones. Norms, activations, biases,
softmax and copies are left out, as usual.

Bytes moved are the least traffic that the computation can do with: each of the tensors named below
is written once and read once from memory, and everything else (norms, queries, keys, values,
scores, hidden features) stays inside a fused operation. `prefill_bytes` counts, in vectors of
`width`, those of the tree in float32 at least:

| tensor | written | read |
|---|---|---|
| parameters | | once per call, whatever the batch |
| input, output | output | input |
| new nodes, level 1 and up | 1 a row | 1 a row |
| rows that a chunk's tokens see, level 1 and up | | 1 a row and chunk, new or of before |
| state | 1 a row after | 1 a row before |

All functions are per block. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lmn import tree
from lmn.config import LMNConfig

# a decoder keeps a node's own features, its key and its value, as in `lmn.decode_state`
DECODE_STATE_PARTS: Final = 3
# the tree is a long recursion, which half precision would spoil: its numbers are float32 at least
MINIMUM_STATE_ITEMSIZE: Final = 4
# backward runs two products for each linear one, and five for attention's two: the scores again,
# and the gradients of scores, queries, keys and values
LINEAR_TRAINING_FACTOR: Final = 3
ATTENTION_BACKWARD_PRODUCTS: Final = 5
# hidden features of the feed-forward part, and keys and values of nodes, are not kept: one product
# more for each
AGAIN: Final = 1


def parameter_count(config: LMNConfig) -> int:
    """Learned numbers of one block."""
    width, hidden = config.width, config.hidden_width
    norms = 2 * width
    projections = 4 * (width * width + width)
    feedforward = 2 * width * hidden + hidden + width
    return norms + projections + feedforward + summarizer_parameter_count(config)


def summarizer_parameter_count(config: LMNConfig) -> int:
    """Learned numbers of what merges two nodes."""
    width, banks = config.width, config.banks
    if config.summarizer == "conv" and config.conv_groups == "mix":
        summarizer = 2 * (banks * width) ** 2 + banks * width
    else:
        summarizer = banks * (2 * width * width + width)
    if config.summarizer == "expander":
        summarizer += width * width * (1 + config.expansion) + width
    return summarizer


def is_folded(config: LMNConfig, tokens: int) -> bool:
    """Whether a forward pass over `tokens` tokens folds key into query and value into output.

    With one head, (Wq x) . (Wk s) = (Wk^T Wq x) . s: no node needs a key or a value. It takes two
    products of weights with weights, which pays from about `width` tokens on.
    """
    return config.heads == 1 and tokens >= config.width


def slot_count(config: LMNConfig, tokens: int) -> int:
    """Slots that token number `tokens` sees, and rows of the state after it."""
    return tree.slot_count(tokens, config.banks, config.expansion)


def state_bytes(config: LMNConfig, tokens: int, batch: int = 1, itemsize: int = 4) -> int:
    """Bytes of a `MemoryState` after `tokens` tokens; `itemsize` is that of weights and inputs.

    Half-precision weights have a state of float32.
    """
    return slot_count(config, tokens) * config.width * batch * state_itemsize(itemsize)


def decode_state_bytes(config: LMNConfig, tokens: int, batch: int = 1, itemsize: int = 4) -> int:
    """Bytes of a `DecodeState` after `tokens` tokens, which holds keys and values too."""
    return DECODE_STATE_PARTS * state_bytes(config, tokens, batch, itemsize)


def state_itemsize(itemsize: int) -> int:
    """Bytes of a number in the state where weights have numbers of `itemsize` bytes."""
    return max(itemsize, MINIMUM_STATE_ITEMSIZE)


def prefill_flops(config: LMNConfig, tokens: int, batch: int = 1, tokens_before: int = 0) -> int:
    """FLOPs of one forward pass over `tokens` tokens, from nothing or after `tokens_before`."""
    flops = batch * tree_flops(config, tokens_before, tokens_before + tokens)
    for layout, times in _layouts(config, tokens, batch, tokens_before):
        if layout.tokens == 1:
            flops += times * batch * _step_flops(config, layout)
            continue
        segment = batch * _linear_flops(config, layout) + _folding_flops(config, layout)
        segment += batch * _key_value_flops(config, layout)
        segment += batch * 2 * _attention_product_flops(config, layout)
        flops += times * segment
    return flops


def tree_flops(config: LMNConfig, before: int, last: int) -> int:
    """FLOPs of making the nodes that the tokens number `before` + 1 to `last` complete."""
    flops = 0
    for level in range(1, tree.level_count(last) + 1):
        made = tree.newest_node(last, level) - tree.newest_node(before, level)
        flops += made * _merge_flops(config, level)
    return flops


def training_flops(config: LMNConfig, tokens: int, batch: int = 1) -> int:
    """FLOPs of forward and backward over `tokens` tokens from nothing, for all gradients."""
    flops = AGAIN * batch * tokens * 2 * config.width * config.hidden_width
    flops += LINEAR_TRAINING_FACTOR * batch * tree_flops(config, 0, tokens)
    for layout, times in _layouts(config, tokens, batch, 0):
        if layout.tokens == 1:
            flops += times * LINEAR_TRAINING_FACTOR * batch * _step_flops(config, layout)
            continue
        linear = batch * _linear_flops(config, layout) + _folding_flops(config, layout)
        segment = LINEAR_TRAINING_FACTOR * linear
        key_value = batch * _key_value_flops(config, layout)
        segment += (LINEAR_TRAINING_FACTOR + AGAIN) * key_value
        products = 2 + ATTENTION_BACKWARD_PRODUCTS
        segment += products * batch * _attention_product_flops(config, layout)
        flops += times * segment
    return flops


def decode_flops(config: LMNConfig, tokens_seen: int, batch: int = 1) -> int:
    """FLOPs of the `Decoder.step` that reads token number `tokens_seen` + 1, merges included."""
    return _decode_flops(config, tokens_seen + 1, tree.merges_at(tokens_seen + 1), batch)


def mean_decode_flops(config: LMNConfig, tokens_seen: int, batch: int = 1) -> float:
    """FLOPs of a step at this many slots, merges averaged: level i is rebuilt every 2^i tokens."""
    token = tokens_seen + 1
    flops = [
        _decode_flops(config, token, merges, batch) for merges in range(tree.level_count(token) + 1)
    ]
    rarer = zip(flops[1:], flops[:-1], strict=True)
    return flops[0] + sum((more - less) / (1 << i) for i, (more, less) in enumerate(rarer, start=1))


def worst_decode_flops(config: LMNConfig, tokens_seen: int, batch: int = 1) -> int:
    """FLOPs of a step at this many slots when all levels are rebuilt, as at powers of two."""
    token = tokens_seen + 1
    return _decode_flops(config, token, tree.level_count(token), batch)


def prefill_bytes(
    config: LMNConfig, tokens: int, batch: int = 1, itemsize: int = 4, tokens_before: int = 0
) -> int:
    """Bytes that one forward pass moves at least; from nothing or after `tokens_before` tokens."""
    outside = parameter_count(config) + 2 * batch * tokens * config.width
    of_tree = batch * _tree_vectors(config, tokens, tokens_before) * config.width
    return itemsize * outside + state_itemsize(itemsize) * of_tree


def made_rows(config: LMNConfig, before: int, last: int) -> int:
    """Rows of the nodes that the tokens number `before` + 1 to `last` complete."""
    return sum(
        tree.rows_per_node(level, config.banks, config.expansion)
        * (tree.newest_node(last, level) - tree.newest_node(before, level))
        for level in range(1, tree.level_count(last) + 1)
    )


def training_bytes(config: LMNConfig, tokens: int, batch: int = 1, itemsize: int = 4) -> int:
    """Bytes that forward and backward over `tokens` tokens from nothing move at least.

    Backward reads or makes again whatever forward moved, and moves as many gradients; parameters
    are read twice and their gradients written once.
    """
    return 3 * prefill_bytes(config, tokens, batch, itemsize)


def decode_bytes(config: LMNConfig, tokens_seen: int, batch: int = 1, itemsize: int = 4) -> int:
    """Bytes that the one step which reads token number `tokens_seen` + 1 moves at least.

    Parameters are read once, the summarizer's only where something is merged. In vectors: the token
    is read and its output written; the keys and values of all slots are read; of each merge the
    node that waited is read; the rows that change (node, key, value) are written. What is in the
    state, and what merges multiply by, is of the state's type.
    """
    token = tokens_seen + 1
    merges = tree.merges_at(token)
    rows = [tree.rows_per_node(i, config.banks, config.expansion) for i in range(merges + 1)]
    vectors = 2 * slot_count(config, token) + sum(rows[:-1]) + DECODE_STATE_PARTS * sum(rows)
    merging = summarizer_parameter_count(config)
    kept = batch * vectors * config.width + (merging if merges else 0)
    other = parameter_count(config) - merging + 2 * batch * config.width
    return itemsize * other + state_itemsize(itemsize) * kept


def _tree_vectors(config: LMNConfig, tokens: int, tokens_before: int) -> int:
    """Vectors of the tree of one sequence that a forward pass moves; the table above."""
    last = tokens_before + tokens
    chunk_exponent = tree.chunk_layout(tokens_before, tokens, config.width).exponent
    seen = 0
    for level in range(1, tree.level_count(last) + 1):
        rows = tree.rows_per_node(level, config.banks, config.expansion)
        # a low node serves one chunk, a high one many: count nodes, or chunks
        shift = min(level, chunk_exponent)
        first = max(tokens_before + 1, 1 << level)
        seen += rows * ((last >> shift) - (first >> shift) + 1)
    state = slot_count(config, tokens_before) + slot_count(config, last)
    return 2 * made_rows(config, tokens_before, last) + seen + state


def _linear_flops(config: LMNConfig, layout: tree.ChunkLayout) -> int:
    """Products outside attention in one forward pass over one sequence, without the tree and its
    rows' keys and values; tokens are padded to whole chunks.
    """
    padded = layout.chunks * layout.chunk_size
    # folded, one product makes the query and nothing else is needed
    projections = 1 if is_folded(config, layout.tokens) else 3
    flops = padded * projections * 2 * config.width**2
    return flops + layout.tokens * _after_attention_flops(config)


def _step_flops(config: LMNConfig, layout: tree.ChunkLayout) -> int:
    """A token alone, without the tree: its query, that query as nodes want it, every head's scores
    of and sums over raw nodes, and values out of these.
    """
    attention = 4 * slot_count(config, layout.last_token) * config.heads * config.width
    projections = 6 * config.width**2
    return projections + attention + _after_attention_flops(config)


def _folding_flops(config: LMNConfig, layout: tree.ChunkLayout) -> int:
    """Two products of weights with weights, whatever the batch."""
    return 4 * config.width**3 if is_folded(config, layout.tokens) else 0


def _key_value_flops(config: LMNConfig, layout: tree.ChunkLayout) -> int:
    """Keys and values of the rows that the chunks see, and of one of zeros in each."""
    if is_folded(config, layout.tokens):
        return 0
    rows = layout.chunks * (layout.rows_per_chunk(config.banks, config.expansion) + 1)
    return rows * 4 * config.width**2


def _attention_product_flops(config: LMNConfig, layout: tree.ChunkLayout) -> int:
    """One of attention's two products, over all chunks: every token of a chunk with every row, and
    with one of zeros that keeps the place of the token's own score.
    """
    rows = layout.chunks * (layout.rows_per_chunk(config.banks, config.expansion) + 1)
    return 2 * rows * layout.chunk_size * config.width


def _layouts(
    config: LMNConfig, tokens: int, batch: int, tokens_before: int
) -> Iterator[tuple[tree.ChunkLayout, int]]:
    """The layouts of the segments that a block works on one after the other, and how many segments
    cost the same but for the tree.
    """
    size = tree.segment_tokens(batch, config.width)
    for first, last, times in tree.segment_runs(tokens_before, tokens, size):
        yield tree.chunk_layout(tokens_before + first, last - first, config.width), times


def _decode_flops(config: LMNConfig, token: int, merges: int, batch: int) -> int:
    """One step of a `Decoder`: a feature of ones carries biases, and the first product hands the
    token on. With one head the output projection is part of the values.
    """
    width, hidden = config.width, config.hidden_width
    flops = 8 * (width + 1) * width + 4 * slot_count(config, token) * width
    if config.heads > 1:
        flops += 2 * (width + 1) * width
    flops += 2 * (width + 1) * hidden + 2 * (hidden + 1) * width
    for level in range(1, merges + 1):
        rows = tree.rows_per_node(level, config.banks, config.expansion)
        inputs = 2 * (1 + config.expansion) * width
        if config.conv_groups == "mix":
            inputs *= config.banks
        flops += 2 * rows * (inputs + 2 * width) * width
    return batch * flops


def _after_attention_flops(config: LMNConfig) -> int:
    """Output projection and feed-forward of one token."""
    return 2 * config.width**2 + 4 * config.width * config.hidden_width


def _merge_flops(config: LMNConfig, level: int) -> int:
    """Making one node at `level` out of its children."""
    width, banks = config.width, config.banks
    if config.summarizer == "conv" and config.conv_groups == "mix":
        return 4 * (banks * width) ** 2
    merge = 4 * tree.rows_per_node(level, banks, config.expansion) * width**2
    if config.summarizer == "expander":
        child_rows = tree.rows_per_node(level - 1, banks, config.expansion)
        merge += 4 * child_rows * (1 + config.expansion) * width**2
    return merge
