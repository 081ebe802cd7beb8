"""One block of the network: memory, then feed-forward, each after a norm and beside a residual."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lmn.config import LMNConfig
from lmn.memory import LogarithmicMemory, check_input
from lmn.state import MemoryState


class FeedForward(nn.Module):
    """down(SiLU(up(x))), position by position: width -> hidden_width -> width, both with a bias."""

    def __init__(self, config: LMNConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.width, config.hidden_width)
        self.down = nn.Linear(config.hidden_width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to (..., width)."""
        # the hidden features are the largest tensor of all: reuse their memory when nobody needs it
        hidden = F.silu(self.up(x), inplace=not torch.is_grad_enabled())
        output: Tensor = self.down(hidden)
        return output


class LMNBlock(nn.Module):
    """x <- x + memory(RMSNorm x), then x <- x + feedforward(RMSNorm x).

    Source: arXiv 2501.07905. `forward` reads many tokens at once and `step` one; any mixture of
    both gives the same numbers and the same gradients. Nothing is kept between calls but the
    weights: the state goes in and comes out.
    """

    def __init__(self, config: LMNConfig) -> None:
        super().__init__()
        self.config = config
        self.norm1 = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.memory = LogarithmicMemory(config)
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
