"""The logarithmic memory: a layer that keeps n tokens in about log2 n nodes of a binary tree."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lmn import tree
from lmn.attention import attend_chunks, attend_slots
from lmn.config import LMNConfig
from lmn.state import MemoryState
from lmn.summarizers import Summarizer, make_summarizer

__all__ = ["LogarithmicMemory", "MemoryState", "check_input"]


class LogarithmicMemory(nn.Module):
    """Attention over the current token and the newest complete node of every tree level.

    Its input has been normalised already; its output is what a block adds to the residual stream.
    `forward` reads many tokens at once and `step` one; any mixture of both gives the same numbers.
    """

    def __init__(self, config: LMNConfig) -> None:
        super().__init__()
        self.config = config
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
        state = self._usable_state(tokens, state)
        count, width = tokens.shape[1], self.config.width
        layout = tree.chunk_layout(state.tokens_seen, count)
        before, after = layout.token_padding
        projected = self.query_key_value(F.pad(tokens, (0, 0, before, after)))
        query, key, value = torch.unflatten(projected, -1, (3, width)).unbind(-2)
        nodes = self._grow(tokens, state)
        projections = [self._key_value(level) for level in nodes]

        keys, values = [key.unsqueeze(2)], [value.unsqueeze(2)]
        for level in range(1, layout.levels + 1):
            entries = _entries(level, projections, state, layout)
            level_key, level_value = torch.unflatten(entries, -1, (2, width)).unbind(-2)
            keys.append(level_key)
            values.append(level_value)
        mixed = attend_chunks(query, keys, values, layout, self.config.heads)
        last = projected[:, before + count - 1 : before + count, width:]
        newest = [torch.cat([tokens[:, -1:], last], dim=-1)]
        newest += [
            torch.cat([level[:, -1], projection[:, -1]], dim=-1)
            for level, projection in zip(nodes, projections, strict=True)
        ]
        output: Tensor = self.output(mixed.narrow(1, before, count))
        return output, self._next_state(state, newest, count)

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
        state = self._usable_state(token, state)
        merges = tree.merges_at(state.tokens_seen + 1)
        nodes = token.unsqueeze(1)
        if merges:
            nodes = torch.cat([nodes, *(new.squeeze(1) for new in self._grow(nodes, state))], dim=1)
        # merged nodes ask nothing, but one product for all is faster than two
        projected = self.query_key_value(nodes)
        newest = torch.cat([nodes, projected[..., width:]], dim=-1)
        state = self._next_state(state, [newest], 1, levels=merges)
        _, keys, values = state.rows.chunk(3, dim=-1)
        mixed = attend_slots(projected[:, 0, :width], keys, values, self.config.heads)
        output: Tensor = self.output(mixed)
        return output, state

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
        self, state: MemoryState, newest: list[Tensor], tokens: int, levels: int | None = None
    ) -> MemoryState:
        """State whose levels up to `levels` are `newest`; higher ones stay as they are."""
        kept = state.above(len(newest) - 1 if levels is None else levels)
        return MemoryState(
            rows=torch.cat([*newest, kept], dim=1),
            tokens_seen=state.tokens_seen + tokens,
            banks=state.banks,
            expansion=state.expansion,
        )

    def _usable_state(self, tokens: Tensor, state: MemoryState | None) -> MemoryState:
        """`state`, or the start of a sequence; told apart from states that fit something else."""
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


def _entries(
    level: int, projections: list[Tensor], state: MemoryState, layout: tree.ChunkLayout
) -> Tensor:
    """Keys and values of `level` in the order of the chunks: (batch, entries, rows, 2 * width)."""
    parts = []
    if tree.newest_node(state.tokens_seen, level):
        parts.append(state.level(level)[..., state.width :].unsqueeze(1))
    if level <= len(projections):
        parts.append(projections[level - 1])
    entries = torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
    return F.pad(entries, (0, 0, 0, 0, *layout.node_padding(level)))
