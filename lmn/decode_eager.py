"""Decoding with as few operations as possible, dispatched one by one.

At small widths a step costs what dispatching its operations costs, not what they compute. So every
view is made once, together with the memory, and every product then finds its inputs and outputs in
one piece, whatever the batch, banks and summarizer.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from lmn import tree
from lmn.config import LMNConfig
from lmn.decode_state import DecodeState
from lmn.decode_weights import FoldedWeights, norm_epsilon, stored
from lmn.state import state_type


class EagerState(DecodeState):
    """All memory that a step touches, and every view of it."""

    def _make_memory(self) -> None:
        # copies on their way take keys, values and nodes from the type of weights to that of state
        self._converts = self.input_dtype is not self.dtype
        self._allocate_token()
        self._allocate_tree()
        self._allocate_attention()

    def _newest(self) -> tuple[Tensor, Tensor]:
        slots = self._slots_after(self.tokens_seen)
        nodes = torch.cat([self._node(0).view(1, *self.shape), self._nodes])
        return nodes[:slots], self._key_value[:slots]

    def _store(self, nodes: Tensor, key_value: Tensor, tokens_seen: int) -> None:
        if tokens_seen:
            self._node(0).copy_(nodes[0])
            self._nodes[: len(nodes) - 1].copy_(nodes[1:])
            self._key_value[: len(key_value)].copy_(key_value)
        for level, (left, node) in enumerate(self._lefts):
            if tree.newest_node(tokens_seen, level) % 2:
                left.copy_(node)

    def _node(self, level: int) -> Tensor:
        """Newest node at `level`, (banks or 1, vectors, batch, width)."""
        if level == 0:
            return self._token_node.view(1, 1, self.batch, self.config.width)
        rows = self._nodes[self._slots(level - 1) - 1 : self._slots(level) - 1]
        return rows.view(self.config.banks, -1, self.batch, self.config.width)

    def _allocate_token(self) -> None:
        """Memory for the token on its way through the block, and for all keys and values."""
        config, batch, width, given = self.config, self.batch, self.config.width, self.input_dtype
        slots = self._slots(self.levels)
        # norm of (x, sqrt(width * eps)) = sqrt(width) * sqrt(mean(x^2) + eps)
        epsilon = norm_epsilon(config.norm_eps, given)
        extended = self._full((width * epsilon) ** 0.5, batch, width + 1, dtype=given)
        gain = self._full(width**0.5, batch, 1, dtype=given)
        if batch == 1 and not self._converts:
            # token | query | key and value of slot 0 | key and value of slot 1 | ...
            together = self._full(0.0, (2 + 2 * slots) * width)
            entry = together[: 4 * width].view(1, -1)
            self._key_value = together[2 * width :].view(slots, 1, -1)
            self._query = entry[:, width : 2 * width]
            self._spread: tuple[tuple[Tensor, Tensor], ...] = ()
        else:
            entry = self._full(0.0, batch, 4 * width, dtype=given)
            self._key_value = self._full(0.0, slots, batch, 2 * width)
            self._query = self._full(0.0, batch, width)
            self._spread = (
                (self._query, entry[:, width : 2 * width]),
                (self._key_value[0], entry[:, 2 * width :]),
            )
        self._token_node = entry[:, :width]
        if self._converts:
            self._token_node = self._full(0.0, batch, width)
            self._spread += ((self._token_node, entry[:, :width]),)
        self._token = extended[:, :width], extended, gain, entry
        # the feature that stays 1 multiplies the bias of the next product
        hidden_and_one = self._full(1.0, batch, config.hidden_width + 1, dtype=given)
        self._hidden = hidden_and_one[:, :-1], hidden_and_one

    def _allocate_tree(self) -> None:
        """Memory for nodes and for pairs of children, laid out as the merge reads them."""
        config, batch, width = self.config, self.batch, self.config.width
        banks, taps = config.banks, 1 + config.expansion
        mixing = config.conv_groups == "mix"
        self._nodes = self._full(0.0, self._slots(self.levels) - 1, batch, width)
        self._merges: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        self._lefts: list[tuple[Tensor, Tensor]] = []
        self._made: list[tuple[Tensor, Tensor]] = [(self._nodes[:0], self._key_value[:0])]
        for level in range(self.levels + 1):
            vectors = tree.vectors_per_node(level, config.expansion)
            # vector p of the parent reads vector p - tap of both children, if there is one
            shape = (vectors + taps - 1, batch, taps, 2)
            pairs = self._full(0.0, *((1, *shape, banks) if mixing else (banks, *shape, 1)), width)
            steps = pairs.stride()
            bank_step = steps[5] if mixing else steps[0]
            left, right = (
                pairs.as_strided(
                    (banks, vectors, batch, taps, width),
                    (bank_step, steps[1], steps[2], steps[1] + steps[3], 1),
                    child * steps[4],
                )
                for child in (0, 1)
            )
            node = self._node(level).unsqueeze(3)
            self._lefts.append((left, node))
            if level == self.levels:
                break
            pair = pairs.view(len(pairs), shape[0] * batch, -1).expand(banks, -1, -1)
            parent = self._node(level + 1).flatten(1, 2)
            if banks == 1:
                pair, parent = pair[0], parent[0]
            self._merges.append((right, node, pair, parent))
            made = self._slots(level + 1)
            self._made.append(
                (self._nodes[: made - 1].flatten(0, 1), self._key_value[1:made].flatten(0, 1))
            )

    def _allocate_attention(self) -> None:
        """Views of queries, keys and values: (batch * heads, ...), for each number of levels."""
        config, batch, width = self.config, self.batch, self.config.width
        rows = batch * config.heads
        query = self._query.view(rows, 1, -1)
        scratch = self._full(0.0, 2, rows * self._slots(self.levels))
        self._attention: list[tuple[Tensor, Tensor, Tensor, Tensor, Tensor]] = []
        for level in range(self.levels + 1):
            slots = self._slots(level)
            key, value = self._key_value[:slots].view(slots, rows, 2, -1).unbind(2)
            scores, shares = scratch[:, : rows * slots].view(2, rows, 1, slots)
            self._attention.append(
                (query, key.permute(1, 2, 0), value.transpose(0, 1), scores, shares)
            )
        # as in the hidden features, a 1 for the bias
        self._mixed_and_one = self._full(1.0, batch, width + 1, dtype=self.input_dtype)
        self._gather: tuple[tuple[Tensor, Tensor], ...] = ()
        self._mixed_apart = batch > 1 or self._converts
        if self._mixed_apart:
            self._mixed = self._full(0.0, rows, 1, config.head_width)
            self._gather = ((self._mixed_and_one[:, :width], self._mixed.view(batch, width)),)
        elif config.heads > 1:
            self._mixed = self._mixed_and_one[:, :width].view(rows, 1, -1)
        else:
            self._mixed = self._token[0].unsqueeze(1)


class EagerExecution:
    """The operations of a step, on the views of an `EagerState`."""

    state_type = EagerState

    def __init__(self, config: LMNConfig, folded: FoldedWeights, dtype: torch.dtype) -> None:
        self.config = config
        tree_dtype = state_type(dtype)
        # one product gives token | query | key and value: a part of ones and zeros costs less than
        # the two operations that would take the token apart from what its norm adds
        token = torch.eye(config.width, dtype=folded.query.dtype, device=folded.query.device)
        entry = torch.cat([token, folded.query, folded.key_value], dim=1)
        no_bias = torch.zeros_like(folded.query_bias)
        entry_bias = torch.cat([no_bias, folded.query_bias, folded.key_value_bias], dim=1)
        self._entry = stored(_after_norm(folded.norm1, entry), dtype)
        self._entry_bias = stored(entry_bias, dtype)
        self._key_value = stored(folded.key_value, dtype)
        self._key_value_bias = stored(folded.key_value_bias, dtype)

        one_bank = config.banks == 1
        merge, merge_bias = (stored(part, tree_dtype) for part in (folded.merge, folded.merge_bias))
        self._merge, self._merge_bias = (
            (merge[0], merge_bias[0]) if one_bank else (merge, merge_bias)
        )
        self._merge_product = torch.addmm if one_bank else torch.baddbmm

        self._output = stored(torch.cat([folded.output, folded.output_bias]), dtype)
        self._up = stored(_after_norm(folded.norm2, folded.up), dtype)
        self._up_bias = stored(folded.up_bias, dtype)
        down = torch.cat([folded.down, folded.down_bias])
        # from many features to few, a product is 5 to 10 % of a step faster with transposed weights
        self._down = stored(down.t(), dtype).t()

    def step(self, x: Tensor, state: EagerState, merges: int, levels: int) -> Tensor:
        """The operations of a step that rebuilds `merges` levels and sees `levels` of them."""
        residual, extended, gain, entry = state._token
        residual.copy_(x)
        # the last of the width + 1 features stands for the norm's epsilon
        normalized = torch._weight_norm(extended, gain, 0)
        torch.addmm(self._entry_bias, normalized, self._entry, out=entry)
        for target, source in state._spread:
            target.copy_(source)
        self._rebuild(state, merges)
        self._attend(state, levels)
        normalized = torch._weight_norm(extended, gain, 0)
        hidden, hidden_and_one = state._hidden
        torch.addmm(self._up_bias, normalized, self._up, out=hidden)
        F.silu(hidden, inplace=True)
        return torch.addmm(residual, hidden_and_one, self._down)

    def _rebuild(self, state: EagerState, merges: int) -> None:
        """Make the nodes of levels 1..merges; the last one then waits for its right sibling."""
        for right, node, pair, parent in state._merges[:merges]:
            right.copy_(node)
            self._merge_product(self._merge_bias, pair, self._merge, out=parent)
        left, node = state._lefts[merges]
        left.copy_(node)
        if merges:
            nodes, key_value = state._made[merges]
            if state._converts:
                nodes = nodes.to(state.input_dtype)
                key_value.copy_(torch.addmm(self._key_value_bias, nodes, self._key_value))
            else:
                torch.addmm(self._key_value_bias, nodes, self._key_value, out=key_value)

    def _attend(self, state: EagerState, levels: int) -> None:
        """Add to the residual what the token reads out of its slots."""
        query, key, value, scores, shares = state._attention[levels]
        torch.bmm(query, key, out=scores)
        torch.softmax(scores, -1, out=shares)
        residual, mixed = state._token[0], state._mixed
        if self.config.heads > 1:
            torch.bmm(shares, value, out=mixed)
            for target, source in state._gather:
                target.copy_(source)
            torch.addmm(residual, state._mixed_and_one, self._output, out=residual)
        elif state._mixed_apart:
            torch.bmm(shares, value, out=mixed)
            residual.add_(mixed[:, 0])
        else:
            torch.baddbmm(mixed, shares, value, out=mixed)  # a view of the residual


def _after_norm(norm: Tensor, weight: Tensor) -> Tensor:
    """Weight (width + 1, out) that scales by the norm's weight and ignores the last feature."""
    return F.pad(norm[:, None] * weight, (0, 0, 0, 1))
