"""Single-vector attention as one fused Triton kernel, forward and backward.

This module says where nodes lie, checks what it is given, and makes the kernels operators that
autograd and torch.compile know; `lmn.triton_kernels` tells how they work.

Importing this module needs no triton; calling `attend_triton` does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import torch
from torch import Tensor

from lmn import tree
from lmn.triton_kernels import backward_kernel, forward_kernel, triton

# Guesses, not measured: written on a machine without a GPU. Both are powers of two and at least 16,
# the least that a matrix product on tensor cores takes. More tokens per block load the high nodes
# less often and compute more masked scores.
BLOCK_TOKENS: Final = 32
TILE_SLOTS: Final = 32
WARPS: Final = 4

# the least extent of a matrix product's inner axis
MINIMUM_BLOCK_WIDTH: Final = 16
# Backward keeps seven blocks of block size x head width at hand; wider heads do not fit.
MAXIMUM_HEAD_WIDTH: Final = 128

DTYPES: Final = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
# columns of the table that `_slot_table` makes
COLUMNS: Final = 6


@dataclass(frozen=True)
class NodeList:
    """Where the nodes of one level lie in the packed rows.

    Attributes:
        level: their level, at least 1.
        first_row: row at which the list starts.
        rows_per_node: rows of one node, banks * (1 + level * expansion).
        first_node: number j of the first node in the list.
        nodes: how many there are.
    """

    level: int
    first_row: int
    rows_per_node: int
    first_node: int
    nodes: int

    @property
    def end_row(self) -> int:
        """Row after the last one of the list."""
        return self.first_row + self.nodes * self.rows_per_node


def node_lists(tokens_before: int, tokens: int, banks: int, expansion: int) -> tuple[NodeList, ...]:
    """Layout of the packed rows for `tokens` tokens that follow `tokens_before`.

    Level by level from 1: the newest node of before, if there is one, and then the nodes that these
    tokens complete. Token t reads entry floor(t / 2^level) - first_node of each list.
    """
    lists: list[NodeList] = []
    last = tokens_before + tokens
    row = 0
    for level in range(1, tree.level_count(last) + 1):
        first = max(tree.newest_node(tokens_before, level), 1)
        nodes = tree.newest_node(last, level) - first + 1
        rows = tree.rows_per_node(level, banks, expansion)
        lists.append(NodeList(level, row, rows, first, nodes))
        row = lists[-1].end_row
    return tuple(lists)


def attend_triton(
    projected: Tensor,
    nodes: Tensor,
    *,
    tokens_before: int,
    heads: int,
    banks: int,
    expansion: int = 0,
) -> Tensor:
    """Attention of the tokens tokens_before + 1, ... each over itself and the nodes it sees.

    softmax(q . k / sqrt(width / heads)) v, summed in float32 (float64 for float64). Nothing of size
    tokens x slots is ever stored. Both inputs may be views, as long as features lie side by side.

    Args:
        projected: queries, keys and values of the tokens, (batch, tokens, 3 * width).
        nodes: keys and values of the nodes, (batch, rows, 2 * width), packed as `node_lists` says.
        tokens_before: tokens read before these.
        heads: attention heads; divides width.
        banks: banks per level, K.
        expansion: vectors that a node gains per level, v.

    Returns:
        (batch, tokens, width), before the output projection.

    Raises:
        RuntimeError: triton is not installed; or the tensors are not on a GPU and triton does not
            interpret; or backward runs while PyTorch is told to use deterministic algorithms.
        ValueError: shapes, strides, devices or the head width do not fit.
        TypeError: the types differ or are not supported.
    """
    _check_platform(projected)
    _check_tensors(projected, nodes, heads)
    tokens = projected.shape[1]
    lists = node_lists(tokens_before, tokens, banks, expansion)
    expected = lists[-1].end_row if lists else 0
    if nodes.shape[1] != expected:
        raise ValueError(
            f"expected {expected} packed rows of nodes for tokens {tokens_before + 1} to "
            f"{tokens_before + tokens} with banks={banks} and expansion={expansion}, got "
            f"{nodes.shape[1]}; pack them as lmn.triton_attention.node_lists says"
        )
    table, private = _slot_table(tokens_before, tokens, banks, expansion, projected.device)
    # triton launches on the current device; -1 leaves it alone
    with torch.cuda.device(-1 if projected.device.index is None else projected.device.index):
        output: Tensor = _attend(projected, nodes, table, private, tokens_before, heads)[0]
    return output


def _check_platform(projected: Tensor) -> None:
    instead = 'or use the chunked form, implementation="chunked"'
    if triton is None:
        raise RuntimeError(
            "attend_triton needs the package triton, which cannot be imported here; "
            f"install it (pip install triton) {instead}"
        )
    interpreted = not isinstance(forward_kernel, triton.JITFunction)
    if interpreted and projected.dtype == torch.bfloat16:
        raise TypeError(
            "triton's interpreter multiplies bfloat16 wrongly (it takes the bits for integers); "
            "use float32 or float16 with TRITON_INTERPRET=1"
        )
    if not interpreted and projected.device.type != "cuda":
        raise RuntimeError(
            f"attend_triton needs tensors on a GPU, these are on {projected.device}; move model "
            "and input to 'cuda', set TRITON_INTERPRET=1 before Python starts (slow, for tests), "
            f"{instead}"
        )


def _check_tensors(projected: Tensor, nodes: Tensor, heads: int) -> None:
    if projected.dtype not in DTYPES:
        names = ", ".join(str(dtype) for dtype in DTYPES)
        raise TypeError(f"attend_triton takes {names}, got {projected.dtype}: convert the input")
    if nodes.dtype != projected.dtype:
        raise TypeError(f"nodes are {nodes.dtype} and projected {projected.dtype}: convert one")
    if nodes.device != projected.device:
        raise ValueError(f"nodes are on {nodes.device}, projected on {projected.device}: move one")
    shape = tuple(projected.shape)
    if len(shape) != 3 or 0 in shape or shape[2] % 3:
        raise ValueError(
            "expected projected (batch, tokens, 3 * width) with at least one entry along each, "
            f"got shape {shape}"
        )
    width = shape[2] // 3
    if nodes.dim() != 3 or (nodes.shape[0], nodes.shape[2]) != (shape[0], 2 * width):
        raise ValueError(
            f"expected nodes (batch={shape[0]}, rows, 2 * width={2 * width}), "
            f"got shape {tuple(nodes.shape)}"
        )
    if heads < 1 or width % heads:
        raise ValueError(f"heads must divide width, but {heads} does not divide {width}")
    if width // heads > MAXIMUM_HEAD_WIDTH:
        raise ValueError(
            f"attend_triton takes a head width of at most {MAXIMUM_HEAD_WIDTH}, got "
            f"{width // heads} (width {width} / heads {heads}); take more heads or the chunked form"
        )
    for name, tensor in (("projected", projected), ("nodes", nodes)):
        if tensor.stride(2) != 1:
            raise ValueError(
                f"features of {name} must lie side by side, got strides {tensor.stride()}; "
                f"pass {name}.contiguous()"
            )


@lru_cache(maxsize=256)
def _slot_table(
    tokens_before: int, tokens: int, banks: int, expansion: int, device: torch.device
) -> tuple[Tensor, int]:
    """Slots that the tokens of any one block see between them, and how many come first.

    First are the slots of nodes that one block alone sees, then those that neighbouring blocks
    share; both parts are filled up to whole tiles with slots that do not exist. Integers (columns,
    slots): level, number of the node counted from the block's first one at this level, first and
    number of nodes in the level's list, row of this slot in the first of them, rows per node.
    """
    private: list[tuple[int, ...]] = []
    shared: list[tuple[int, ...]] = []
    for nodes in node_lists(tokens_before, tokens, banks, expansion):
        in_block = BLOCK_TOKENS >> nodes.level
        slots = private if in_block else shared
        slots += [
            (nodes.level, node, nodes.first_node, nodes.nodes, row, nodes.rows_per_node)
            for node in range(max(in_block, 1))
            for row in range(nodes.first_row, nodes.first_row + nodes.rows_per_node)
        ]
    for slots in (private, shared):
        slots += [(0,) * COLUMNS] * (-len(slots) % TILE_SLOTS)
    # a tensor born in inference mode could not serve a backward pass later
    with torch.inference_mode(False):
        table = torch.tensor([*private, *shared], dtype=torch.int32).reshape(-1, COLUMNS)
        return table.T.contiguous().to(device), len(private)


def _forward(
    projected: Tensor, nodes: Tensor, table: Tensor, private: int, tokens_before: int, heads: int
) -> tuple[Tensor, Tensor]:
    """Output (batch, tokens, width) and log2 of the softmax's sum (batch, heads, tokens).

    `private` is there for the backward pass, which sees what this function was given.
    """
    batch, tokens, features = projected.shape
    precise = torch.float64 if projected.dtype == torch.float64 else torch.float32
    output = projected.new_empty(batch, tokens, features // 3)
    log_sum = projected.new_empty(batch, heads, tokens, dtype=precise)
    blocks = _blocks(tokens_before, tokens)
    torch.library.wrap_triton(forward_kernel)[(blocks * batch * heads,)](
        projected, nodes, table, output, log_sum, *projected.stride()[:2], *nodes.stride()[:2],
        tokens_before, tokens, blocks, table.shape[1], **_fixed(heads, features // 3 // heads),
    )  # fmt: skip
    return output, log_sum


def _backward(
    projected: Tensor,
    nodes: Tensor,
    table: Tensor,
    output: Tensor,
    log_sum: Tensor,
    d_output: Tensor,
    private: int,
    tokens_before: int,
    heads: int,
) -> tuple[Tensor, Tensor]:
    """Gradients of `projected` and `nodes`."""
    batch, tokens, features = projected.shape
    d_projected = projected.new_empty(projected.shape)
    # zeros to add to; in the type of the sums, whatever that of the inputs
    d_nodes = nodes.new_zeros(nodes.shape, dtype=log_sum.dtype)
    blocks, head_width = _blocks(tokens_before, tokens), features // 3 // heads
    torch.library.wrap_triton(backward_kernel)[(blocks * batch * heads,)](
        projected, nodes, table, output, log_sum, d_output.contiguous(), d_projected, d_nodes,
        *projected.stride()[:2], *nodes.stride()[:2], tokens_before, tokens, blocks, table.shape[1],
        private, nodes.shape[1], scale=head_width**-0.5, **_fixed(heads, head_width),
    )  # fmt: skip
    return d_projected, d_nodes.to(nodes.dtype)


def _blocks(tokens_before: int, tokens: int) -> int:
    """Blocks that hold any of the tokens."""
    return (tokens_before + tokens) // BLOCK_TOKENS - (tokens_before + 1) // BLOCK_TOKENS + 1


def _fixed(heads: int, head_width: int) -> dict[str, Any]:
    """What a kernel is compiled for; floats too, as those passed at run time keep but 32 bits."""
    return {
        "heads": heads,
        "head_width": head_width,
        "scale_log2": head_width**-0.5 * math.log2(math.e),
        "block_tokens": BLOCK_TOKENS,
        "tile_slots": TILE_SLOTS,
        "block_width": max(1 << (head_width - 1).bit_length(), MINIMUM_BLOCK_WIDTH),
        "num_warps": WARPS,
    }


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    projected, nodes, table, *ctx.numbers = inputs
    ctx.save_for_backward(projected, nodes, table, *output)


def _differentiate(ctx: Any, d_output: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    table, private = ctx.saved_tensors[2], ctx.numbers[0]
    if torch.are_deterministic_algorithms_enabled() and table.shape[1] > private:
        raise RuntimeError(
            "the backward pass of attend_triton adds up in no fixed order, and PyTorch is told to "
            "use deterministic algorithms; use the chunked form, or "
            "torch.use_deterministic_algorithms(False)"
        )
    gradients = _attend_backward(*ctx.saved_tensors, d_output, *ctx.numbers)
    return (*gradients, None, None, None, None)


if triton is not None:
    # operators instead of an autograd.Function: torch.compile sees the kernels inside
    _attend: Any = torch.library.triton_op("lmn::attend_nodes", _forward, mutates_args=())
    _attend_backward: Any = torch.library.triton_op(
        "lmn::attend_nodes_backward", _backward, mutates_args=()
    )
    _attend.register_autograd(_differentiate, setup_context=_save)
