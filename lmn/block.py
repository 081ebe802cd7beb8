"""One block of the network: memory, then feed-forward, each after a norm and beside a residual."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from lmn.config import LMNConfig
from lmn.memory import Implementation, LogarithmicMemory, check_input
from lmn.state import MemoryState
from lmn.tree import segment_tokens, segments

# Hidden features that the feed-forward part works on at a time, in memory used again and again. For
# time, 2^17 to 2^22 are the same on an AMD EPYC; 2^19 are 2 MiB in float32, about a core's cache.
HIDDEN_FEATURES: Final = 1 << 19


class FeedForward(nn.Module):
    """down(SiLU(up(x))), position by position: width -> hidden_width -> width, both with a bias.

    None of the hidden features, 4 vectors per token, is kept: they come and go a few rows at a
    time, and backward works them out again, which costs a twelfth of the products of a training
    step.
    """

    def __init__(self, config: LMNConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.width, config.hidden_width)
        self.down = nn.Linear(config.hidden_width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to (..., width)."""
        up, down = self.up, self.down
        output: Tensor = _FeedForward.apply(x, up.weight, up.bias, down.weight, down.bias)  # type: ignore[no-untyped-call]
        return output


class _FeedForward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, up: Tensor, up_bias: Tensor, down: Tensor, down_bias: Tensor
    ) -> Tensor:
        ctx.save_for_backward(x, up, up_bias, down)
        output = torch.empty_like(x, memory_format=torch.contiguous_format)
        rows, places = _blocks(up, x, output)
        hidden = x.new_empty(rows[0].shape[0], up.shape[0])
        for part, place in zip(rows, places, strict=True):
            part_hidden = hidden[: len(part)]
            torch.addmm(up_bias, part, up.t(), out=part_hidden)
            F.silu(part_hidden, inplace=True)
            torch.addmm(down_bias, part_hidden, down.t(), out=place)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        x, up, up_bias, down = ctx.saved_tensors
        to_x = torch.empty_like(x, memory_format=torch.contiguous_format)
        to_up, to_down = torch.zeros_like(up), torch.zeros_like(down)
        to_up_bias = torch.zeros_like(up_bias)
        for part, gradient, place in zip(*_blocks(up, x, gradients[0], to_x), strict=True):
            hidden = F.linear(part, up, up_bias)
            active = F.silu(hidden)
            torch.addmm(to_down, gradient.t(), active, out=to_down)
            to_hidden = torch.mm(gradient, down, out=active)
            to_hidden = torch.ops.aten.silu_backward(to_hidden, hidden)
            torch.mm(to_hidden, up, out=place)
            torch.addmm(to_up, to_hidden.t(), part, out=to_up)
            to_up_bias += to_hidden.sum(0)
        return to_x, to_up, to_up_bias, to_down, gradients[0].flatten(0, -2).sum(0)


def _blocks(up: Tensor, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
    """Cut each tensor (..., width) into blocks of rows that have `HIDDEN_FEATURES` together."""
    rows = max(HIDDEN_FEATURES // len(up), 1)
    return [tensor.flatten(0, -2).split(rows) for tensor in tensors]


class LMNBlock(nn.Module):
    """x <- x + memory(RMSNorm x), then x <- x + feedforward(RMSNorm x).

    Source: arXiv 2501.07905. `forward` reads many tokens at once and `step` one; any mixture of
    both gives the same numbers and the same gradients. Nothing is kept between calls but the
    weights: the state goes in and comes out. Long inputs are worked on in segments, whose tensors
    stay in the processor's cache.

    Args:
        config: sizes.
        implementation: of attention; see `LogarithmicMemory`.
    """

    def __init__(self, config: LMNConfig, *, implementation: Implementation = "chunked") -> None:
        super().__init__()
        self.config = config
        self.norm1 = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.memory = LogarithmicMemory(config, implementation=implementation)
        self.norm2 = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.feedforward = FeedForward(config)

    def initial_state(
        self,
        batch: int,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> MemoryState:
        """State before the first token of `batch` sequences; see `LogarithmicMemory`."""
        return self.memory.initial_state(batch, dtype, device)

    def forward(self, x: Tensor, state: MemoryState | None = None) -> tuple[Tensor, MemoryState]:
        """Read any number of tokens at once: training, prefill, or a further chunk of one.

        Args:
            x: (batch, tokens, width), at least one token.
            state: what came before; `None` at the start of a sequence.

        Returns:
            The output (batch, tokens, width), and the state after the last token.

        Raises:
            ValueError: `x` has the wrong shape, or `state` does not fit it or this block.
            TypeError: `x` and `state` differ in type.
        """
        check_input(x, self.config.width, ("batch", "tokens", "width"))
        batch, count, width = x.shape
        state = self.memory.usable_state(x, state)
        size = segment_tokens(batch, width, x.device.type)
        sizes = [last - first for first, last in segments(state.tokens_seen, count, size)]
        outputs: list[Tensor] = []
        whole = None if torch.is_grad_enabled() else torch.empty_like(x)
        # the gradient of a split is one concatenation, that of a slice as large as all of x
        for part, place in zip(x.split(sizes, 1), _places(whole, sizes), strict=True):
            output, state = self._segment(part, state)
            if place is None:
                outputs.append(output)
            else:
                place.copy_(output)
        return torch.cat(outputs, dim=1) if whole is None else whole, state

    def _segment(self, x: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:
        if x.shape[1] == 1 and self.memory.implementation == "chunked":
            output, state = self.step(x[:, 0], state)
            return output.unsqueeze(1), state
        # both sums in memory that nobody else needs
        remembered, state = self.memory(self.norm1(x), state)
        x = remembered.add_(x)
        return self.feedforward(self.norm2(x)).add_(x), state

    def step(self, x: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:
        """Read one token (batch, width); the given state stays as it is.

        Returns:
            The output (batch, width), and the state after this token.

        Raises:
            ValueError: `x` has the wrong shape, or `state` does not fit it or this block.
            TypeError: `x` and `state` differ in type.
        """
        check_input(x, self.config.width, ("batch", "width"))
        remembered, state = self.memory.step(self.norm1(x), state)
        x = x + remembered
        return x + self.feedforward(self.norm2(x)), state


def _places(whole: Tensor | None, sizes: list[int]) -> Sequence[Tensor | None]:
    return [None] * len(sizes) if whole is None else whole.split(sizes, 1)
