"""What a user relies on beyond equal numbers: causality, independence, finite numbers, types."""

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
    noise,
    published_twin,
    run_steps,
)

from lmn import LMNBlock, LMNConfig, LogarithmicMemory, tree


@few
@given(configs(), st.integers(2, 100), st.data())
def test_a_token_changes_nothing_before_it_and_something_at_it(config, tokens, data):
    place = data.draw(st.integers(0, tokens - 1))
    block = make_block(config)
    x = noise(1, tokens, config.width)
    changed = x.clone()
    changed[:, place] = noise(1, config.width, seed=9)
    with torch.no_grad():
        before, after = block(x)[0], block(changed)[0]
    assert_close(after[:, :place], before[:, :place], 1e-12)
    assert not torch.equal(after[:, place], before[:, place])


def test_every_earlier_token_reaches_the_last_output():
    block = make_block(LMNConfig(width=8))
    x = noise(1, 200, 8).requires_grad_()
    (gradient,) = torch.autograd.grad(block(x)[0][:, -1].sum(), x)
    assert (gradient.abs().amax(-1) > 0).all()


@few
@given(configs(), st.integers(1, 100))
def test_rows_of_a_batch_do_not_touch(config, tokens):
    block = make_block(config)
    x = noise(3, tokens, config.width)
    with torch.no_grad():
        together, state = block(x)
        for row in range(3):
            alone, alone_state = block(x[row : row + 1])
            assert_close(together[row : row + 1], alone, 1e-12)
            assert_close(state[row : row + 1].nodes, alone_state.nodes, 1e-12)


@pytest.mark.parametrize("config", ONE_OF_EACH, ids=name_of)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_zero_input_gives_finite_outputs_and_gradients(config, dtype):
    block = make_block(config, dtype)
    for one in (block, published_twin(block)):
        for run in (lambda b, v: b(v), run_steps):
            x = torch.zeros(2, 9, config.width, dtype=dtype, requires_grad=True)
            y, _ = run(one, x)
            assert y.isfinite().all()
            assert all(gradient.isfinite().all() for gradient in gradients(one, y, x))


def test_zero_input_to_a_fresh_block_is_finite():
    block = LMNBlock(LMNConfig(width=8, banks=2))
    x = torch.zeros(1, 20, 8, requires_grad=True)
    y, _ = block(x)
    assert all(gradient.isfinite().all() for gradient in gradients(block, y, x))


@pytest.mark.parametrize("config", ONE_OF_EACH, ids=name_of)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_type_in_is_type_out(config, dtype):
    block = make_block(config, dtype)
    x = noise(2, 40, config.width, dtype=dtype)
    # what is merged again and again is kept in float32 at least
    kept = torch.float32 if dtype == torch.bfloat16 else dtype
    y, state = block(x)
    assert (y.dtype, state.nodes.dtype) == (dtype, kept)
    y, state = block.step(x[:, 0], state)
    assert (y.dtype, state.nodes.dtype) == (dtype, kept)


@pytest.mark.parametrize("config", ONE_OF_EACH, ids=name_of)
@pytest.mark.parametrize("run", [LMNBlock.forward, run_steps], ids=["forward", "steps"])
def test_bfloat16_stays_near_float64_at_every_level(config, run):
    coarse = make_block(config, torch.float32).bfloat16()
    exact = LMNBlock(config).double()
    exact.load_state_dict(coarse.state_dict())
    x = noise(2, 600, config.width, dtype=torch.bfloat16)
    with torch.no_grad():
        y, state = run(coarse, x)
        expected, expected_state = run(exact, x.double())
    # 0.25 % was measured for outputs and 0.2 % for nodes, on a CPU without bfloat16 products of its
    # own up to 0.69 %; a bfloat16 itself is good to 0.2 %
    assert relative_error(y, expected) < 0.01
    for level in range(tree.level_count(600) + 1):
        assert relative_error(state.level(level), expected_state.level(level)) < 0.01


def test_autocast_is_refused_with_what_to_do_instead():
    block, zeros = LMNBlock(LMNConfig(width=8)), torch.zeros(1, 8)
    state = block.initial_state(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for run in (lambda: block(torch.zeros(1, 3, 8)), lambda: block.step(zeros, state)):
            with pytest.raises(RuntimeError, match=r"block\.bfloat16\(\)"):
                run()


def test_shapes_are_known_without_data():
    block = LMNBlock(LMNConfig(width=8)).to("meta")
    y, state = block(torch.empty(2, 30, 8, device="meta"))
    assert (y.shape, state.nodes.shape) == ((2, 30, 8), (2, 5, 8))


def relative_error(coarse, exact):
    return ((coarse.double() - exact).norm() / exact.norm()).item()


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_weights_and_masks_still_train_after_running_without_gradients(context):
    block = make_block(LMNConfig(width=6, heads=3, banks=3))
    x = noise(1, 77, 6)
    with context():
        quiet, state = block(x)
        block.step(x[:, 0], state)
    loud, _ = block(x.requires_grad_())
    assert torch.equal(quiet, loud)
    loud.sum().backward()
    assert all(parameter.grad is not None for parameter in block.parameters())


def test_memory_layer_stands_alone():
    memory = LogarithmicMemory(LMNConfig(width=8, heads=2)).double()
    x = noise(2, 50, 8)
    y, state = memory(x)
    stepped, stepped_state = run_steps(memory, x)
    assert_close(stepped, y)
    assert_close(stepped_state.nodes, state.nodes)


@pytest.mark.parametrize("config", ONE_OF_EACH, ids=name_of)
def test_default_initialisation_lets_a_signal_through_twelve_levels(config):
    torch.manual_seed(0)
    memory = LogarithmicMemory(LMNConfig(**{**vars(config), "width": 64}))
    x = noise(4, 4096, 64, dtype=torch.float32)
    with torch.no_grad():
        _, state = memory(x)
    deepest = state.level(12)[..., :64]
    # the published initialisation leaves about 1e-20 here
    assert 0.05 < deepest.std() < 5


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((2, 8), r"\(batch, tokens, width=8\).*\(2, 8\)"),
        ((2, 5, 7), r"width=8.*\(2, 5, 7\)"),
        ((2, 0, 8), "at least one entry along 'tokens'"),
        ((0, 5, 8), "at least one entry along 'batch'"),
    ],
)
def test_forward_names_the_shape_it_expects(shape, words):
    block = LMNBlock(LMNConfig(width=8))
    for layer in (block, block.memory, published_twin(block)):
        with pytest.raises(ValueError, match=words):
            layer(torch.zeros(shape))


def test_step_names_the_shape_it_expects():
    block = LMNBlock(LMNConfig(width=8))
    with pytest.raises(ValueError, match=r"\(batch, width=8\).*\(2, 1, 8\)"):
        block.step(torch.zeros(2, 1, 8), block.initial_state(2))


def test_published_parallel_form_refuses_to_go_on():
    block = published_twin(LMNBlock(LMNConfig(width=8)))
    x = torch.zeros(1, 3, 8)
    _, state = block(x, block.initial_state(1))
    with pytest.raises(ValueError, match=r"after 3 tokens.*step"):
        block(x, state)
