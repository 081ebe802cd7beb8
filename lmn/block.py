"""One block of the network: memory, then feed-forward, each after a norm and beside a residual."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from lmn.config import LMNConfig
from lmn.memory import Implementation, LogarithmicMemory, check_input
from lmn.state import MemoryState
from lmn.tree import segment_tokens, segments


class FeedForward(nn.Module):
    """down(SiLU(up(x))), position by position: width -> hidden_width -> width, both with a bias."""

    def __init__(self, config: LMNConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.width, config.hidden_width)
        self.down = nn.Linear(config.hidden_width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to (..., width)."""
        up, down = self.up, self.down
        if torch.is_grad_enabled():
            output: Tensor = _FeedForward.apply(x, up.weight, up.bias, down.weight, down.bias)  # type: ignore[no-untyped-call]
        else:
            # the hidden features are the largest tensor of all: nobody else needs their memory
            output = down(F.silu(up(x), inplace=True))
        return output


class _FeedForward(torch.autograd.Function):
    """The feed-forward map, keeping none of its hidden features for backward.

    Autograd would keep 8 vectors per token of them, more than of anything else; working them
    out again costs a twelfth of the products of a training step.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, up: Tensor, up_bias: Tensor, down: Tensor, down_bias: Tensor
    ) -> Tensor:
        ctx.save_for_backward(x, up, up_bias, down)
        return F.linear(F.silu(F.linear(x, up, up_bias), inplace=True), down, down_bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        x, up, up_bias, down = ctx.saved_tensors
        gradient, rows = gradients[0].flatten(0, -2), x.flatten(0, -2)
        hidden = F.linear(rows, up, up_bias)
        to_down = gradient.t() @ F.silu(hidden)
        to_hidden = torch.ops.aten.silu_backward(gradient @ down, hidden)
        to_x = (to_hidden @ up).view(x.shape)
        return to_x, to_hidden.t() @ rows, to_hidden.sum(0), to_down, gradient.sum(0)


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
        outputs: list[Tensor] = []
        whole = None if torch.is_grad_enabled() else torch.empty_like(x)
        for first, last in segments(
            state.tokens_seen, count, segment_tokens(batch, width, x.device.type)
        ):
            output, state = self._segment(x[:, first:last], state)
            if whole is None:
                outputs.append(output)
            else:
                whole[:, first:last] = output
        return torch.cat(outputs, dim=1) if whole is None else whole, state

    def _segment(self, x: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:
        remembered, state = self.memory(self.norm1(x), state)
        x = x + remembered
        return x + self.feedforward(self.norm2(x)), state

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
