"""FLOPs of operations that torch's own flop registry lacks, or counts by another convention.

A FLOP is an addition or a multiplication inside a matrix product: m x k by k x n is 2 m n k. What
is applied element by element (softmax, gates, norms) is not counted, as in torch's registry.

Causal attention counts the half of the score matrix that it needs, n (n + 1) / 2 pairs: fused
kernels skip the other half. torch's registry counts the whole matrix for CUDA's kernels; `FORMULAS`
overrides that, so that devices agree. A mask handed over as a tensor skips nothing and counts in
full.

Every formula takes what the operation took, `formula(*args, **kwargs, out_val=result)`, like the
entries of `torch.utils.flop_counter.flop_registry`; `FlopCounterMode(custom_mapping=FORMULAS)`
works too. In inference mode a dispatch mode sees composite operations (`aten.lstm`, `aten.linear`,
`aten.scaled_dot_product_attention`) before they are taken apart; those that subjects use are here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Formula = Callable[..., int]

aten = torch.ops.aten

FORWARD_PRODUCTS = 2  # scores, and values weighted by them
BACKWARD_PRODUCTS = 5  # scores again, and the gradients of weights, values, queries and keys


def _arguments(operation: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments by the names that the operation's schema gives them, defaults included."""
    schema = operation.default._schema.arguments
    named = {argument.name: argument.default_value for argument in schema}
    named.update(zip((argument.name for argument in schema), args, strict=False))
    named.update(kwargs)
    return named


def attended_pairs(queries: int, keys: int, is_causal: bool) -> int:
    """Pairs of a query and a key that attention has to look at."""
    if not is_causal:
        return queries * keys
    # Query i sees the keys up to i.
    seen = min(queries, keys)
    return seen * (seen + 1) // 2 + max(queries - keys, 0) * keys


def _attention(operation: Any, products: int) -> Formula:
    def formula(*args: Any, out_val: Any = None, **kwargs: Any) -> int:
        named = _arguments(operation, args, kwargs)
        query, key, value = (named[name].shape for name in ("query", "key", "value"))
        # Shapes are (batch, heads, tokens, head width); values may be wider than keys.
        widths = (products - products // 2) * query[-1] + (products // 2) * value[-1]
        pairs = attended_pairs(query[-2], key[-2], named["is_causal"])
        return int(2 * math.prod(query[:-2]) * pairs * widths)

    return formula


def _recurrent_layer(weight_names: Sequence[str], operation: Any, passes: int) -> Formula:
    """Every weight of the layer is applied to every token, `passes` times."""

    def formula(*args: Any, out_val: Any = None, **kwargs: Any) -> int:
        named = _arguments(operation, args, kwargs)
        weights = [named[name] for name in weight_names]
        return passes * _per_token(named["input"], weights)

    return formula


def _recurrent_stack(passes: int) -> Formula:
    """As `_recurrent_layer`, for operations that take all weights and biases in one list."""

    def formula(*args: Any, out_val: Any = None, **kwargs: Any) -> int:
        lists = [argument for argument in (*args, *kwargs.values()) if _is_tensor_list(argument)]
        # An LSTM's initial state is a list as well, and comes before the weights.
        longest = max(lists, key=len)
        # Biases have one axis, and cuDNN's packed weights are views of the same shapes.
        return passes * _per_token(args[0], [weight for weight in longest if weight.dim() == 2])

    return formula


def _is_tensor_list(argument: Any) -> bool:
    return isinstance(argument, list | tuple) and all(isinstance(part, Tensor) for part in argument)


def _per_token(tokens: Tensor, weights: Sequence[Tensor]) -> int:
    count = tokens.numel() // tokens.shape[-1]
    return 2 * count * sum(weight.numel() for weight in weights)


def _linear(x: Tensor, weight: Tensor, *rest: Any, out_val: Any = None, **kwargs: Any) -> int:
    return _per_token(x, [weight])


def _raw(formula: Formula) -> Formula:
    """Mark a formula as taking tensors, which is what torch's counter asks for."""
    formula._get_raw = True  # type: ignore[attr-defined]
    return formula


_FORWARD_ATTENTION = (
    aten.scaled_dot_product_attention,
    aten._scaled_dot_product_flash_attention_for_cpu,
    aten._scaled_dot_product_flash_attention,
    aten._scaled_dot_product_efficient_attention,
    aten._scaled_dot_product_cudnn_attention,
)
_BACKWARD_ATTENTION = (
    aten._scaled_dot_product_flash_attention_for_cpu_backward,
    aten._scaled_dot_product_flash_attention_backward,
    aten._scaled_dot_product_efficient_attention_backward,
    aten._scaled_dot_product_cudnn_attention_backward,
)
_CELLS = (aten.lstm_cell, aten.gru_cell, aten.rnn_tanh_cell, aten.rnn_relu_cell)

FORMULAS: dict[Any, Formula] = {
    packet: _raw(formula)
    for packet, formula in {
        **{packet: _attention(packet, FORWARD_PRODUCTS) for packet in _FORWARD_ATTENTION},
        **{packet: _attention(packet, BACKWARD_PRODUCTS) for packet in _BACKWARD_ATTENTION},
        **{packet: _recurrent_layer(("w_ih", "w_hh"), packet, passes=1) for packet in _CELLS},
        aten.mkldnn_rnn_layer: _recurrent_layer(
            ("weight0", "weight1"), aten.mkldnn_rnn_layer, passes=1
        ),
        # Gradients of the inputs, and of the weights.
        aten.mkldnn_rnn_layer_backward: _recurrent_layer(
            ("weight1", "weight2"), aten.mkldnn_rnn_layer_backward, passes=2
        ),
        aten._cudnn_rnn: _recurrent_stack(passes=1),
        aten._cudnn_rnn_backward: _recurrent_stack(passes=2),
        aten.lstm: _recurrent_stack(passes=1),
        aten.gru: _recurrent_stack(passes=1),
        aten.rnn_tanh: _recurrent_stack(passes=1),
        aten.rnn_relu: _recurrent_stack(passes=1),
        aten.linear: _linear,
    }.items()
}
