"""Decoding one token at a time with as few operations as possible.

At small widths a step costs what dispatching its operations costs, not what they compute. So
weights are folded into each other once, every view is made once, and a step writes into memory that
stays where it is. Which operations a step runs, and on which memory, depends on two small numbers
alone: the levels that its token rebuilds, and the levels that exist. So it can be compiled, or
recorded as a graph, once for each pair of them.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from lmn import tree
from lmn.block import LMNBlock
from lmn.decode_state import DecodeState
from lmn.memory import check_input
from lmn.state import MemoryState
from lmn.summarizers import ExpanderSummarizer, MixingSummarizer, Summarizer

# A level costs a few rows of memory, running out of levels costs the time of dozens of steps.
DEFAULT_MAX_TOKENS: Final = 1 << 20

__all__ = ["DEFAULT_MAX_TOKENS", "DecodeState", "Decoder"]


class Decoder:
    """A block made ready to read one token at a time, without gradients.

    Computes what `LMNBlock.step` computes, from copies of the block's weights: make it anew after
    the block has been trained, loaded or moved. Numbers differ by rounding, since scales, norm
    weights and, for a single head, the output projection are folded into other weights.

        decoder = Decoder(block)
        state = decoder.initial_state()
        with torch.inference_mode():
            y = decoder.step(x, state)  # changes the state

    Args:
        block: the block whose weights, type and device are copied.
    """

    # ordinary tensors, which work both inside and outside inference mode
    @torch.inference_mode(False)
    @torch.no_grad()
    def __init__(self, block: LMNBlock) -> None:
        memory, feedforward = block.memory, block.feedforward
        self.config = block.config
        self.dtype, self.device = memory.output.weight.dtype, memory.output.weight.device

        query, key, value = _exact(memory.query_key_value.weight).t().chunk(3, dim=1)
        query_bias, key_bias, value_bias = _exact(memory.query_key_value.bias)[None].chunk(3, dim=1)
        output, output_bias = _exact(memory.output.weight).t(), _exact(memory.output.bias)[None]
        if self.config.heads == 1:
            # the shares of attention sum to 1, so even the bias can go into the values
            value, value_bias = value @ output, value_bias @ output + output_bias
        self._output = self._stored(torch.cat([output, output_bias]))
        key_value = _head_by_head(key, value, self.config.heads)
        key_value_bias = _head_by_head(key_bias, value_bias, self.config.heads)
        self._key_value = self._stored(key_value)
        self._key_value_bias = self._stored(key_value_bias)

        # one product gives token | query | key and value: a part of ones and zeros costs less than
        # the two operations that would take the token apart from what its norm adds
        scale = self.config.head_width**-0.5
        token = torch.eye(self.config.width, dtype=query.dtype, device=self.device)
        entry = torch.cat([token, query * scale, key_value], dim=1)
        self._entry = self._stored(_after_norm(block.norm1.weight, entry))
        self._entry_bias = self._stored(
            torch.cat([torch.zeros_like(query_bias), query_bias * scale, key_value_bias], dim=1)
        )

        merge, merge_bias = (self._stored(part) for part in _merge_weights(memory.summarizer))
        one_bank = self.config.banks == 1
        self._merge, self._merge_bias = (
            (merge[0], merge_bias[0]) if one_bank else (merge, merge_bias)
        )
        self._merge_product = torch.addmm if one_bank else torch.baddbmm

        up = _after_norm(block.norm2.weight, _exact(feedforward.up.weight).t())
        self._up, self._up_bias = self._stored(up), self._stored(_exact(feedforward.up.bias)[None])
        down = [_exact(feedforward.down.weight), _exact(feedforward.down.bias)[:, None]]
        # from many features to few, a product is 5 to 10 % of a step faster with transposed weights
        self._down = self._stored(torch.cat(down, dim=1)).t()

    def _stored(self, weight: Tensor) -> Tensor:
        # a copy even of a weight that was not folded: training must not reach half of the weights
        return weight.to(self.dtype).clone(memory_format=torch.contiguous_format)

    def initial_state(self, batch: int = 1, *, max_tokens: int = DEFAULT_MAX_TOKENS) -> DecodeState:
        """State before the first token of `batch` sequences.

        Args:
            batch: sequences read side by side.
            max_tokens: tokens to make room for; beyond them the state grows by itself.

        Raises:
            ValueError: one of them is below 1.
        """
        if batch < 1 or max_tokens < 1:
            raise ValueError(
                f"batch and max_tokens must be at least 1, got {batch} and {max_tokens}"
            )
        levels = tree.level_count(max_tokens)
        return DecodeState(self.config, batch, levels, self.dtype, self.device)

    @torch.inference_mode(False)
    @torch.no_grad()
    def from_memory_state(
        self, memory_state: MemoryState, *, max_tokens: int = DEFAULT_MAX_TOKENS
    ) -> DecodeState:
        """State that goes on where `LMNBlock.forward` or `LMNBlock.step` stopped.

        Args:
            memory_state: what the block returned; stays as it is.
            max_tokens: tokens to make room for, counted from the start of the sequence; beyond
                them the state grows by itself.

        Raises:
            ValueError: the state belongs to another configuration.
            TypeError: the state is no `MemoryState`, or of another type than the weights.
        """
        self._check_memory_state(memory_state)
        seen = memory_state.tokens_seen
        state = self.initial_state(memory_state.batch, max_tokens=max(max_tokens, seen))
        if seen:
            nodes = memory_state.nodes.to(self.device)
            state._load(nodes, nodes @ self._key_value + self._key_value_bias, seen)
        return state

    @torch.no_grad()
    def to_memory_state(self, state: DecodeState) -> MemoryState:
        """The same memory for `LMNBlock.forward` or `LMNBlock.step`; `state` stays as it is."""
        nodes = state.nodes.clone()
        return MemoryState(nodes, state.tokens_seen, self.config.banks, self.config.expansion)

    def step(self, x: Tensor, state: DecodeState) -> Tensor:
        """Read one token, and change `state` to the one after it.

        Rebuilds as many levels as the token's number has zeros at the end of its binary form: fewer
        than one on average, all of them at a power of two.

        Args:
            x: (batch, width), of the decoder's type and on its device.
            state: from `initial_state`, `from_memory_state` or `DecodeState.clone`; changed in
                place.

        Returns:
            The output (batch, width).

        Raises:
            ValueError: `x` has the wrong shape or device, or `state` does not fit `x` or the block.
            TypeError: `x` has another type than the weights, or `state` is no `DecodeState`.
            RuntimeError: gradients are asked for.
        """
        if (
            type(state) is not DecodeState
            or x.shape != state.shape
            or x.dtype is not self.dtype
            or x.device != self.device
            or state.dtype is not self.dtype
            or state.device != self.device
            or state.config is not self.config
            or x.requires_grad
        ):
            self._check_step(x, state)
        token = state.tokens_seen + 1
        levels = tree.level_count(token)
        if levels > state.levels:
            state._grow(levels)
        y = self._step(x, state, tree.merges_at(token), levels)
        state.tokens_seen = token
        return y

    def _step(self, x: Tensor, state: DecodeState, merges: int, levels: int) -> Tensor:
        """The operations of a step that rebuilds `merges` levels and sees `levels` of them."""
        residual, extended, gain, entry = state._token
        residual.copy_(x)
        # the last of the width + 1 features stands for the norm's epsilon
        normalized = torch._weight_norm(extended, gain, 0)
        torch.addmm(self._entry_bias, normalized, self._entry, out=entry)
        for target, source in state._spread:
            target.copy_(source)
        self._rebuild(state, merges)
        self._attend(state, levels)
        normalized = torch._weight_norm(extended, gain, 0)
        hidden, hidden_and_one = state._hidden
        torch.addmm(self._up_bias, normalized, self._up, out=hidden)
        F.silu(hidden, inplace=True)
        return torch.addmm(residual, hidden_and_one, self._down)

    def _rebuild(self, state: DecodeState, merges: int) -> None:
        """Make the nodes of levels 1..merges; the last one then waits for its right sibling."""
        for right, node, pair, parent in state._merges[:merges]:
            right.copy_(node)
            self._merge_product(self._merge_bias, pair, self._merge, out=parent)
        left, node = state._lefts[merges]
        left.copy_(node)
        if merges:
            nodes, key_value = state._made[merges]
            torch.addmm(self._key_value_bias, nodes, self._key_value, out=key_value)

    def _attend(self, state: DecodeState, levels: int) -> None:
        """Add to the residual what the token reads out of its slots."""
        query, key, value, scores, shares = state._attention[levels]
        torch.bmm(query, key, out=scores)
        torch.softmax(scores, -1, out=shares)
        residual, mixed = state._token[0], state._mixed
        if self.config.heads > 1:
            torch.bmm(shares, value, out=mixed)
            for target, source in state._gather:
                target.copy_(source)
            torch.addmm(residual, state._mixed_and_one, self._output, out=residual)
        elif state.batch > 1:
            torch.bmm(shares, value, out=mixed)
            residual.add_(mixed[:, 0])
        else:
            torch.baddbmm(mixed, shares, value, out=mixed)  # a view of the residual

    def _check_memory_state(self, memory_state: MemoryState) -> None:
        config = self.config
        if not isinstance(memory_state, MemoryState):
            raise TypeError(
                f"expected a MemoryState, got {type(memory_state).__name__}; pass what "
                "LMNBlock.forward returned, or begin with initial_state()"
            )
        made_for = (memory_state.width, memory_state.banks, memory_state.expansion)
        if made_for != (config.width, config.banks, config.expansion):
            raise ValueError(
                "the state belongs to another configuration: it has width, banks, expansion = "
                f"{made_for}, this decoder {(config.width, config.banks, config.expansion)}"
            )
        if memory_state.nodes.dtype != self.dtype:
            raise TypeError(
                f"the state is {memory_state.nodes.dtype} and the decoder {self.dtype}; convert "
                "the state with state.to(decoder.dtype)"
            )

    def _check_step(self, x: Tensor, state: DecodeState) -> None:
        if not isinstance(state, DecodeState):
            raise TypeError(
                f"state must be a DecodeState, got {type(state).__name__}; use initial_state(), or "
                "from_memory_state() for the state of a block"
            )
        check_input(x, self.config.width, ("batch", "width"))
        if state.config != self.config:
            raise ValueError(
                f"the state belongs to another configuration: it was made for {state.config}, this "
                f"decoder for {self.config}"
            )
        if state.batch != x.shape[0]:
            raise ValueError(
                f"the state holds {state.batch} sequences and the input {x.shape[0]}; make a state "
                f"with initial_state({x.shape[0]})"
            )
        for name, other in (("input", x), ("state", state)):
            if other.dtype != self.dtype:
                raise TypeError(
                    f"the decoder is {self.dtype} and the {name} {other.dtype}; convert the input, "
                    "or the block, and then make decoder and state anew"
                )
            if other.device != self.device:
                raise ValueError(
                    f"the decoder is on {self.device} and the {name} on {other.device}; move the "
                    "input, or the block, and then make decoder and state anew"
                )
        if x.requires_grad and torch.is_grad_enabled():
            raise RuntimeError(
                "a decoder computes no gradients, but its input asks for them; run it under "
                "torch.inference_mode(), or train with LMNBlock.forward or LMNBlock.step"
            )


def _exact(weight: Tensor) -> Tensor:
    """Folding rounds once, at its end."""
    return weight.detach().double()


def _after_norm(norm: Tensor, weight: Tensor) -> Tensor:
    """Weight (width + 1, out) that scales by the norm's weight and ignores the last feature."""
    return F.pad(_exact(norm)[:, None] * weight, (0, 0, 0, 1))


