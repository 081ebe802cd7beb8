"""The state of one logarithmic memory: an explicit value, passed in and handed back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lmn import tree

# each row holds a node and its projected key and value, so that decoding projects nothing twice
PARTS = 3


@dataclass(frozen=True, eq=False)
class MemoryState:
    """What a memory keeps after `tokens_seen` tokens: the newest node of every level.

    A value: nothing changes it, so two streams may go on from one state. Index it along the batch
    (`state[2:4]`, `state[[0, 0, 1]]`) to pick or repeat sequences.

    Attributes:
        rows: (batch, slots, 3 * width), in each row a node, its key and its value. Rows lie level
            by level: [level 0: 1 row][level 1: banks * w_1 rows]..., see `lmn.tree.row_offset`.
        tokens_seen: tokens read so far, the same for every row of the batch.
        banks: banks per level.
        expansion: vectors that a node gains per level.
    """

    rows: Tensor
    tokens_seen: int
    banks: int
    expansion: int

    def __post_init__(self) -> None:
        if self.tokens_seen < 0:
            raise ValueError(f"tokens_seen cannot be negative, got {self.tokens_seen}")
        slots = tree.slot_count(self.tokens_seen, self.banks, self.expansion)
        if self.rows.dim() != 3 or self.rows.shape[1] != slots or self.rows.shape[2] % PARTS:
            raise ValueError(
                f"after {self.tokens_seen} tokens with banks={self.banks} and "
                f"expansion={self.expansion} the rows of a state are (batch, {slots}, 3 * width), "
                f"got {tuple(self.rows.shape)}"
            )

    @classmethod
    def empty(
        cls,
        batch: int,
        width: int,
        *,
        banks: int = 1,
        expansion: int = 0,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> MemoryState:
        """State before the first token."""
        if batch < 1:
            raise ValueError(f"batch must be at least 1, got {batch}")
        return cls(
            torch.empty(batch, 0, PARTS * width, dtype=dtype, device=device), 0, banks, expansion
        )

    @property
    def batch(self) -> int:
        """Sequences held side by side."""
        return self.rows.shape[0]

    @property
    def slots(self) -> int:
        """Rows per sequence: 1 + K * (L + v * L * (L + 1) / 2), or 0 before the first token."""
        return self.rows.shape[1]

    @property
    def width(self) -> int:
        """Features per node."""
        return self.rows.shape[2] // PARTS

    @property
    def nbytes(self) -> int:
        """Bytes that the state occupies."""
        return self.rows.numel() * self.rows.element_size()

    @property
    def nodes(self) -> Tensor:
        """Nodes in slot order, (batch, slots, width): what the newest token saw."""
        return self.rows[..., : self.width]

    @property
    def keys(self) -> Tensor:
        """Projected keys of the nodes, (batch, slots, width)."""
        return self.rows[..., self.width : 2 * self.width]

    @property
    def values(self) -> Tensor:
        """Projected values of the nodes, (batch, slots, width)."""
        return self.rows[..., 2 * self.width :]

    def level(self, level: int) -> Tensor:
        """Rows of the newest node at `level`, (batch, rows per node, 3 * width)."""
        start = tree.row_offset(level, self.banks, self.expansion)
        return self.rows[:, start : start + tree.rows_per_node(level, self.banks, self.expansion)]

    def above(self, level: int) -> Tensor:
        """Rows of all levels higher than `level`, (batch, rows, 3 * width)."""
        return self.rows[:, tree.row_offset(level + 1, self.banks, self.expansion) :]

    def __getitem__(self, index: slice | Tensor | list[int]) -> MemoryState:
        if isinstance(index, int | tuple):
            raise TypeError(
                f"a state is indexed by a slice, a list or a tensor of batch rows, got {index!r}; "
                "for one sequence write state[i : i + 1]"
            )
        return replace(self, rows=self.rows[index])

    def detach(self) -> MemoryState:
        """The same numbers, cut off from the autograd graph."""
        return replace(self, rows=self.rows.detach())

    def clone(self) -> MemoryState:
        """A copy with memory of its own."""
        return replace(self, rows=self.rows.clone())

    def to(self, *args: Any, **kwargs: Any) -> MemoryState:
        """Change type or device; takes what `Tensor.to` takes."""
        return replace(self, rows=self.rows.to(*args, **kwargs))

    def state_dict(self) -> dict[str, Tensor]:
        """Plain tensors, for `torch.save` or safetensors; `from_state_dict` reads them back."""
        counts = {name: torch.tensor(getattr(self, name)) for name in _COUNTS}
        return {"rows": self.rows, **counts}

    @classmethod
    def from_state_dict(cls, saved: Mapping[str, Tensor]) -> MemoryState:
        """Read back what `state_dict` gave.

        Raises:
            ValueError: an entry is missing or unexpected, or the shapes do not fit together.
        """
        expected = {"rows", *_COUNTS}
        if set(saved) != expected:
            raise ValueError(
                f"a saved state has the entries {sorted(expected)}, got {sorted(saved)}; "
                "pass what state_dict() returned"
            )
        return cls(saved["rows"], **{name: int(saved[name]) for name in _COUNTS})


_COUNTS = ("tokens_seen", "banks", "expansion")
