"""The logarithmic memory: a layer that keeps n tokens in about log2 n nodes of a binary tree."""

from __future__ import annotations

from typing import Final, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lmn import tree
from lmn.attention import attend_chunks, attend_nodes
from lmn.chunks import ChunkPlan, chunk_plan
from lmn.config import LMNConfig
from lmn.cost import is_folded
from lmn.state import MemoryState, state_type
from lmn.summarizers import Summarizer, make_summarizer

Implementation = Literal["chunked", "triton"]
IMPLEMENTATIONS: Final[tuple[str, ...]] = ("chunked", "triton")

# Under half-precision weights, so many levels are merged in half precision, and seven of eight
# merges with them. They round as often as levels, the ones above as float32 does.
FAST_LEVELS: Final = 3

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

        Type (of the tokens) and device are those of the weights unless given.
        """
        weight = self.output.weight
        return MemoryState.empty(
            batch,
            self.config.width,
            banks=self.config.banks,
            expansion=self.config.expansion,
            dtype=state_type(weight.dtype if dtype is None else dtype),
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
        output = self._attend(tokens, made, state)
        newest = [_rows(nodes[:, :, -1:]).to(state.nodes.dtype) for nodes in made]
        return output, _next_state(state, tokens[:, -1:], newest, tokens.shape[1])

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
        check_input(token, self.config.width, ("batch", "width"))
        state = self.usable_state(token, state)
        made = self._grow(token.unsqueeze(1), state)
        grown = [_rows(nodes).to(state.nodes.dtype) for nodes in made]
        state = _next_state(state, token.unsqueeze(1), grown, 1)
        query, key, value = self.query_key_value.weight.chunk(3)
        query_bias, _, value_bias = self.query_key_value.bias.chunk(3)
        query = F.linear(token, query, query_bias)
        mixed = attend_nodes(query, state.nodes, key, value, self.config.heads)
        output: Tensor = self.output(mixed + value_bias)
        return output, state

    def _attend(self, tokens: Tensor, made: list[Tensor], state: MemoryState) -> Tensor:
        """What the tokens read, (batch, tokens, width), after the output projection."""
        if self.implementation == "triton":
            return self._attend_triton(tokens, made, state)
        config, count = self.config, tokens.shape[1]
        layout = tree.chunk_layout(state.tokens_seen, count, config.width)
        plan = chunk_plan(layout, config.banks, config.expansion)
        before, after = layout.token_padding
        padded = F.pad(tokens, (0, 0, before, after)) if before or after else tokens
        nodes = _seen_nodes(made, state, plan)
        weight, bias = self.query_key_value.weight, self.query_key_value.bias
        to_query, to_key, to_value = weight.chunk(3)
        query_bias, _, value_bias = bias.chunk(3)
        output = self.output.weight
        # shares of attention sum to 1, so the bias of the values passes through them unchanged
        output_bias = torch.addmv(self.output.bias, output, value_bias)
        if is_folded(config, count):
            to_query, query_bias = to_key.t().mm(to_query), to_key.t().mv(query_bias)
            query = F.linear(padded, to_query, query_bias)
            mixed = attend_chunks(query, padded, None, nodes, plan, 1)
            output = output.mm(to_value)
        else:
            own_bias = bias.new_zeros(2 * config.width)
            projected = F.linear(padded, weight, torch.cat([query_bias, own_bias]))
            query, own = projected.split([config.width, 2 * config.width], dim=-1)
            key_value = weight[config.width :]
            mixed = attend_chunks(query, own, key_value, nodes, plan, config.heads)
        return F.linear(mixed.narrow(1, before, count), output, output_bias)

    def _attend_triton(self, tokens: Tensor, made: list[Tensor], state: MemoryState) -> Tensor:
        from lmn.triton_attention import attend_triton

        config = self.config
        projected = self.query_key_value(tokens)
        mixed = attend_triton(
            projected,
            self._listed_rows(made, state),
            tokens_before=state.tokens_seen,
            heads=config.heads,
            banks=config.banks,
            expansion=config.expansion,
        )
        output: Tensor = self.output(mixed)
        return output

    def _listed_rows(self, made: list[Tensor], state: MemoryState) -> Tensor:
        """Keys and values per level from 1 on: of the newest node of before, then of the new."""
        parts = [state.nodes[:, :0]]
        before = tree.level_count(state.tokens_seen)
        for level in range(1, max(before, len(made)) + 1):
            if level <= before:
                parts.append(state.level(level))
            if level <= len(made):
                parts.append(_rows(made[level - 1]))
        width, projection = self.config.width, self.query_key_value
        nodes = torch.cat(parts, dim=1).to(projection.weight.dtype)
        return F.linear(nodes, projection.weight[width:], projection.bias[width:])

    def _grow(self, tokens: Tensor, state: MemoryState) -> list[Tensor]:
        """New nodes of each level from 1 on that gains any: (banks, batch, new, vectors, width).

        High levels in the type of the state: what is merged again and again is kept as exact.
        """
        grown: list[Tensor] = []
        nodes = tokens[None, :, :, None]  # one bank at level 0
        for level in range(tree.level_count(state.tokens_seen + tokens.shape[1])):
            if level >= FAST_LEVELS:
                nodes = nodes.to(state.nodes.dtype)
            if tree.newest_node(state.tokens_seen, level) % 2:
                # the newest node of before is a left child whose sibling is made now
                nodes = torch.cat([_newest_node(state, level).to(nodes.dtype), nodes], dim=2)
            if nodes.shape[2] < 2:
                break
            if nodes.shape[2] % 2:
                nodes = nodes[:, :, :-1]  # the last one waits for its sibling
            nodes = self.summarizer.merge_by_bank(nodes)
            grown.append(nodes)
        return grown

    def usable_state(self, tokens: Tensor, state: MemoryState | None) -> MemoryState:
        """`state`, or the start of a sequence for `None`.

        Raises:
            ValueError: it belongs to another configuration or batch than `tokens`.
            TypeError: it is no `MemoryState`, or of another type than `tokens`.
            RuntimeError: autocast is on.
        """
        refuse_autocast(tokens.device)
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
        if state.nodes.dtype != state_type(tokens.dtype):
            raise TypeError(
                f"the state is {state.nodes.dtype} and the input {tokens.dtype}; an input of that "
                f"type needs a state of {state_type(tokens.dtype)}: convert one of them, for "
                f"example state.to({state_type(tokens.dtype)})"
            )
        return state


def refuse_autocast(device: torch.device) -> None:
    """Raise a RuntimeError where autocast would change types on `device`."""
    if torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type):
        raise RuntimeError(
            "autocast is on, but this computation chooses its types itself; switch it off here, "
            "and convert block and input instead, for example block.bfloat16() and x.bfloat16()"
        )


def check_input(tensor: Tensor, width: int, axes: tuple[str, ...]) -> None:
    """Raise a ValueError unless `tensor` has the named axes, none empty, and ends in `width`."""
    shape = tuple(tensor.shape)
    if len(shape) != len(axes) or shape[-1] != width:
        expected = f"({', '.join(axes[:-1])}, {axes[-1]}={width})"
        raise ValueError(f"expected a tensor {expected}, got shape {shape}")
    if 0 in shape:
        empty = axes[shape.index(0)]
        raise ValueError(f"expected at least one entry along {empty!r}, got shape {shape}")


def _rows(nodes: Tensor) -> Tensor:
    """In the order of a state: (banks, batch, nodes, vectors, width) -> (batch, rows, width)."""
    return nodes.permute(1, 2, 3, 0, 4).flatten(1, 3)


def _next_state(state: MemoryState, token: Tensor, grown: list[Tensor], tokens: int) -> MemoryState:
    """State after `tokens` more: its newest token and lower levels are new, higher ones stay."""
    newest = [token.to(state.nodes.dtype), *grown, state.above(len(grown))]
    return MemoryState(
        torch.cat(newest, dim=1), state.tokens_seen + tokens, state.banks, state.expansion
    )


def _newest_node(state: MemoryState, level: int) -> Tensor:
    """The newest node at `level` that a state holds: (banks, batch, 1, vectors, width)."""
    banks = state.banks if level else 1
    return torch.unflatten(state.level(level), 1, (1, -1, banks)).permute(3, 0, 1, 2, 4)


def _seen_nodes(made: list[Tensor], state: MemoryState, plan: ChunkPlan) -> list[Tensor]:
    """All nodes that the chunks see, per level from 1 on, as `plan` wants them.

    Args:
        made: the new nodes, per level from 1 on that has any.
        state: what came before.
        plan: the nodes that are seen.
    """
    seen = []
    for level, (first, nodes, rows, _) in enumerate(plan.levels, start=1):
        kept = tree.newest_node(state.tokens_seen, level)
        begin, end = kept + 1, tree.newest_node(plan.layout.last_token, level)
        last = first + nodes - 1
        listed = made[level - 1 : level]
        dtype = listed[0].dtype if listed else state.nodes.dtype
        if kept and first <= kept:
            begin, listed = kept, [_newest_node(state, level).to(dtype), *listed]
        # node 0, older nodes that only padding would see, and nodes that come later
        for place, missing in ((0, begin - first), (len(listed) + 1, last - end)):
            if missing > 0:
                shape = (state.banks, state.batch, missing, rows // state.banks, state.width)
                listed.insert(place, state.nodes.new_zeros(shape, dtype=dtype))
        seen.append(torch.cat(listed, dim=2) if len(listed) > 1 else listed[0])
    return seen
