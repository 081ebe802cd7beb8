"""The Logarithmic Memory Network as a subject: its own blocks, and the published computation."""

from __future__ import annotations

from torch import Tensor

from lmn.block import LMNBlock
from lmn.cost import slot_count
from lmn.published import PublishedBlock, PublishedState
from lmn.state import MemoryState
from lmn_bench.schema import ModelSpec
from lmn_bench.subjects.sizes import lmn_config
from lmn_bench.subjects.stack import Block


class LogarithmicBlock(Block):
    """One LMN layer."""

    def __init__(self, spec: ModelSpec, subject: str) -> None:
        super().__init__()
        self.layer = LMNBlock(lmn_config(subject, spec))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, width) -> (batch, tokens, width)."""
        output: Tensor = self.layer(x)[0]
        return output

    def prefill(self, x: Tensor, capacity: int) -> tuple[Tensor, MemoryState]:
        """As `forward`, and the newest node of every level; `capacity` makes no difference."""
        output, state = self.layer(x)
        return output, state

    def initial_state(self, batch: int, capacity: int) -> MemoryState:
        """The state of no tokens."""
        return self.layer.initial_state(batch)

    def decode(self, x_t: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:
        """(batch, width) -> (batch, width), and the state after this token."""
        return self.layer.step(x_t, state)

    def copy_state(self, state: MemoryState) -> MemoryState:
        """A copy with memory of its own."""
        return state.clone()

    def state_bytes(self, state: MemoryState) -> int:
        """Bytes of all rows: the newest node of every level, its key and its value."""
        return state.nbytes

    def slots(self, length: int) -> int:
        """The token itself and the newest node of every level."""
        return slot_count(self.layer.config, length)


class PublishedLogarithmicBlock(Block):
    """One LMN layer in the published computation; it starts from nothing only."""

    def __init__(self, spec: ModelSpec, subject: str) -> None:
        super().__init__()
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
