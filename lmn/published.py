"""The published way to compute the network, kept as an oracle for tests and a yardstick for speed.

Same weights, same numbers, other arithmetic: every node is repeated to all the positions that it
serves, which makes a (batch, tokens, slots, width) tensor; every slot of every position is
projected; decoding projects all slots again at each step. The one deliberate change: whether a slot
exists is known from the position and not guessed from its values being zero, which gave NaN after
an all-zero token.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lmn import tree
from lmn.block import FeedForward
from lmn.config import LMNConfig
from lmn.memory import check_input
from lmn.state import MemoryState
from lmn.summarizers import Summarizer, make_summarizer


@dataclass(frozen=True, eq=False)
class PublishedState:
    """Newest node of every level, as (batch, rows per node, width), and the tokens seen so far."""

    levels: tuple[Tensor, ...]
    tokens_seen: int

    @property
    def nodes(self) -> Tensor:
        """The slots of the last position, (batch, slots, width)."""
        return torch.cat(self.levels, dim=1)

    @property
    def nbytes(self) -> int:
        """Bytes of all nodes."""
        return sum(level.numel() * level.element_size() for level in self.levels)


class PublishedMemory(nn.Module):
    """The memory layer, computed as published; parameters as in `LogarithmicMemory`."""

    def __init__(self, config: LMNConfig) -> None:
        super().__init__()
        self.config = config
        self.query_key_value = nn.Linear(config.width, 3 * config.width)
        self.summarizer: Summarizer = make_summarizer(config)
        self.output = nn.Linear(config.width, config.width)

    def forward(self, tokens: Tensor) -> tuple[Tensor, PublishedState]:
        """Read a whole sequence (batch, tokens, width) from its start."""
        count = tokens.shape[1]
        levels = self.build_tree(tokens)
        position = torch.arange(1, count + 1, device=tokens.device)
        repeated, existing = [], []
        for level, nodes in enumerate(levels):
            # position t sees node floor(t / 2^level); number 0 stands for none
            span = 1 << level
            numbered = F.pad(nodes, (0, 0, 0, 0, 1, 0))
            repeated.append(numbered.repeat_interleave(span, dim=1)[:, 1 : count + 1])
            existing.append((position >= span)[:, None].expand(-1, nodes.shape[2]))
        slots = torch.cat(repeated, dim=2)  # (batch, tokens, slots, width)
        valid = torch.cat(existing, dim=1)  # (tokens, slots)
        state = PublishedState(tuple(nodes[:, -1] for nodes in levels), count)
        return self.attend(tokens, slots, valid), state

    def step(self, token: Tensor, state: PublishedState) -> tuple[Tensor, PublishedState]:
        """Read one token (batch, width)."""
        levels = list(state.levels) or [token.unsqueeze(1)]
        node = token.unsqueeze(1)
        for level in range(tree.merges_at(state.tokens_seen + 1)):
            left, levels[level] = levels[level], node
            node = self.merge(torch.stack([left, node], dim=1), level).squeeze(1)
            if level + 1 == len(levels):
                levels.append(node)
        levels[tree.merges_at(state.tokens_seen + 1)] = node
        state = PublishedState(tuple(levels), state.tokens_seen + 1)
        output = self.attend(token.unsqueeze(1), state.nodes.unsqueeze(1), None)
        return output.squeeze(1), state

    def build_tree(self, tokens: Tensor) -> list[Tensor]:
        """All nodes, level by level: (batch, nodes, rows per node, width)."""
        levels = [tokens.unsqueeze(2)]
        for level in range(tree.level_count(tokens.shape[1])):
            pairs = levels[level].shape[1] // 2
            levels.append(self.merge(levels[level][:, : 2 * pairs], level))
        return levels

    def merge(self, children: Tensor, level: int) -> Tensor:
        """Parents of neighbours at `level`: (batch, 2 * pairs, rows, width) -> half as many."""
        banks = self.config.banks if level else 1
        parents: Tensor = self.summarizer(torch.unflatten(children, 2, (-1, banks)))
        return parents.flatten(2, 3)

    def attend(self, tokens: Tensor, slots: Tensor, valid: Tensor | None) -> Tensor:
        """Project every slot of every position, then softmax(q . k / sqrt(head width)) per
        position.

        Args:
            tokens: (batch, tokens, width).
            slots: (batch, tokens, slots, width).
            valid: which slots exist, (tokens, slots); `None` if all do.
        """
        heads, width = self.config.heads, self.config.width
        projection = self.query_key_value
        weight, bias = projection.weight, projection.bias
        query = torch.unflatten(F.linear(tokens, weight[:width], bias[:width]), -1, (heads, -1))
        key = F.linear(slots, weight[width : 2 * width], bias[width : 2 * width])
        value = F.linear(slots, weight[2 * width :], bias[2 * width :])
        key, value = (
            torch.unflatten(rows, -1, (heads, -1)).transpose(2, 3) for rows in (key, value)
        )
        # (batch, tokens, heads, slots)
        scores = (key @ query.unsqueeze(-1)).squeeze(-1) * self.config.head_width**-0.5
        if valid is not None:
            scores = scores.masked_fill(~valid[:, None], float("-inf"))
        mixed = scores.softmax(dim=-1).unsqueeze(-2) @ value
        output: Tensor = self.output(mixed.flatten(2))
        return output


class PublishedFeedForward(FeedForward):
    """The same map, whose hidden features autograd keeps."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to (..., width)."""
        hidden = F.silu(self.up(x), inplace=not torch.is_grad_enabled())
        output: Tensor = self.down(hidden)
        return output


