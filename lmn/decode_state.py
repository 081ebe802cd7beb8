"""What a decoder keeps: all memory that a step touches, and every view of it, made once.

Within a level, slots lie bank by bank and not vector by vector as in a `MemoryState`: every product
then finds its inputs and its outputs in one piece, whatever the batch, banks and summarizer.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lmn import tree
from lmn.config import LMNConfig
from lmn.cost import DECODE_STATE_PARTS


class DecodeState:
    """What a `Decoder` keeps of its tokens, in memory that stays where it is.

    `Decoder.step` changes it in place; a second stream goes on from a `clone`. Made by
    `Decoder.initial_state` and `Decoder.from_memory_state`. It makes room for a fixed number of
    levels, and moves to larger memory by itself when a token needs one more. Names that begin with
    an underscore are there for `Decoder` alone.

    Attributes:
        config: sizes of the block that it belongs to.
        batch: sequences held side by side.
        shape: of each step's input, (batch, width).
        tokens_seen: tokens read so far, the same for every sequence.
        levels: the highest level with room: enough for 2^(levels + 1) - 1 tokens.
    """

    def __init__(
        self,
        config: LMNConfig,
        batch: int,
        levels: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.config = config
        self.batch = batch
        self.shape = torch.Size((batch, config.width))
        self.tokens_seen = 0
        self.dtype, self.device = dtype, device
        self._allocate(levels)

    @property
    def nodes(self) -> Tensor:
        """Newest node of every level in the order of `MemoryState.nodes`: (batch, slots, width)."""
        config = self.config
        slots = tree.slot_count(self.tokens_seen, config.banks, config.expansion)
        if slots == 0:
            return self._nodes.new_empty(self.batch, 0, config.width)
        nodes = torch.cat([self._node(0).view(1, *self.shape), self._nodes[: slots - 1]])
        return nodes[_slot_order(config, tree.level_count(self.tokens_seen))].transpose(0, 1)

    @property
    def nbytes(self) -> int:
        """Bytes to keep for the tokens seen: a node, its key and its value per slot."""
        config = self.config
        slots = tree.slot_count(self.tokens_seen, config.banks, config.expansion)
        return DECODE_STATE_PARTS * slots * self.batch * config.width * self.dtype.itemsize

    @property
    def allocated_bytes(self) -> int:
        """Bytes held: room for further levels, and for what lives within one step only, too."""
        return sum(memory.numel() * memory.element_size() for memory in self._memories)

    def clone(self) -> DecodeState:
        """A second stream that goes on from here, with memory of its own."""
        copy = DecodeState(self.config, self.batch, self.levels, self.dtype, self.device)
        copy._continue(self._node(0), self._nodes, self._key_value, self.tokens_seen)
        return copy

    def _grow(self, levels: int) -> None:
        before = self._node(0), self._nodes, self._key_value
        self._allocate(levels)
        self._continue(*before, self.tokens_seen)

    @torch.inference_mode(False)
    @torch.no_grad()
    def _load(self, nodes: Tensor, key_value: Tensor, tokens_seen: int) -> None:
        """Take over (batch, slots, width) nodes in the order of `MemoryState.nodes`.

        `key_value` is what `Decoder` makes of them, (batch, slots, 2 * width).
        """
        order = _slot_order(self.config, tree.level_count(tokens_seen))
        places = sorted(range(len(order)), key=order.__getitem__)
        nodes, key_value = (part.transpose(0, 1)[places] for part in (nodes, key_value))
        self._continue(nodes[:1], nodes[1:], key_value, tokens_seen)

    @torch.inference_mode(False)
    @torch.no_grad()
    def _continue(self, token: Tensor, nodes: Tensor, key_value: Tensor, tokens_seen: int) -> None:
        self._node(0).copy_(token.view_as(self._node(0)))
        self._nodes[: len(nodes)].copy_(nodes)
        self._key_value[: len(key_value)].copy_(key_value)
        self.tokens_seen = tokens_seen
        for level, (left, node) in enumerate(self._lefts):
            if tree.newest_node(tokens_seen, level) % 2:
                left.copy_(node)

    @torch.inference_mode(False)
    @torch.no_grad()
    def _allocate(self, levels: int) -> None:
        """Memory for `levels` levels, and every view of it that a step needs."""
        self.levels = levels
        self._memories: list[Tensor] = []
        self._allocate_token()
        self._allocate_tree()
        self._allocate_attention()

    def _full(self, value: float, *shape: int) -> Tensor:
        memory = torch.full(shape, value, dtype=self.dtype, device=self.device)
        self._memories.append(memory)
        return memory

    def _slots(self, level: int) -> int:
        """Slots of all levels up to `level`."""
        return tree.row_offset(level + 1, self.config.banks, self.config.expansion)

    def _node(self, level: int) -> Tensor:
        """Newest node at `level`, (banks or 1, vectors, batch, width)."""
        width = self.config.width
        if level == 0:
            return self._token[3][:, :width].view(1, 1, self.batch, width)
        rows = self._nodes[self._slots(level - 1) - 1 : self._slots(level) - 1]
        return rows.view(self.config.banks, -1, self.batch, width)

    def _allocate_token(self) -> None:
        """Memory for the token on its way through the block, and for all keys and values."""
        config, batch, width = self.config, self.batch, self.config.width
        slots = self._slots(self.levels)
        # norm of (x, sqrt(width * eps)) = sqrt(width) * sqrt(mean(x^2) + eps)
        extended = self._full((width * _epsilon(config, self.dtype)) ** 0.5, batch, width + 1)
        gain = self._full(width**0.5, batch, 1)
        if batch == 1:
            # token | query | key and value of slot 0 | key and value of slot 1 | ...
            together = self._full(0.0, (2 + 2 * slots) * width)
            entry = together[: 4 * width].view(1, -1)
            self._key_value = together[2 * width :].view(slots, 1, -1)
            self._query = entry[:, width : 2 * width]
            self._spread: tuple[tuple[Tensor, Tensor], ...] = ()
        else:
            entry = self._full(0.0, batch, 4 * width)
            self._key_value = self._full(0.0, slots, batch, 2 * width)
            self._query = self._full(0.0, batch, width)
            self._spread = (
                (self._query, entry[:, width : 2 * width]),
                (self._key_value[0], entry[:, 2 * width :]),
            )
        self._token = extended[:, :width], extended, gain, entry
        # the feature that stays 1 multiplies the bias of the next product
        hidden_and_one = self._full(1.0, batch, config.hidden_width + 1)
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
        self._mixed_and_one = self._full(1.0, batch, width + 1)
        self._gather: tuple[tuple[Tensor, Tensor], ...] = ()
        if batch > 1:
            self._mixed = self._full(0.0, rows, 1, config.head_width)
            self._gather = ((self._mixed_and_one[:, :width], self._mixed.view(batch, width)),)
        elif config.heads > 1:
            self._mixed = self._mixed_and_one[:, :width].view(rows, 1, -1)
        else:
            self._mixed = self._token[0].unsqueeze(1)


def _slot_order(config: LMNConfig, levels: int) -> list[int]:
    """Where each slot of a `MemoryState` with `levels` levels lies among those of a decoder."""
    order = [0]
    for level in range(1, levels + 1):
        start = len(order)
        vectors = tree.vectors_per_node(level, config.expansion)
        order += [
            start + bank * vectors + vector
            for vector in range(vectors)
            for bank in range(config.banks)
        ]
    return order


def _epsilon(config: LMNConfig, dtype: torch.dtype) -> float:
    """Epsilon of the norms; `nn.RMSNorm` computes half precision in float32, and takes its."""
    if config.norm_eps is not None:
        return config.norm_eps
    return torch.finfo(torch.float32 if dtype.itemsize < 4 else dtype).eps
