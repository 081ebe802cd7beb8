"""The Logarithmic Memory Network as a subject: its own blocks, and the published computation."""

from __future__ import annotations

from typing import Final, cast

import torch
from torch import Tensor

from lmn import tree
from lmn.block import LMNBlock
from lmn.config import LMNConfig
from lmn.cost import slot_count
from lmn.decode import Decoder, DecodeState, Execution
from lmn.published import PublishedBlock, PublishedState
from lmn.state import MemoryState, state_type
from lmn_bench.errors import SubjectError
from lmn_bench.schema import ModelSpec
from lmn_bench.subjects.sizes import lmn_config
from lmn_bench.subjects.stack import Block, Stack

# Tokens that a copy of a state has room for beyond those it has read: the longest window that a
# suite may ask for. Attention over fixed shapes reads all of the room.
ROOM_TOKENS: Final = 4096


class LogarithmicBlock(Block):
    """One LMN layer; `execution` is that of its decoder."""

    def __init__(self, spec: ModelSpec, subject: str) -> None:
        super().__init__()
        self.layer = LMNBlock(lmn_config(subject, spec))
        self.execution: Execution = "eager"
        self._made_decoder: Decoder | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, width) -> (batch, tokens, width)."""
        output: Tensor = self.layer(x)[0]
        return output

    def prefill(self, x: Tensor, capacity: int) -> tuple[Tensor, MemoryState]:
        """As `forward`, and the newest node of every level; `capacity` makes no difference."""
        output, state = self.layer(x)
        return output, state

    @property
    def can_resume(self) -> bool:
        """Whether `resume` is there."""
        return True

    def resume(self, x: Tensor, state: MemoryState | None) -> tuple[Tensor, MemoryState]:
        """As `prefill`, going on from `state`."""
        output, after = self.layer(x, state)
        return output, after

    def initial_state(self, batch: int, capacity: int) -> DecodeState:
        """The state of no tokens, with room for the levels of `capacity`."""
        return self._decoder.initial_state(batch, max_tokens=capacity)

    def blank_state(self, batch: int, tokens: int, capacity: int) -> DecodeState:
        """Nodes of zeros, ready for `decode`."""
        config, weight = self.layer.config, self.layer.norm1.weight
        nodes = torch.zeros(
            batch, slot_count(config, tokens), config.width,
            dtype=state_type(weight.dtype), device=weight.device,
        )  # fmt: skip
        return self.copy_state(MemoryState(nodes, tokens, config.banks, config.expansion))

    def decode(self, x_t: Tensor, state: MemoryState | DecodeState) -> tuple[Tensor, DecodeState]:
        """(batch, width) -> (batch, width), and the state after this token, changed in place."""
        ready = state if isinstance(state, DecodeState) else self.copy_state(state)
        return self._decoder.step(x_t, ready), ready

    def copy_state(self, state: MemoryState | DecodeState) -> DecodeState:
        """A copy with memory of its own, ready for `decode`."""
        room = state.tokens_seen + ROOM_TOKENS
        if isinstance(state, MemoryState):
            return self._decoder.from_memory_state(state, max_tokens=room)
        # Not a clone: the state may be from before the decoder was compiled.
        copy = self._decoder.initial_state(state.batch, max_tokens=room)
        copy.copy_from(state)
        return copy

    def state_bytes(self, state: MemoryState | DecodeState) -> int:
        """Bytes of all rows: the newest node of every level, its key and its value."""
        return state.nbytes

    @property
    def _decoder(self) -> Decoder:
        """The layer made ready for single tokens; a benchmark never changes its weights."""
        if self._made_decoder is None:
            self._made_decoder = Decoder(self.layer, execution=self.execution)
        return self._made_decoder

    def compile_method(self, method: str) -> None:
        """From here on, `method` goes through torch.compile; `decode` in fixed shapes."""
        if method == "decode":
            self._decode_by("compiled")
        else:
            super().compile_method(method)

    def use_cuda_graphs(self) -> None:
        """From here on, `decode` runs as CUDA graphs."""
        if self.layer.norm1.weight.device.type != "cuda":
            raise SubjectError("a CPU has no CUDA graphs", 'take device = "cuda"')
        self._decode_by("cuda_graph")

    def restore_state(self, state: MemoryState | DecodeState, into: DecodeState) -> DecodeState:
        """A copy, in the memory of `into` if that is of the same execution."""
        copy = self.copy_state(state)
        if type(into) is not type(copy):
            return copy
        into.copy_from(copy)
        return into

    def _decode_by(self, execution: Execution) -> None:
        self.execution, self._made_decoder = execution, None

    def slots(self, length: int) -> int:
        """The token itself and the newest node of every level."""
        return slot_count(self.layer.config, length)


class PublishedLogarithmicBlock(Block):
    """One LMN layer in the published computation; many tokens start from nothing only."""

    def __init__(self, spec: ModelSpec, subject: str) -> None:
        super().__init__()
        self.spec = spec
        self.layer = PublishedBlock(lmn_config(subject, spec))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, width) -> (batch, tokens, width)."""
        output: Tensor = self.layer(x)[0]
        return output

    def prefill(self, x: Tensor, capacity: int) -> tuple[Tensor, PublishedState]:
        """As `forward`, and the newest node of every level; `capacity` makes no difference."""
        output, state = self.layer(x)
        # Its nodes are views that would keep the whole tree alive.
        return output, self.copy_state(state)

    def initial_state(self, batch: int, capacity: int) -> PublishedState:
        """The state of no tokens."""
        return self.layer.initial_state(batch)

    def blank_state(self, batch: int, tokens: int, capacity: int) -> PublishedState:
        """Nodes of zeros."""
        config, weight = self.layer.config, next(self.parameters())
        levels = tree.level_count(tokens) + 1 if tokens else 0
        return PublishedState(
            tuple(
                weight.new_zeros(
                    batch, tree.rows_per_node(i, config.banks, config.expansion), config.width
                )
                for i in range(levels)
            ),
            tokens,
        )

    def decode(self, x_t: Tensor, state: PublishedState) -> tuple[Tensor, PublishedState]:
        """(batch, width) -> (batch, width), and the state after this token."""
        return self.layer.step(x_t, state)

    def copy_state(self, state: PublishedState) -> PublishedState:
        """A copy with memory of its own."""
        return PublishedState(tuple(level.clone() for level in state.levels), state.tokens_seen)

    def state_bytes(self, state: PublishedState) -> int:
        """Bytes of the newest node of every level."""
        return state.nbytes

    def slots(self, length: int) -> int:
        """The token itself and the newest node of every level."""
        return slot_count(self.layer.config, length)

    def twin(self) -> LogarithmicBlock:
        """A block of the same weights that computes the fast way."""
        twin = LogarithmicBlock(self.spec, "lmn")
        twin.layer.load_state_dict(self.layer.state_dict())
        weight = next(self.parameters())
        return twin.to(weight.device, weight.dtype)


class PublishedStack(Stack):
    """Layers in the published computation, but for contexts.

    The published prefill of 2^20 tokens needs a hundred times the memory of anything that decoding
    needs. Both computations keep the same nodes, so the state that decoding starts from is read by
    fast layers of the same weights; what is timed after it is the published computation alone.
    """

    def context(self, x: Tensor, *, capacity: int) -> list[PublishedState]:
        """The state after `x`: the nodes of fast layers of the same weights."""
        blocks = cast("list[PublishedLogarithmicBlock]", list(self.blocks))
        _, states = Stack([block.twin() for block in blocks]).read(x)
        return [
            _published(block.layer.config, state)
            for block, state in zip(blocks, states, strict=True)
        ]


def _published(config: LMNConfig, state: MemoryState) -> PublishedState:
    """The published form of a fast state: its nodes, level by level, without keys and values."""
    levels = range(tree.level_count(state.tokens_seen) + 1)
    rows = [tree.rows_per_node(level, config.banks, config.expansion) for level in levels]
    nodes = state.nodes.split(rows, dim=1)
    return PublishedState(tuple(level.clone() for level in nodes), state.tokens_seen)
