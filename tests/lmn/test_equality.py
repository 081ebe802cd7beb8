"""All at once, in any pieces, one token at a time, or the published way: the same numbers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lmn_helpers import (
    ONE_OF_EACH,
    assert_close,
    configs,
    few,
    gradients,
    make_block,
    name_of,
    needs_cuda,
    noise,
    published_twin,
    run_pieces,
    run_steps,
    some,
    splits,
)

from lmn import LMNConfig, tree


@some
@given(configs(), splits(), st.integers(1, 2))
def test_any_split_gives_what_one_call_gives(config, sizes, batch):
    block = make_block(config)
    x = noise(batch, sum(sizes), config.width)
    with torch.no_grad():
        whole, after_whole = block(x)
        pieces, after_pieces = run_pieces(block, x, sizes)
    assert_close(pieces, whole)
    assert after_pieces.tokens_seen == after_whole.tokens_seen
    assert_close(after_pieces.nodes, after_whole.nodes)


@few
@given(configs(), st.integers(1, 70), st.integers(1, 70), st.integers(1, 2))
def test_steps_in_between_change_nothing(config, before, stepped, batch):
    block = make_block(config)
    x = noise(batch, before + stepped + 40, config.width)
    with torch.no_grad():
        whole, after_whole = block(x)
        first, state = block(x[:, :before])
        second, state = run_steps(block, x[:, before : before + stepped], state)
        third, state = block(x[:, before + stepped :], state)
    assert_close(torch.cat([first, second, third], dim=1), whole)
    assert_close(state.nodes, after_whole.nodes)


@few
@given(configs(), st.integers(1, 100), st.integers(1, 2))
def test_published_way_agrees(config, tokens, batch):
    block = make_block(config)
    twin = published_twin(block)
    x = noise(batch, tokens + 5, config.width)
    with torch.no_grad():
        expected, _ = block(x)
        parallel, state = twin(x[:, :tokens])
        rest, _ = run_steps(twin, x[:, tokens:], state)
        stepped, _ = run_steps(twin, x)
    assert_close(torch.cat([parallel, rest], dim=1), expected)
    assert_close(stepped, expected)


@few
@given(configs(), splits(most=40))
def test_gradients_agree(config, sizes):
    block = make_block(config)
    x = noise(2, sum(sizes), config.width).requires_grad_()
    expected = gradients(block, block(x)[0], x)
    for run in (lambda b, v: run_pieces(b, v, sizes), run_steps):
        found = gradients(block, run(block, x)[0], x)
        for one, other in zip(found, expected, strict=True):
            assert_close(one, other)
    twin = published_twin(block)
    for one, other in zip(gradients(twin, twin(x)[0], x), expected, strict=True):
        assert_close(one, other)


@few
@given(configs(), st.integers(1, 40), st.integers(1, 40))
def test_gradients_through_a_detached_state_agree(config, before, after):
    block = make_block(config)
    x = noise(2, before + after, config.width)
    state = block(x[:, :before])[1].detach()
    rest = x[:, before:].clone().requires_grad_()
    together = gradients(block, block(rest, state)[0], rest)
    stepwise = gradients(block, run_steps(block, rest, state)[0], rest)
    for one, other in zip(together, stepwise, strict=True):
        assert_close(one, other)


@pytest.mark.parametrize("config", ONE_OF_EACH, ids=name_of)
def test_segments_change_no_number(config, monkeypatch):
    block = make_block(config)
    x = noise(2, 150, config.width).requires_grad_()
    _, before = block(noise(2, 13, config.width))
    whole, after = block(x, before.detach())
    expected = gradients(block, whole, x)
    with torch.no_grad():
        whole_without_gradients, _ = block(x, before)
    monkeypatch.setattr(tree, "SEGMENT_ROWS", 2)
    monkeypatch.setattr(tree, "SEGMENT_FEATURES", {"cpu": 1})
    monkeypatch.setattr(tree, "MINIMUM_SEGMENT", 32)
    pieces, end = block(x, before.detach())
    assert_close(pieces, whole)
    assert_close(end.nodes, after.nodes)
    for one, other in zip(gradients(block, pieces, x), expected, strict=True):
        assert_close(one, other)
    with torch.no_grad():
        assert_close(block(x, before)[0], whole_without_gradients)


@few
@given(configs(), splits())
def test_float32_agrees_within_its_precision(config, sizes):
    block = make_block(config, torch.float32)
    x = noise(1, sum(sizes), config.width, dtype=torch.float32)
    with torch.no_grad():
        whole, _ = block(x)
        assert_close(run_pieces(block, x, sizes)[0], whole, 1e-5)
        assert_close(run_steps(block, x)[0], whole, 1e-5)


@pytest.mark.parametrize("config", ONE_OF_EACH, ids=name_of)
def test_long_sequence_across_many_powers_of_two(config):
    block = make_block(config)
    x = noise(1, 2100, config.width)
    with torch.no_grad():
        whole, after_whole = block(x)
        pieces, state = run_pieces(block, x, [1000, 23, 1, 1, 1022, 53])
    assert_close(pieces, whole)
    assert_close(state.nodes, after_whole.nodes)


@pytest.mark.parametrize(
    "config",
    [LMNConfig(width=4, heads=2, banks=2), LMNConfig(width=2, summarizer="expander", expansion=1)],
)
def test_gradcheck(config):
    block = make_block(config)
    x = noise(1, 6, config.width).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: block(v)[0], (x,))
    assert torch.autograd.gradcheck(lambda v: run_steps(block, v)[0], (x,))


class TestOnCuda:
    pytestmark = needs_cuda

    @pytest.mark.parametrize("config", ONE_OF_EACH, ids=name_of)
    def test_all_ways_agree_with_the_cpu(self, config):
        block = make_block(config)
        x = noise(2, 300, config.width)
        expected, _ = block(x)
        block, x = block.cuda(), x.cuda()
        assert_close(block(x)[0].cpu(), expected)
        assert_close(run_pieces(block, x, [7, 200, 93])[0].cpu(), expected)
        assert_close(run_steps(block, x)[0].cpu(), expected)

    @pytest.mark.parametrize("config", ONE_OF_EACH, ids=name_of)
    def test_gradients_agree_with_the_cpu(self, config):
        block = make_block(config)
        x = noise(2, 300, config.width).requires_grad_()
        expected = gradients(block, block(x)[0], x)
        block, x = block.cuda(), x.detach().cuda().requires_grad_()
        for one, other in zip(gradients(block, block(x)[0], x), expected, strict=True):
            assert_close(one.cpu(), other)

    @pytest.mark.parametrize("config", ONE_OF_EACH, ids=name_of)
    def test_float32_and_bfloat16_run(self, config):
        for dtype in (torch.float32, torch.bfloat16):
            block = make_block(config, dtype).cuda()
            x = noise(2, 300, config.width, dtype=dtype).cuda()
            y, state = block(x)
            assert y.dtype == state.nodes.dtype == dtype
            assert y.isfinite().all()
