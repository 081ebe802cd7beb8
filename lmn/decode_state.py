"""What every form of decoding keeps of its tokens: its sizes, and how it is copied and grows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from lmn import tree
from lmn.config import LMNConfig
from lmn.cost import DECODE_STATE_PARTS
from lmn.state import state_type


class DecodeState(ABC):
    """What a `Decoder` keeps of its tokens, in memory that stays where it is.

    `Decoder.step` changes it in place; a second stream goes on from a `clone`. Made by
    `Decoder.initial_state` and `Decoder.from_memory_state`. It makes room for a fixed number of
    levels, and moves to larger memory by itself when a token needs one more. Names that begin with
    an underscore are there for the decoder alone.

    Within a level, slots lie bank by bank and not vector by vector as in a `MemoryState`; keys and
    values are those of `FoldedWeights`.

    Attributes:
        config: sizes of the block that it belongs to.
        batch: sequences held side by side.
        shape: of each step's input, (batch, width).
        tokens_seen: tokens read so far, the same for every sequence.
        levels: the highest level with room: enough for 2^(levels + 1) - 1 tokens.
        input_dtype: of the inputs, and of the weights.
        dtype: of nodes, keys and values: float32 where inputs are shorter, else theirs.
        device: where all of it lies.
    """

    def __init__(
        self,
        config: LMNConfig,
        batch: int,
        levels: int,
        input_dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.config = config
        self.batch = batch
        self.shape = torch.Size((batch, config.width))
        self.tokens_seen = 0
        self.input_dtype, self.dtype, self.device = input_dtype, state_type(input_dtype), device
        self._allocate(levels)

    @property
    def nodes(self) -> Tensor:
        """Newest node of every level in the order of `MemoryState.nodes`: (batch, slots, width)."""
        nodes, _ = self._newest()
        order = _slot_order(self.config, tree.level_count(self.tokens_seen))[: len(nodes)]
        return nodes[order].transpose(0, 1)

    @property
    def nbytes(self) -> int:
        """Bytes to keep for the tokens seen: a node, its key and its value per slot."""
        slots = self._slots_after(self.tokens_seen)
        return DECODE_STATE_PARTS * slots * self.batch * self.config.width * self.dtype.itemsize

    @property
    def allocated_bytes(self) -> int:
        """Bytes held: room for further levels, and for what lives within one step only, too."""
        return sum(memory.numel() * memory.element_size() for memory in self._memories)

    def clone(self) -> DecodeState:
        """A second stream that goes on from here, with memory of its own."""
        copy = type(self)(self.config, self.batch, self.levels, self.input_dtype, self.device)
        copy._continue(*self._newest(), self.tokens_seen)
        return copy

    def __deepcopy__(self, memo: object) -> DecodeState:
        return self.clone()

    # the tensors are views of each other's memory, which pickle would take apart
    def __reduce__(self) -> tuple[Any, ...]:
        sizes = (self.config, self.batch, self.levels, self.input_dtype, self.device)
        nodes, key_value = self._newest()
        return _restored, (type(self), sizes, nodes.clone(), key_value.clone(), self.tokens_seen)

    def copy_from(self, other: DecodeState) -> None:
        """Go on from where `other` is, in this state's own memory.

        What a decoder has recorded for this memory stays valid, unless it has to grow. The other
        state may be of a decoder with another `execution`, but has to be of the same weights.

        Raises:
            ValueError: sizes or types differ.
        """
        mine, others = ((state.config, state.batch, state.input_dtype) for state in (self, other))
        if mine != others:
            raise ValueError(
                "a state is copied from one of the same configuration, batch and type: this one "
                f"has {mine}, the other {others}"
            )
        levels = tree.level_count(other.tokens_seen)
        newest = other._newest()
        if levels > self.levels:
            self._allocate(levels)
        self._continue(*newest, other.tokens_seen)

    def _grow(self, levels: int) -> None:
        newest = self._newest()
        self._allocate(levels)
        self._continue(*newest, self.tokens_seen)

    def _load(self, nodes: Tensor, key_value: Tensor, tokens_seen: int) -> None:
        """Take over (batch, slots, width) nodes in the order of `MemoryState.nodes`.

        `key_value` is what `Decoder` makes of them, (batch, slots, 2 * width).
        """
        order = _slot_order(self.config, tree.level_count(tokens_seen))
        places = sorted(range(len(order)), key=order.__getitem__)
        nodes, key_value = (part.transpose(0, 1)[places] for part in (nodes, key_value))
        self._continue(nodes, key_value, tokens_seen)

    @torch.inference_mode(False)
    @torch.no_grad()
    def _continue(self, nodes: Tensor, key_value: Tensor, tokens_seen: int) -> None:
        self._store(nodes, key_value, tokens_seen)
        self.tokens_seen = tokens_seen

    # ordinary tensors, which work both inside and outside inference mode
    @torch.inference_mode(False)
    @torch.no_grad()
    def _allocate(self, levels: int) -> None:
        """Memory for `levels` levels, with nothing in it."""
        self.levels = levels
        self._memories: list[Tensor] = []
        self._make_memory()

    @abstractmethod
    def _make_memory(self) -> None:
        """Memory for `self.levels` levels, and what a step needs to find its way in it."""

    @abstractmethod
    def _newest(self) -> tuple[Tensor, Tensor]:
        """Newest nodes (slots, batch, width), and their keys and values (slots, batch, 2 * width).

        None before the first token.
        """

    @abstractmethod
    def _store(self, nodes: Tensor, key_value: Tensor, tokens_seen: int) -> None:
        """Put what `_newest` of another state gave where the step after `tokens_seen` finds it."""

    def _full(self, value: float, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        memory = torch.full(shape, value, dtype=dtype or self.dtype, device=self.device)
        self._memories.append(memory)
        return memory

    def _slots(self, level: int) -> int:
        """Slots of all levels up to `level`."""
        return tree.row_offset(level + 1, self.config.banks, self.config.expansion)

    def _slots_after(self, tokens: int) -> int:
        return tree.slot_count(tokens, self.config.banks, self.config.expansion)


def _restored(
    kind: type[DecodeState], sizes: tuple[Any, ...], nodes: Tensor, key_value: Tensor, seen: int
) -> DecodeState:
    state = kind(*sizes)
    state._continue(nodes, key_value, seen)
    return state


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