class PublishedBlock(nn.Module):
    """`LMNBlock` computed as published; weights load from one into the other, both ways."""

    def __init__(self, config: LMNConfig) -> None:
        super().__init__()
        self.config = config
        self.norm1 = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.memory = PublishedMemory(config)
        self.norm2 = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.feedforward = PublishedFeedForward(config)

    def initial_state(
        self,
        batch: int,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> PublishedState:
        """State before the first token; called as for `LMNBlock`, but empty for any batch."""
        return PublishedState((), 0)

    def forward(
        self, x: Tensor, state: PublishedState | None = None
    ) -> tuple[Tensor, PublishedState]:
        """Read a whole sequence (batch, tokens, width) from its start.

        Returns:
            The output (batch, tokens, width), and a state from which `step` goes on; its `nodes`
            are the slots of the last position.

        Raises:
            ValueError: `x` has the wrong shape, or `state` is not the start of a sequence.
        """
        check_input(x, self.config.width, ("batch", "tokens", "width"))
        if state is not None and state.tokens_seen:
            raise ValueError(
                "the published parallel form only starts from nothing, got a state after "
                f"{state.tokens_seen} tokens; go on with step(), or use LMNBlock"
            )
        remembered, state = self.memory(self.norm1(x))
        x = x + remembered
        return x + self.feedforward(self.norm2(x)), state

    def step(self, x: Tensor, state: PublishedState) -> tuple[Tensor, PublishedState]:
        """Read one token (batch, width); returns the output (batch, width) and the next state."""
        check_input(x, self.config.width, ("batch", "width"))
        remembered, state = self.memory.step(self.norm1(x), state)
        x = x + remembered
        return x + self.feedforward(self.norm2(x)), state


class PublishedLayer(PublishedBlock):
    """`PublishedBlock` with the state of an `LMNBlock`: the same nodes in the same order."""

    def initial_state(  # type: ignore[override]
        self,
        batch: int,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> MemoryState:
        """State before the first token, as of `LMNBlock`."""
        weight, config = self.norm1.weight, self.config
        return MemoryState.empty(
            batch,
            config.width,
            banks=config.banks,
            expansion=config.expansion,
            dtype=dtype or weight.dtype,
            device=device or weight.device,
        )

    def forward(  # type: ignore[override]
        self, x: Tensor, state: MemoryState | None = None
    ) -> tuple[Tensor, MemoryState]:
        """As `PublishedBlock.forward`."""
        y, after = super().forward(x, None if state is None else self._published(state))
        return y, self._memory(after)

    def step(self, x: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:  # type: ignore[override]
        """As `PublishedBlock.step`."""
        y, after = super().step(x, self._published(state))
        return y, self._memory(after)

    def _published(self, state: MemoryState) -> PublishedState:
        levels = tree.level_count(state.tokens_seen) + 1 if state.tokens_seen else 0
        return PublishedState(tuple(map(state.level, range(levels))), state.tokens_seen)

    def _memory(self, state: PublishedState) -> MemoryState:
        config = self.config
        return MemoryState(state.nodes, state.tokens_seen, config.banks, config.expansion)
