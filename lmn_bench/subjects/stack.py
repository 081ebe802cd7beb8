"""What builtin subjects share: a stack of equal blocks, and how it trains, prefills, decodes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lmn_bench.errors import SubjectError
from lmn_bench.schema import MODES
from lmn_bench.subjects.protocol import State, sequence_loss
from lmn_bench.subjects.sizes import SEGMENT_TOKENS

# What a stack calls of its blocks.
METHOD_OF_MODE: Final = {
    "train": "forward", "prefill": "prefill", "read": "resume", "decode": "decode",
    "stream": "decode",
}  # fmt: skip
assert METHOD_OF_MODE.keys() == MODES.keys()


class Block(nn.Module, ABC):
    """One layer of a subject: tokens in, tokens out, with a state of its own."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, width) -> (batch, tokens, width); keeps no state."""

    @abstractmethod
    def prefill(self, x: Tensor, capacity: int) -> tuple[Tensor, State]:
        """As `forward`, and the state after the last token, with room for `capacity` tokens."""

    @property
    def can_resume(self) -> bool:
        """Whether `resume` is there."""
        return False

    def resume(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """As `prefill`, going on from `state`; `None` is the start of a sequence."""
        raise NotImplementedError

    @abstractmethod
    def initial_state(self, batch: int, capacity: int) -> State:
        """The state of no tokens."""

    @abstractmethod
    def blank_state(self, batch: int, tokens: int, capacity: int) -> State:
        """A state as large as after `tokens` tokens, every page of it written."""

    @abstractmethod
    def decode(self, x_t: Tensor, state: State) -> tuple[Tensor, State]:
        """(batch, width) -> (batch, width), and the state after this token."""

    @abstractmethod
    def copy_state(self, state: State) -> State:
        """An independent copy."""

    @abstractmethod
    def state_bytes(self, state: State) -> int:
        """Bytes that must be kept to decode on."""

    def slots(self, length: int) -> int | None:
        """Vectors that token `length` attends to; `None` without attention."""
        return None

    def compile_method(self, method: str) -> None:
        """From here on, `method` goes through torch.compile."""
        setattr(self, method, torch.compile(getattr(self, method)))

    def use_cuda_graphs(self) -> None:
        """From here on, `decode` runs as CUDA graphs.

        Raises:
            SubjectError: there are none of it.
        """
        raise SubjectError(f"{type(self).__name__} has no CUDA graphs")

    def restore_state(self, state: State, into: State) -> State:
        """As `copy_state`, in the memory of `into`, which was copied earlier, where that helps."""
        return self.copy_state(state)


class Stack(nn.Module):
    """A subject made of `Block`s. Its state is one block state per layer.

    There is no dropout and no batch statistic, so training and inference compute the same numbers.
    """

    def __init__(self, blocks: list[Block]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    @property
    def modes(self) -> frozenset[str]:
        """All modes, but for `read` where a block cannot go on from a state."""
        can_read = all(block.can_resume for block in self._blocks)
        return frozenset(MODES) - (frozenset() if can_read else {"read"})

    @property
    def can_compile(self) -> bool:
        """Whether `compile_for` is there."""
        return True

    def compile_for(self, mode: str) -> None:
        """Hand the method of every block that `mode` calls to torch.compile."""
        for block in self._blocks:
            block.compile_method(METHOD_OF_MODE[mode])

    def use_cuda_graphs(self) -> None:
        """From here on, `decode` of every block runs as CUDA graphs.

        They are recorded for a state's own memory: `restore_state` keeps them.
        """
        for block in self._blocks:
            block.use_cuda_graphs()

    @property
    def _blocks(self) -> list[Block]:
        return cast("list[Block]", list(self.blocks))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, width) -> (batch, tokens, width)."""
        for block in self._blocks:
            x = block(x)
        return x

    def train_step(self, x: Tensor) -> Tensor:
        """Forward and backward over `x` (batch, tokens, width); the loss, detached."""
        self.zero_grad(set_to_none=True)
        loss = sequence_loss(self(x))
        torch.autograd.backward(loss)
        return loss.detach()

    def prefill(self, x: Tensor, *, capacity: int | None = None) -> tuple[Tensor, list[State]]:
        """Outputs (batch, tokens, width) and the state from which `decode` goes on."""
        room = x.shape[1] if capacity is None else max(capacity, x.shape[1])
        states = []
        for block in self._blocks:
            x, state = block.prefill(x, room)
            states.append(state)
        return x, states

    def read(self, x: Tensor, *, segment: int = SEGMENT_TOKENS) -> tuple[Tensor, list[State]]:
        """Output of the last token (batch, width), and the state after it.

        `x` (batch, tokens, width) goes through all layers segment by segment, so that no tensor is
        longer than `segment` tokens.
        """
        states: list[State] = [None] * len(self.blocks)
        for part in x.split(segment, dim=1):
            for layer, block in enumerate(self._blocks):
                part, states[layer] = block.resume(part, states[layer])
        # A view would keep the last segment alive.
        return part[:, -1].clone(), states

    def context(self, x: Tensor, *, capacity: int) -> list[State]:
        """The state after `x`, read in segments where that can be."""
        if "read" in self.modes:
            return self.read(x)[1]
        return self.prefill(x, capacity=capacity)[1]

    def initial_state(self, batch: int, *, capacity: int) -> list[State]:
        """The state of no tokens."""
        return [block.initial_state(batch, capacity) for block in self._blocks]

    def blank_state(self, batch: int, tokens: int, *, capacity: int) -> list[State]:
        """A state as large as after `tokens` tokens, of arbitrary numbers."""
        return [block.blank_state(batch, tokens, capacity) for block in self._blocks]

    def decode(self, x_t: Tensor, state: list[State]) -> tuple[Tensor, list[State]]:
        """Read one token (batch, width); its output (batch, width) and the state after it."""
        after = []
        for block, before in zip(self._blocks, state, strict=True):
            x_t, new = block.decode(x_t, before)
            after.append(new)
        return x_t, after

    def copy_state(self, state: list[State]) -> list[State]:
        """An independent copy."""
        return [block.copy_state(part) for block, part in zip(self._blocks, state, strict=True)]

    def restore_state(self, state: list[State], into: list[State]) -> list[State]:
        """A copy of `state` in the memory of `into`, an earlier copy."""
        parts = zip(self._blocks, state, into, strict=True)
        return [block.restore_state(part, old) for block, part, old in parts]

    def state_bytes(self, state: list[State]) -> int:
        """Bytes that must be kept to decode on, over all layers."""
        return sum(block.state_bytes(part) for block, part in zip(self._blocks, state, strict=True))

    def slots(self, length: int) -> int | None:
        """Vectors that token `length` attends to in each layer; `None` without attention."""
        return self._blocks[0].slots(length)


class Mixer(nn.Module, ABC):
    """The part of a block that reads other tokens; what differs between the baselines."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, width) -> (batch, tokens, width); keeps no state."""

    @abstractmethod
    def prefill(self, x: Tensor, capacity: int) -> tuple[Tensor, State]:
        """As `forward`, and the state after the last token."""

    @property
    def can_resume(self) -> bool:
        """Whether `resume` is there."""
        return False

    def resume(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """As `prefill`, going on from `state`; `None` is the start of a sequence."""
        raise NotImplementedError

    @abstractmethod
    def initial_state(self, batch: int, capacity: int) -> State:
        """The state of no tokens."""

    @abstractmethod
    def blank_state(self, batch: int, tokens: int, capacity: int) -> State:
        """A state as large as after `tokens` tokens, every page of it written."""

    @abstractmethod
    def decode(self, x_t: Tensor, state: State) -> tuple[Tensor, State]:
        """(batch, width) -> (batch, width), and the state after this token."""

    @abstractmethod
    def copy_state(self, state: State) -> State:
        """An independent copy."""

    @abstractmethod
    def state_bytes(self, state: State) -> int:
        """Bytes that must be kept to decode on."""

    def slots(self, length: int) -> int | None:
        """Vectors that token `length` attends to; `None` without attention."""
        return None


class ResidualBlock(Block):
    """x + mixer(norm x), then x + feed-forward(norm x): the LMN's block around another mixer.

    Args:
        mixer: reads other tokens.
        width: features per token.
        inner: features inside the feed-forward part.
    """

    def __init__(self, mixer: Mixer, width: int, inner: int) -> None:
        super().__init__()
        self.mixer_norm = nn.RMSNorm(width)
        self.mixer = mixer
        self.feedforward_norm = nn.RMSNorm(width)
        self.up = nn.Linear(width, inner)
        self.down = nn.Linear(inner, width)

    def _feedforward(self, x: Tensor) -> Tensor:
        # As in an LMN block: the widest tensor of all is reused when nobody needs it.
        hidden = F.silu(self.up(self.feedforward_norm(x)), inplace=not torch.is_grad_enabled())
        output: Tensor = x + self.down(hidden)
        return output

    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, width) -> (batch, tokens, width)."""
        return self._feedforward(x + self.mixer(self.mixer_norm(x)))

    def prefill(self, x: Tensor, capacity: int) -> tuple[Tensor, State]:
        """As `forward`, and the mixer's state."""
        mixed, state = self.mixer.prefill(self.mixer_norm(x), capacity)
        return self._feedforward(x + mixed), state

    @property
    def can_resume(self) -> bool:
        """Whether the mixer can."""
        return self.mixer.can_resume

    def resume(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """As `prefill`, going on from the mixer's state."""
        mixed, state = self.mixer.resume(self.mixer_norm(x), state)
        return self._feedforward(x + mixed), state

    def initial_state(self, batch: int, capacity: int) -> State:
        """The state of no tokens."""
        return self.mixer.initial_state(batch, capacity)

    def blank_state(self, batch: int, tokens: int, capacity: int) -> State:
        """The mixer's."""
        return self.mixer.blank_state(batch, tokens, capacity)

    def decode(self, x_t: Tensor, state: State) -> tuple[Tensor, State]:
        """(batch, width) -> (batch, width), and the state after this token."""
        mixed, state = self.mixer.decode(self.mixer_norm(x_t), state)
        return self._feedforward(x_t + mixed), state

    def copy_state(self, state: State) -> State:
        """An independent copy."""
        return self.mixer.copy_state(state)

    def state_bytes(self, state: State) -> int:
        """Bytes that must be kept to decode on."""
        return self.mixer.state_bytes(state)

    def slots(self, length: int) -> int | None:
        """Vectors that token `length` attends to; `None` without attention."""
        return self.mixer.slots(length)
