"""Formulas against plain counting: what an operation is made of, or the definition of its work."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from lmn_bench.subjects.flop_formulas import FORMULAS, attended_pairs

WIDTH, TOKENS, BATCH = 16, 6, 3
SINGLE = 2 * BATCH * TOKENS * WIDTH * WIDTH


class Counter(TorchDispatchMode):
    """Counts what is dispatched and takes nothing apart, unlike torch's own counter."""

    def __init__(self):
        super().__init__()
        self.flops, self.seen = 0, set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        packet = func._overloadpacket
        self.seen.add(packet)
        formula = FORMULAS.get(packet) or flop_registry.get(packet)
        if formula:
            self.flops += formula(*args, **(kwargs or {}), out_val=out)
        return out


def counted(call):
    with Counter() as counter:
        call()
    return counter


@pytest.mark.parametrize(("module", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_recurrent_layers_count_every_gate_in_inference_and_training(module, gates, dtype):
    layer = module(WIDTH, WIDTH, batch_first=True).to(dtype)
    x = torch.randn(BATCH, TOKENS, WIDTH, dtype=dtype, requires_grad=True)
    forward = 2 * gates * SINGLE
    with torch.inference_mode():
        assert counted(lambda: layer(x)).flops == forward
    with torch.no_grad():
        assert counted(lambda: layer(x)).flops == forward
    training = counted(lambda: layer(x)[0].sum().backward())
    fused = torch.ops.aten.mkldnn_rnn_layer in training.seen
    # Kernels that go step by step leave out the gradient of the zero state.
    skipped = 0 if fused else gates * SINGLE // TOKENS
    assert training.flops == 3 * forward - skipped


@pytest.mark.parametrize(("cell", "gates"), [(nn.LSTMCell, 4), (nn.GRUCell, 3), (nn.RNNCell, 1)])
def test_cells_count_in_both_inference_modes(cell, gates):
    layer, x = cell(WIDTH, WIDTH), torch.randn(BATCH, WIDTH)
    for mode in (torch.inference_mode, torch.no_grad):
        with mode():
            assert counted(lambda: layer(x)).flops == 2 * gates * SINGLE // TOKENS


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_attention_counts_the_pairs_that_are_looked_at(causal, dtype):
    query, key, value = (
        torch.randn(BATCH, 2, TOKENS, 8, dtype=dtype, requires_grad=True) for _ in range(3)
    )
    pairs = sum(range(1, TOKENS + 1)) if causal else TOKENS * TOKENS
    product = 2 * BATCH * 2 * pairs * 8

    def attend():
        return F.scaled_dot_product_attention(query, key, value, is_causal=causal)

    for mode in (torch.inference_mode, torch.no_grad):
        with mode():
            assert counted(attend).flops == 2 * product
    assert counted(lambda: attend().sum().backward()).flops == (2 + 5) * product


def test_a_mask_skips_nothing():
    query = torch.randn(BATCH, 2, TOKENS, 8)
    mask = torch.ones(TOKENS, TOKENS).tril().bool()
    with torch.no_grad():
        masked = counted(lambda: F.scaled_dot_product_attention(query, query, query, mask)).flops
    assert masked == 2 * 2 * BATCH * 2 * TOKENS * TOKENS * 8


def test_more_queries_than_keys_see_all_keys():
    looked_at = torch.ones(7, 4).tril().sum()
    assert attended_pairs(7, 4, is_causal=True) == looked_at
    assert attended_pairs(4, 7, is_causal=True) == torch.ones(4, 7).tril().sum()


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_map_counts_once_whichever_way_it_is_dispatched(bias):
    layer, x = nn.Linear(WIDTH, WIDTH, bias=bias), torch.randn(BATCH, TOKENS, WIDTH)
    for mode in (torch.inference_mode, torch.no_grad):
        with mode():
            assert counted(lambda: layer(x)).flops == SINGLE
