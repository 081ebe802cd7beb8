"""The memory that `lmn.decode_static` works on, and where in it each merge reads and writes."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from lmn import tree
from lmn.decode_state import DecodeState
from lmn.decode_static import Memory

# More room changes shapes: a compiler starts anew, graphs are recorded anew. 16 times as many
# tokens until the next time, for a few rows that attention reads in vain.
GROWTH_LEVELS: Final = 4
LEFT: Final = 0
RIGHT: Final = 1
# rows of `Memory.nodes` that are no nodes: zeros in place of missing children, and what is unused
ZERO_ROW: Final = 0
UNUSED_ROW: Final = 1
FIRST_ROW: Final = 2


class MergeRows(NamedTuple):
    """Where `merge_level` finds the children of a level, and puts what it makes.

    Attributes:
        children: rows of nodes, (groups * vectors * inputs / width,); groups are banks, or 1 if
            banks mix; vectors are those of the highest level.
        parent: rows of nodes, (banks * vectors,), for a left and for a right child.
        slots: of keys and values, (banks * vectors,).
    """

    children: Tensor
    parent: tuple[Tensor, Tensor]
    slots: Tensor


class StaticState(DecodeState):
    """Memory of fixed shapes, and for every level the rows that a merge reads and writes.

    Attributes:
        memory: what steps write to.
        x: the token that a step reads, (batch, width), always in the same place.
        token_rows: where its node goes, as a left and as a right child, (1,) each.
        first_slot: where its key and value go, (1,).
        merges: for every level from 1 on.
        unmasked: the highest level that the mask lets through; -1 for none.
        recordings: of steps on this memory, by who recorded them: the recorder, and its recordings
            by the number of merges.
    """

    def _make_memory(self) -> None:
        config, batch, width = self.config, self.batch, self.config.width
        slots = self._slots(self.levels)
        self.memory = Memory(
            nodes=self._full(0.0, batch, FIRST_ROW + 2 * slots, width),
            key_value=self._full(0.0, batch, slots + 1, 2 * width),
            mask=self._full(-torch.inf, slots + 1),
        )
        self.unmasked = -1
        self.x = self._full(0.0, batch, width, dtype=self.input_dtype)
        self.token_rows = tuple(self._rows(self._node_rows(0, side)) for side in (LEFT, RIGHT))
        self.first_slot = self._rows([0])
        vectors = tree.vectors_per_node(self.levels, config.expansion)
        self.recordings: dict[object, tuple[Any, dict[int, Any]]] = {}
        self.merges = [self._merge_rows(level, vectors) for level in range(1, self.levels + 1)]

    def _newest(self) -> tuple[Tensor, Tensor]:
        rows = self._newest_rows(self.tokens_seen)
        # copies, since memory may be cleared before they are stored
        nodes, key_value = self.memory.nodes[:, rows], self.memory.key_value[:, : len(rows)].clone()
        return nodes.transpose(0, 1), key_value.transpose(0, 1)

    def _store(self, nodes: Tensor, key_value: Tensor, tokens_seen: int) -> None:
        memory = self.memory
        # what is masked is multiplied by zero, so it must be finite
        for part in memory[:2]:
            part.zero_()
        memory.mask.fill_(-torch.inf)
        self.unmasked = -1
        if not tokens_seen:
            return
        memory.key_value[:, : len(key_value)].copy_(key_value.transpose(0, 1))
        memory.nodes[:, self._newest_rows(tokens_seen)] = nodes.transpose(0, 1).to(memory.nodes)
        self.unmask(tree.level_count(tokens_seen))

    @torch.inference_mode(False)
    @torch.no_grad()
    def unmask(self, levels: int) -> None:
        """Show the slots of all levels up to `levels`."""
        self.memory.mask[: self._slots(levels)] = 0.0
        self.unmasked = levels

    def _grow(self, levels: int) -> None:
        super()._grow(levels + GROWTH_LEVELS - 1)

    def _rows(self, rows: list[int]) -> Tensor:
        indices = torch.tensor(rows, device=self.device)
        self._memories.append(indices)
        return indices

    def _newest_rows(self, tokens: int) -> list[int]:
        """Rows of the newest nodes after `tokens` tokens, level by level; none before the first."""
        return [
            row
            for level, number in tree.visible_nodes(tokens)
            for row in self._node_rows(level, LEFT if number % 2 else RIGHT)
        ]

    def _node_rows(self, level: int, side: int) -> list[int]:
        """Rows of a node at `level`, vector by vector within bank by bank."""
        config = self.config
        count = tree.rows_per_node(level, config.banks, config.expansion)
        before = tree.row_offset(level, config.banks, config.expansion)
        start = FIRST_ROW + 2 * before + side * count
        return list(range(start, start + count))

    def _merge_rows(self, level: int, vectors: int) -> MergeRows:
        """Rows for making nodes at `level`, as if they had as many vectors as the highest one."""
        banks, expansion = self.config.banks, self.config.expansion
        mine = tree.vectors_per_node(level, expansion)
        theirs = tree.vectors_per_node(level - 1, expansion)
        sides = [self._node_rows(level - 1, side) for side in (LEFT, RIGHT)]
        mixing = self.config.conv_groups == "mix"

        def child(side: int, bank: int, vector: int) -> int:
            if not 0 <= vector < theirs:
                return ZERO_ROW
            return sides[side][(bank * theirs if level > 1 else 0) + vector]

        children = [
            # vector p of the parent reads vector p - tap of both children, if there is one
            child(side, bank, vector - tap)
            for group in range(1 if mixing else banks)
            for vector in range(vectors)
            for tap in range(1 + expansion)
            for side in (LEFT, RIGHT)
            for bank in (range(banks) if mixing else (group,))
        ]

        def padded(rows: list[int], unused: int) -> Tensor:
            """Rows bank by bank, with the vectors filled up that only higher levels have."""
            parts = [rows[bank * mine : (bank + 1) * mine] for bank in range(banks)]
            return self._rows([row for part in parts for row in part + [unused] * (vectors - mine)])

        first, last = self._slots(level - 1), self._slots(level)
        left, right = (padded(self._node_rows(level, side), UNUSED_ROW) for side in (LEFT, RIGHT))
        slots = padded(list(range(first, last)), self._slots(self.levels))
        return MergeRows(self._rows(children), (left, right), slots)
