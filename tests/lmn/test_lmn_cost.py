"""What is worked out without torch equals what the real block has and does."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lmn_helpers import ONE_OF_EACH, configs, few, make_block, name_of, noise
from torch.utils.flop_counter import FlopCounterMode

from lmn import Decoder, LMNBlock, LMNConfig, cost, tree


def counted_flops(call):
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


@few
@given(configs())
def test_parameters(config):
    counted = sum(parameter.numel() for parameter in LMNBlock(config).parameters())
    assert cost.parameter_count(config) == counted


@few
@given(configs(), st.integers(1, 300), st.integers(1, 3))
def test_slots_and_state_bytes(config, tokens, batch):
    block = make_block(config, torch.float32)
    _, state = block(noise(batch, tokens, config.width, dtype=torch.float32))
    assert cost.slot_count(config, tokens) == state.slots
    assert cost.state_bytes(config, tokens, batch, itemsize=4) == state.nbytes
    # half-precision weights, a state of float32
    assert cost.state_bytes(config, tokens, batch, itemsize=2) == state.nbytes
    assert cost.state_bytes(config, 0) == 0


@few
@given(configs(), st.integers(1, 200), st.integers(0, 100), st.integers(1, 2))
def test_prefill_flops(config, tokens, before, batch):
    block = make_block(config)
    x = noise(batch, before + tokens, config.width)
    with torch.no_grad():
        state = block(x[:, :before])[1] if before else None
        counted = counted_flops(lambda: block(x[:, before:], state))
    assert cost.prefill_flops(config, tokens, batch, before) == counted


@few
@given(configs(), st.integers(1, 130), st.integers(1, 2))
def test_decode_flops(config, before, batch):
    block = make_block(config)
    with torch.no_grad():
        decoder = Decoder(block)
        state = decoder.from_memory_state(block(noise(batch, before, config.width))[1])
        counted = counted_flops(lambda: decoder.step(noise(batch, config.width), state))
    assert cost.decode_flops(config, before, batch) == counted


@few
@given(configs(), st.integers(1, 130), st.integers(1, 2))
def test_training_flops(config, tokens, batch):
    block = make_block(config)
    x = noise(batch, tokens, config.width)
    counted = counted_flops(lambda: block(x)[0].sum().backward())
    assert cost.training_flops(config, tokens, batch) == counted


SMALL = LMNConfig(width=2)
WEIGHTS = cost.parameter_count(SMALL)


def test_bytes_of_a_prefill_of_one_token():
    # input, output; its row of the state
    assert cost.prefill_bytes(SMALL, 1) == 4 * (WEIGHTS + 2 * (2 + 1))


def test_bytes_of_a_prefill_of_four_tokens():
    # nodes (1, 1), (1, 2), (2, 1): each made, and seen from one chunk; three rows of state
    vectors = 4 * 2 + 3 * 2 + 3 + 3
    assert cost.prefill_bytes(SMALL, 4) == 4 * (WEIGHTS + 2 * vectors)
    tree_vectors = vectors - 4 * 2  # in float32
    halved = 2 * (WEIGHTS + 3 * 2 * 4 * 2) + 4 * 3 * 2 * tree_vectors
    assert cost.prefill_bytes(SMALL, 4, batch=3, itemsize=2) == halved


def test_bytes_of_one_more_token_count_the_state_before_it():
    # token 5 sees (1, 2) and (2, 1) and makes nothing; three rows of state before and after
    vectors = 2 + 2 + (3 + 3)
    assert cost.prefill_bytes(SMALL, 1, tokens_before=4) == 4 * (WEIGHTS + 2 * vectors)


def test_bytes_of_a_training_step_are_three_times_those_of_prefill():
    assert cost.training_bytes(SMALL, 9, batch=2) == 3 * cost.prefill_bytes(SMALL, 9, batch=2)


def test_bytes_of_a_step_with_and_without_merges():
    # token 8 sees itself and levels 1 to 3, reads three nodes that waited, writes four rows
    assert cost.decode_bytes(SMALL, 7) == 4 * (WEIGHTS + 2 * (2 + 2 * 4 + 3 + 3 * 4))
    # token 9 merges nothing: it sees as much, writes its own row, and needs no summarizer
    fewer = WEIGHTS - cost.summarizer_parameter_count(SMALL)
    assert cost.decode_bytes(SMALL, 8) == 4 * (fewer + 2 * (2 + 2 * 4 + 3))
    assert cost.decode_bytes(SMALL, 8, batch=5, itemsize=8) == 8 * (fewer + 5 * 2 * 13)


def test_a_step_of_half_precision_moves_its_tree_in_float32():
    # token 9: its input and output are short, the 11 vectors of keys, values and its row are not
    summarizer = cost.summarizer_parameter_count(SMALL)
    fewer = WEIGHTS - summarizer
    assert cost.decode_bytes(SMALL, 8, itemsize=2) == 2 * (fewer + 2 * 2) + 4 * 2 * 11
    # token 8 merges, in float32 too
    kept = summarizer + 2 * (2 * 4 + 3 + 3 * 4)
    assert cost.decode_bytes(SMALL, 7, itemsize=2) == 2 * (fewer + 2 * 2) + 4 * kept


@few
@given(configs(), st.integers(1, 200), st.integers(0, 100))
def test_bytes_of_a_prefill_count_what_every_chunk_sees(config, tokens, before):
    exponent = tree.chunk_layout(before, tokens, config.width).exponent
    seen = {
        (token >> exponent, level, number)
        for token in range(before + 1, before + tokens + 1)
        for level, number in tree.visible_nodes(token)
        if level
    }
    rows = {level: tree.rows_per_node(level, config.banks, config.expansion) for level in range(12)}
    made = sum(
        rows[level] * (tree.newest_node(before + tokens, level) - tree.newest_node(before, level))
        for level in range(1, 12)
    )
    state = cost.slot_count(config, before) + cost.slot_count(config, before + tokens)
    vectors = 2 * tokens + 2 * made + sum(rows[level] for _, level, _ in seen) + state
    moved = cost.prefill_bytes(config, tokens, 1, 4, before) / 4
    assert moved == cost.parameter_count(config) + vectors * config.width


@pytest.mark.parametrize("config", ONE_OF_EACH, ids=name_of)
def test_mean_over_a_whole_period_is_the_mean_and_its_largest_the_worst(config):
    # tokens 1,024 .. 2,047 see the same number of slots and set off each merge in its share
    steps = [cost.decode_flops(config, token - 1) for token in range(1024, 2048)]
    mean = cost.mean_decode_flops(config, 1024)
    assert sum(steps) / len(steps) == pytest.approx(mean, rel=1e-3)
    assert max(steps) == cost.worst_decode_flops(config, 1500) == cost.decode_flops(config, 1023)


def test_cost_per_token_grows_with_the_logarithm():
    config = LMNConfig(width=32)
    per_token = [cost.prefill_flops(config, 2**n) / 2**n for n in range(17, 24)]
    growth = [after - before for before, after in itertools.pairwise(per_token)]
    # one more slot per doubling costs two products of width 32 for each token
    assert growth == pytest.approx([2 * 2 * 32] * len(growth), rel=0.15)
