"""The weights of a block in the form that decoding multiplies by, folded once and exactly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lmn.block import LMNBlock
from lmn.state import state_type
from lmn.summarizers import ExpanderSummarizer, MixingSummarizer, Summarizer


def norm_epsilon(eps: float | None, weights: torch.dtype) -> float:
    """Epsilon of the norms; `nn.RMSNorm` computes half precision in float32, and takes its."""
    return torch.finfo(state_type(weights)).eps if eps is None else eps


@dataclass(frozen=True)
class FoldedWeights:
    """Weights (in, out) and biases (1, out) in float64: rounding comes once, at the end.

    Queries are scaled already. With a single head the output projection is part of the values. Keys
    and values lie head by head: head 0's key, head 0's value, head 1's key...

    Attributes:
        norm1: of the token, (width,).
        query, query_bias: of the normalized token.
        key_value, key_value_bias: of a node, (width, 2 * width).
        merge, merge_bias: of a node's children, (banks, inputs, width) and (banks, 1, width);
            inputs are ordered by tap, child, bank (if banks mix) and feature.
        output, output_bias: of what attention gives; unused with a single head.
        norm2: of the residual, (width,).
        up, up_bias, down, down_bias: of the feed-forward part.
    """

    norm1: Tensor
    query: Tensor
    query_bias: Tensor
    key_value: Tensor
    key_value_bias: Tensor
    merge: Tensor
    merge_bias: Tensor
    output: Tensor
    output_bias: Tensor
    norm2: Tensor
    up: Tensor
    up_bias: Tensor
    down: Tensor
    down_bias: Tensor


def fold(block: LMNBlock) -> FoldedWeights:
    """Fold what can be folded into one product."""
    memory, feedforward, heads = block.memory, block.feedforward, block.config.heads
    query, key, value = _exact(memory.query_key_value.weight).t().chunk(3, dim=1)
    biases = _exact(memory.query_key_value.bias)[None].chunk(3, dim=1)
    query_bias, key_bias, value_bias = biases
    output, output_bias = _exact(memory.output.weight).t(), _exact(memory.output.bias)[None]
    if heads == 1:
        # the shares of attention sum to 1, so even the bias can go into the values
        value, value_bias = value @ output, value_bias @ output + output_bias
    scale = block.config.head_width**-0.5
    merge, merge_bias = _merge_weights(memory.summarizer)
    return FoldedWeights(
        norm1=_exact(block.norm1.weight),
        query=query * scale,
        query_bias=query_bias * scale,
        key_value=_head_by_head(key, value, heads),
        key_value_bias=_head_by_head(key_bias, value_bias, heads),
        merge=merge,
        merge_bias=merge_bias,
        output=output,
        output_bias=output_bias,
        norm2=_exact(block.norm2.weight),
        up=_exact(feedforward.up.weight).t(),
        up_bias=_exact(feedforward.up.bias)[None],
        down=_exact(feedforward.down.weight).t(),
        down_bias=_exact(feedforward.down.bias)[None],
    )


def stored(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """A weight as it is multiplied by.

    A copy even of one that was not folded: training must not reach half of the weights.
    """
    return weight.to(dtype).clone(memory_format=torch.contiguous_format)


def _exact(weight: Tensor) -> Tensor:
    return weight.detach().double()


def _head_by_head(key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Order columns as head 0's key, head 0's value, head 1's key...: (rows, 2 * width)."""
    both = [part.unflatten(1, (heads, -1)) for part in (key, value)]
    return torch.stack(both, dim=2).flatten(1)


def _merge_weights(summarizer: Summarizer) -> tuple[Tensor, Tensor]:
    """Weight (banks, inputs, width) and bias (banks, 1, width) of a node as one linear map."""
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