def _head_by_head(key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Order columns as head 0's key, head 0's value, head 1's key...: (rows, 2 * width)."""
    both = [part.unflatten(1, (heads, -1)) for part in (key, value)]
    return torch.stack(both, dim=2).flatten(1)


def _merge_weights(summarizer: Summarizer) -> tuple[Tensor, Tensor]:
    """Weight (banks, inputs, width) and bias (banks, 1, width) of a node as one linear map.

    Inputs are ordered by tap, child, bank (if banks mix) and feature.
    """
    if isinstance(summarizer, MixingSummarizer):
        weight = _exact(summarizer.weight).unflatten(1, (summarizer.banks, -1)).transpose(0, 1)
        return weight, _exact(summarizer.bias).view(summarizer.banks, 1, -1)
    if not isinstance(summarizer, ExpanderSummarizer):
        return _exact(summarizer.weight), _exact(summarizer.bias)
    assert summarizer.widen.bias is not None  # ConvTranspose1d was made with a bias
    # (banks, children, width, width)
    children = _exact(summarizer.merge.weight).unflatten(1, (2, -1))
    taps = _exact(summarizer.widen.weight).permute(2, 0, 1)
    weight = taps[None, :, None] @ children[:, None]
    bias = _exact(summarizer.widen.bias) @ children.sum(1)
    return weight.flatten(1, 3), _exact(summarizer.merge.bias) + bias[:, None]
