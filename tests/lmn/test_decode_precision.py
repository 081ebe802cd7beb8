"""With half-precision weights a decoder keeps its tree in float32, and stays as near to float64."""

import copy

import pytest
import torch
from lmn_helpers import assert_close, make_block, name_of, noise
from test_decode_execution import decode, recorded

from lmn import Decoder, LMNConfig, cost

TOKENS = 600
CONFIGS = [
    LMNConfig(width=64),
    LMNConfig(width=64, heads=4, banks=2),
    LMNConfig(width=64, heads=4, banks=2, summarizer="conv", conv_groups="mix"),
    LMNConfig(width=64, heads=4, summarizer="expander", expansion=1),
]
each_config = pytest.mark.parametrize("config", CONFIGS, ids=name_of)
# twice the errors that `Decoder` tells of
BOUNDS = {torch.bfloat16: 8e-3, torch.float16: 1e-3}
each_half = pytest.mark.parametrize("dtype", BOUNDS, ids=str)


def exact_twin(block):
    """The same rounded weights in float64."""
    return copy.deepcopy(block).double()


def relative_error(found, exact):
    """Per vector: the norm of the difference over that of the exact one."""
    return (found.double() - exact).norm(dim=-1) / exact.norm(dim=-1)


@each_config
@each_half
@pytest.mark.parametrize(
    "make", [Decoder, lambda block: recorded(block)[0]], ids=["eager", "fixed"]
)
def test_half_precision_stays_near_float64_at_every_level(config, dtype, make):
    block = make_block(config).to(dtype)
    half, exact = make(block), Decoder(exact_twin(block))
    x = noise(2, TOKENS, config.width).to(dtype)
    state, exact_state = half.initial_state(2), exact.initial_state(2)
    expected = decode(exact, x.double(), exact_state)
    y = decode(half, x, state)
    assert y.dtype == dtype
    errors = relative_error(y, expected)
    assert errors.max() < BOUNDS[dtype]
    # no more after 600 tokens than after 60
    assert errors[:, -60:].mean() < 1.2 * errors[:, :60].mean()
    nodes = relative_error(state.nodes, exact_state.nodes).mean(0)
    assert nodes.max() < BOUNDS[dtype]
    assert nodes[-1] < 1.5 * nodes[0]


@each_config
@each_half
@pytest.mark.parametrize(
    "make", [Decoder, lambda block: recorded(block)[0]], ids=["eager", "fixed"]
)
def test_the_state_of_half_precision_weights_is_float32(config, dtype, make):
    decoder = make(make_block(config).to(dtype))
    state = decoder.initial_state(3)
    decode(decoder, noise(3, 45, config.width).to(dtype), state)
    assert state.dtype == decoder.state_dtype == torch.float32
    assert state.nodes.dtype == torch.float32
    # a merged node is no number of the weights' type
    assert not torch.equal(state.nodes[:, 1:].to(dtype).float(), state.nodes[:, 1:])
    memory_state = decoder.to_memory_state(state)
    assert memory_state.nodes.dtype == torch.float32
    assert memory_state.nbytes == cost.state_bytes(config, 45, 3, dtype.itemsize)
    assert state.nbytes == cost.decode_state_bytes(config, 45, 3, dtype.itemsize)


@each_half
@pytest.mark.parametrize("kept", [torch.float32, None], ids=["float32", "weights"])
def test_half_precision_takes_over_a_memory_state_of_either_type(dtype, kept):
    config = LMNConfig(width=8, heads=2, banks=2)
    decoder = Decoder(make_block(config).to(dtype))
    state = decoder.initial_state(2)
    decode(decoder, noise(2, 45, config.width).to(dtype), state)
    memory_state = decoder.to_memory_state(state).to(kept or dtype)
    taken = decoder.from_memory_state(memory_state)
    assert torch.equal(taken.nodes, memory_state.nodes.float())
    x = noise(2, 30, config.width, seed=3).to(dtype)
    # keys and values are made anew, and round differently
    tolerance = BOUNDS[dtype] if kept else 5 * BOUNDS[dtype]
    assert_close(decode(decoder, x, taken), decode(decoder, x, state), tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_longer_types_are_kept_as_they_are(dtype):
    decoder = Decoder(make_block(LMNConfig(width=8), dtype))
    assert decoder.initial_state().dtype == decoder.state_dtype == dtype
