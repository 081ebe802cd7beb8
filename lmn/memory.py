"""The logarithmic memory: a layer that keeps n tokens in about log2 n nodes of a binary tree."""

from __future__ import annotations

from typing import Final, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lmn import tree
from lmn.attention import ChunkPlan, attend_chunks, attend_slots, chunk_plan
from lmn.config import LMNConfig
from lmn.state import MemoryState
from lmn.summarizers import Summarizer, make_summarizer

Implementation = Literal["chunked", "triton"]
IMPLEMENTATIONS: Final[tuple[str, ...]] = ("chunked", "triton")

__all__ = ["LogarithmicMemory", "MemoryState", "check_input"]


class LogarithmicMemory(nn.Module):
    """Attention over the current token and the newest complete node of every tree level.

    Its input has been normalised already; its output is what a block adds to the residual stream.
    `forward` reads many tokens at once and `step` one; any mixture of both gives the same numbers.

    Args:
        config: sizes.
        implementation: of attention in `forward`: `chunked` runs everywhere; `triton` is one fused
            kernel, needs the package triton and an NVIDIA GPU, and says so where it cannot run.

    Raises:
        ValueError: `implementation` is unknown.
    """

    def __init__(self, config: LMNConfig, *, implementation: Implementation = "chunked") -> None:
        super().__init__()
        if implementation not in IMPLEMENTATIONS:
            raise ValueError(
                f"implementation must be one of {', '.join(IMPLEMENTATIONS)}, "
                f"got {implementation!r}"
            )
        self.config = config
        self.implementation = implementation
        # one product for all three; published names: query = sva.k, key = sva.q, value = sva.v
        self.query_key_value = nn.Linear(config.width, 3 * config.width)
        self.summarizer: Summarizer = make_summarizer(config)
        self.output = nn.Linear(config.width, config.width)

    def initial_state(
        self,
        batch: int,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> MemoryState:
        """State before the first token of `batch` sequences.

        Type and device are those of the weights unless given.
        """
        weight = self.output.weight
        return MemoryState.empty(
            batch,
            self.config.width,
            banks=self.config.banks,
            expansion=self.config.expansion,
            dtype=weight.dtype if dtype is None else dtype,
            device=weight.device if device is None else device,
        )

    def forward(
        self, tokens: Tensor, state: MemoryState | None = None
    ) -> tuple[Tensor, MemoryState]:
        """Read any number of tokens at once, going on from `state`.

        Args:
            tokens: (batch, tokens, width), at least one token.
            state: what came before; `None` at the start of a sequence.

        Returns:
            The output (batch, tokens, width), and the state after the last token.

        Raises:
            ValueError: `tokens` has the wrong shape, or `state` does not fit it or this layer.
            TypeError: `tokens` and `state` differ in type.
        """
        check_input(tokens, self.config.width, ("batch", "tokens", "width"))
        state = self.usable_state(tokens, state)
        made = self._grow(tokens, state)
        key_values = [self._key_value(level.flatten(1, 2)) for level in made]
        mixed, last_key_value = self._attend(tokens, key_values, state)
        output: Tensor = self.output(mixed)

        newest = [tokens[:, -1:], *(level[:, -1] for level in made)]
        newest_key_value = [last_key_value]
        for level, projection in zip(made, key_values, strict=True):
            newest_key_value.append(projection[:, -level.shape[2] :])
        rows = torch.cat([torch.cat(newest, dim=1), torch.cat(newest_key_value, dim=1)], dim=-1)
        return output, self._next_state(state, rows, tokens.shape[1], len(made))

    def step(self, token: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:
        """Read one token.

        Rebuilds as many levels as the token's number has zeros at the end of its binary form: fewer
        than one on average, all of them at a power of two.

        Args:
            token: (batch, width).
            state: what came before, from `initial_state`, `forward` or `step`.

        Returns:
            The output (batch, width), and the state after this token; `state` itself stays as it
            is.

        Raises:
            ValueError: `token` has the wrong shape, or `state` does not fit it or this layer.
            TypeError: `token` and `state` differ in type.
        """
        width = self.config.width
        check_input(token, width, ("batch", "width"))
        state = self.usable_state(token, state)
        merges = tree.merges_at(state.tokens_seen + 1)
        nodes = token.unsqueeze(1)
        if merges:
            merged = self._grow(nodes, state)
            nodes = torch.cat([nodes, *(new.squeeze(1) for new in merged)], dim=1)
        # merged nodes ask nothing, but one product for all is faster than two
        projected = self.query_key_value(nodes)
        newest = torch.cat([nodes, projected[..., width:]], dim=-1)
        state = self._next_state(state, newest, 1, merges)
        _, keys, values = state.rows.chunk(3, dim=-1)
        mixed = attend_slots(projected[:, 0, :width], keys, values, self.config.heads)
        output: Tensor = self.output(mixed)
        return output, state

    def _attend(
        self, tokens: Tensor, key_values: list[Tensor], state: MemoryState
    ) -> tuple[Tensor, Tensor]:
        """What the tokens read, (batch, tokens, width), and the last one's key and value."""
        config, count = self.config, tokens.shape[1]
        if self.implementation == "triton":
            from lmn.triton_attention import attend_triton

            projected = self.query_key_value(tokens)
            mixed = attend_triton(
                projected,
                _listed_rows(key_values, state),
                tokens_before=state.tokens_seen,
                heads=config.heads,
                banks=config.banks,
                expansion=config.expansion,
            )
            return mixed, projected[:, -1:, config.width :]
        layout = tree.chunk_layout(state.tokens_seen, count)
        plan = chunk_plan(layout, config.banks, config.expansion)
        before, after = layout.token_padding
        padded = F.pad(tokens, (0, 0, before, after)) if before or after else tokens
        projected = self.query_key_value(padded)
        mixed = attend_chunks(
            projected, _seen_rows(key_values, state, plan), plan, config.heads
        ).narrow(1, before, count)
        return mixed, projected[:, before + count - 1, None, config.width :]

    def _grow(self, tokens: Tensor, state: MemoryState) -> list[Tensor]:
        """New nodes of each level from 1 on that gains any: (batch, new, rows per node, width)."""
        width = self.config.width
        grown: list[Tensor] = []
        # (batch, nodes, vectors, banks, width), with one bank at level 0
        nodes = tokens[:, :, None, None]
        for level in range(tree.level_count(state.tokens_seen + tokens.shape[1])):
            if tree.newest_node(state.tokens_seen, level) % 2:
                # the newest node of before is a left child whose sibling is made now
                waiting = state.level(level)[..., :width]
                waiting = waiting.view(-1, 1, *nodes.shape[2:])
                nodes = torch.cat([waiting, nodes], dim=1)
            if nodes.shape[1] < 2:
                break
            if nodes.shape[1] % 2:
                nodes = nodes[:, :-1]  # the last one waits for its sibling
            nodes = self.summarizer(nodes)
            grown.append(nodes.flatten(2, 3))
        return grown

    def _key_value(self, nodes: Tensor) -> Tensor:
        """Key and value of nodes: (..., width) -> (..., 2 * width)."""
        width = self.config.width
        projection = self.query_key_value
        return F.linear(nodes, projection.weight[width:], projection.bias[width:])

    def _next_state(
        self, state: MemoryState, newest: Tensor, tokens: int, levels: int
    ) -> MemoryState:
        """State whose levels up to `levels` are `newest`; higher ones stay as they are."""
        return MemoryState(
            rows=torch.cat([newest, state.above(levels)], dim=1),
            tokens_seen=state.tokens_seen + tokens,
            banks=state.banks,
            expansion=state.expansion,
        )

    def usable_state(self, tokens: Tensor, state: MemoryState | None) -> MemoryState:
        """`state`, or the start of a sequence for `None`.

        Raises:
            ValueError: it belongs to another configuration or batch than `tokens`.
            TypeError: it is no `MemoryState`, or of another type than `tokens`.
        """
        config = self.config
        if state is None:
            return self.initial_state(tokens.shape[0], tokens.dtype, tokens.device)
        if not isinstance(state, MemoryState):
            raise TypeError(
                f"state must be a MemoryState or None, got {type(state).__name__}; "
                "use initial_state() or what an earlier call returned"
            )
        made_for = (state.width, state.banks, state.expansion)
        if made_for != (config.width, config.banks, config.expansion):
            raise ValueError(
                "the state belongs to another configuration: it has width, banks, expansion = "
                f"{made_for}, this layer {(config.width, config.banks, config.expansion)}"
            )
        if state.batch != tokens.shape[0]:
            raise ValueError(
                f"the state holds {state.batch} sequences and the input {tokens.shape[0]}; "
                "pick sequences with state[first:last]"
            )
        if state.rows.dtype != tokens.dtype:
            raise TypeError(
                f"the state is {state.rows.dtype} and the input {tokens.dtype}; "
                "convert one of them, for example state.to(tokens.dtype)"
            )
        return state


def check_input(tensor: Tensor, width: int, axes: tuple[str, ...]) -> None:
    """Raise a ValueError unless `tensor` has the named axes, none empty, and ends in `width`."""
    shape = tuple(tensor.shape)
    if len(shape) != len(axes) or shape[-1] != width:
        expected = f"({', '.join(axes[:-1])}, {axes[-1]}={width})"
        raise ValueError(f"expected a tensor {expected}, got shape {shape}")
    if 0 in shape:
        empty = axes[shape.index(0)]
        raise ValueError(f"expected at least one entry along {empty!r}, got shape {shape}")


def _listed_rows(key_values: list[Tensor], state: MemoryState) -> Tensor:
    """Keys and values per level from 1 on: of the newest node of before, then of the new ones."""
    parts = [state.rows.new_empty(state.batch, 0, 2 * state.width)]
    before = tree.level_count(state.tokens_seen)
    for level in range(1, max(before, len(key_values)) + 1):
        if level <= before:
            parts.append(state.level(level)[..., state.width :])
        parts += key_values[level - 1 : level]
    return torch.cat(parts, dim=1)


def _seen_rows(key_values: list[Tensor], state: MemoryState, plan: ChunkPlan) -> Tensor:
    """Keys and values of all nodes that the chunks see, as `plan` lists them.

    Args:
        key_values: of the new nodes, per level from 1 on that has any, (batch, rows, 2 * width).
        state: what came before; its newest nodes have keys and values already.
        plan: the nodes that are seen.
    """
    features = 2 * state.width
    parts = [state.rows.new_empty(state.batch, 0, features)]
    for level, (first, nodes, rows, _) in enumerate(plan.levels, start=1):
        kept = tree.newest_node(state.tokens_seen, level)
        begin, end = kept + 1, tree.newest_node(plan.layout.last_token, level)
        last = first + nodes - 1
        listed = key_values[level - 1 : level]
        if kept and first <= kept:
            begin, listed = kept, [state.level(level)[..., state.width :], *listed]
        # node 0, older nodes that only padding would see, and nodes that come later
        for place, missing in ((0, begin - first), (len(listed) + 1, last - end)):
            if missing > 0:
                none = state.rows.new_zeros(state.batch, missing * rows, features)
                listed.insert(place, none)
        parts += listed
    return torch.cat(parts, dim=1)
