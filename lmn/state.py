"""The state of a logarithmic memory and of a stack of them: values, passed in and handed back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lmn import tree


def state_type(dtype: torch.dtype) -> torch.dtype:
    """Type of the nodes under weights and tokens of `dtype`: at least float32.

    A node far up has been merged again and again; in half precision each merge would round it.
    Against float64 with the same bfloat16 weights, 16,384 tokens: outputs of a block are off by
    0.25 %, nodes by 0.2 to 0.4 % at every level; bfloat16 rounds the tokens themselves by 0.2 %.
    """
    return torch.float32 if dtype.itemsize < torch.float32.itemsize else dtype


@dataclass(frozen=True, eq=False)
class MemoryState:
    """What a memory keeps after `tokens_seen` tokens: the newest node of every level.

    A value: nothing changes it, so two streams may go on from one state. Index it along the batch
    (`state[2:4]`, `state[[0, 0, 1]]`) to pick or repeat sequences.

    Attributes:
        nodes: (batch, slots, width), one row for each vector of a node. Rows lie level by level:
            [level 0: 1 row][level 1: banks * w_1 rows]..., see `lmn.tree.row_offset`. Keys and
            values are not kept: attention needs none of them, see `lmn.memory`.
        tokens_seen: tokens read so far, the same for every row of the batch.
        banks: banks per level.
        expansion: vectors that a node gains per level.
    """

    nodes: Tensor
    tokens_seen: int
    banks: int
    expansion: int

    def __post_init__(self) -> None:
        if self.tokens_seen < 0:
            raise ValueError(f"tokens_seen cannot be negative, got {self.tokens_seen}")
        slots = tree.slot_count(self.tokens_seen, self.banks, self.expansion)
        if self.nodes.dim() != 3 or self.nodes.shape[1] != slots:
            raise ValueError(
                f"after {self.tokens_seen} tokens with banks={self.banks} and "
                f"expansion={self.expansion} the nodes of a state are (batch, {slots}, width), "
                f"got {tuple(self.nodes.shape)}"
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
        return cls(torch.empty(batch, 0, width, dtype=dtype, device=device), 0, banks, expansion)

    @property
    def batch(self) -> int:
        """Sequences held side by side."""
        return self.nodes.shape[0]

    @property
    def slots(self) -> int:
        """Rows per sequence: 1 + K * (L + v * L * (L + 1) / 2), or 0 before the first token."""
        return self.nodes.shape[1]

    @property
    def width(self) -> int:
        """Features per node."""
        return self.nodes.shape[2]

    @property
    def nbytes(self) -> int:
        """Bytes that the state occupies."""
        return self.nodes.numel() * self.nodes.element_size()

    def level(self, level: int) -> Tensor:
        """The newest node at `level`, (batch, rows per node, width)."""
        start = tree.row_offset(level, self.banks, self.expansion)
        return self.nodes[:, start : start + tree.rows_per_node(level, self.banks, self.expansion)]

    def above(self, level: int) -> Tensor:
        """The newest nodes of all levels higher than `level`, (batch, rows, width)."""
        return self.nodes[:, tree.row_offset(level + 1, self.banks, self.expansion) :]

    def __getitem__(self, index: slice | Tensor | list[int]) -> MemoryState:
        if isinstance(index, int | tuple):
            raise TypeError(
                f"a state is indexed by a slice, a list or a tensor of batch rows, got {index!r}; "
                "for one sequence write state[i : i + 1]"
            )
        return replace(self, nodes=self.nodes[index])

    def detach(self) -> MemoryState:
        """The same numbers, cut off from the autograd graph."""
        return replace(self, nodes=self.nodes.detach())

    def clone(self) -> MemoryState:
        """A copy with memory of its own."""
        return replace(self, nodes=self.nodes.clone())

    def to(self, *args: Any, **kwargs: Any) -> MemoryState:
        """Change type or device; takes what `Tensor.to` takes."""
        return replace(self, nodes=self.nodes.to(*args, **kwargs))

    def state_dict(self) -> dict[str, Tensor]:
        """Plain tensors, for `torch.save` or safetensors; `from_state_dict` reads them back."""
        counts = {name: torch.tensor(getattr(self, name)) for name in _COUNTS}
        return {"nodes": self.nodes, **counts}

    @classmethod
    def from_state_dict(cls, saved: Mapping[str, Tensor]) -> MemoryState:
        """Read back what `state_dict` gave.

        Raises:
            ValueError: an entry is missing or unexpected, or the shapes do not fit together.
        """
        expected = {"nodes", *_COUNTS}
        if set(saved) != expected:
            raise ValueError(
                f"a saved state has the entries {sorted(expected)}, got {sorted(saved)}; "
                "pass what state_dict() returned"
            )
        return cls(saved["nodes"], **{name: int(saved[name]) for name in _COUNTS})


_COUNTS = ("tokens_seen", "banks", "expansion")


@dataclass(frozen=True, eq=False)
class LanguageModelState:
    """What a language model keeps of its tokens: the state of every layer, first layer first.

    A value, as its parts are: nothing changes it, so several streams may go on from one state.
    Index it along the batch (`state[2:4]`, `state[[0, 0, 1]]`) to pick or repeat sequences.

    Attributes:
        layers: one `MemoryState` per block, all after the same tokens.
    """

    layers: tuple[MemoryState, ...]

    def __post_init__(self) -> None:
        seen = {(layer.tokens_seen, layer.batch) for layer in self.layers}
        if len(seen) != 1:
            raise ValueError(
                "the layers of a state have read the same tokens of the same batch, got "
                f"(tokens_seen, batch) = {sorted(seen)}; pass the states of one model together"
            )

    @property
    def tokens_seen(self) -> int:
        """Tokens read so far, the same for every layer and sequence."""
        return self.layers[0].tokens_seen

    @property
    def batch(self) -> int:
        """Sequences held side by side."""
        return self.layers[0].batch

    @property
    def nbytes(self) -> int:
        """Bytes of all layers together."""
        return sum(layer.nbytes for layer in self.layers)

    def __getitem__(self, index: slice | Tensor | list[int]) -> LanguageModelState:
        return LanguageModelState(tuple(layer[index] for layer in self.layers))

    def detach(self) -> LanguageModelState:
        """The same numbers, cut off from the autograd graph."""
        return LanguageModelState(tuple(layer.detach() for layer in self.layers))

    def clone(self) -> LanguageModelState:
        """A copy with memory of its own."""
        return LanguageModelState(tuple(layer.clone() for layer in self.layers))

    def to(self, *args: Any, **kwargs: Any) -> LanguageModelState:
        """Change type or device; takes what `Tensor.to` takes."""
        return LanguageModelState(tuple(layer.to(*args, **kwargs) for layer in self.layers))

    def state_dict(self) -> dict[str, Tensor]:
        """Plain tensors named `layer.entry`; `from_state_dict` reads them back."""
        return {
            f"{number}.{name}": entry
            for number, layer in enumerate(self.layers)
            for name, entry in layer.state_dict().items()
        }

    @classmethod
    def from_state_dict(cls, saved: Mapping[str, Tensor]) -> LanguageModelState:
        """Read back what `state_dict` gave.

        Raises:
            ValueError: an entry is missing or unexpected, or the shapes do not fit together.
        """
        layers: dict[str, dict[str, Tensor]] = {}
        for name, entry in saved.items():
            number, _, rest = name.partition(".")
            layers.setdefault(number, {})[rest] = entry
        numbers = [str(number) for number in range(len(layers))]
        if not layers or set(layers) != set(numbers):
            raise ValueError(
                "a saved state names its entries 0.nodes, 0.tokens_seen, ..., got "
                f"{sorted(saved)}; pass what state_dict() returned"
            )
        return cls(tuple(MemoryState.from_state_dict(layers[number]) for number in numbers))
