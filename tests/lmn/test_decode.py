"""A decoder reads token by token what a block reads, from folded weights and in fixed memory."""

import dataclasses
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lmn_helpers import (
    BLOCK_FILES,
    ONE_OF_EACH,
    assert_close,
    configs,
    few,
    load_golden,
    make_block,
    name_of,
    needs_cuda,
    noise,
    run_pieces,
    run_steps,
    with_prefix,
)
from torch.utils._python_dispatch import TorchDispatchMode

from lmn import Decoder, LMNBlock, LMNConfig, load_public_block

each_config = pytest.mark.parametrize("config", ONE_OF_EACH, ids=name_of)


def decode(decoder, x, state):
    with torch.inference_mode():
        return torch.stack([decoder.step(token, state) for token in x.unbind(1)], dim=1)


@few
@given(configs(), st.integers(1, 70), st.integers(1, 3))
def test_outputs_are_those_of_the_blocks_steps(config, tokens, batch):
    block = make_block(config)
    decoder = Decoder(block)
    x = noise(batch, tokens, config.width)
    with torch.no_grad():
        expected, _ = run_steps(block, x)
    assert_close(decode(decoder, x, decoder.initial_state(batch)), expected)


@few
@given(configs(), st.integers(1, 100), st.integers(1, 40), st.integers(1, 3))
def test_decoding_goes_on_from_a_parallel_prefill(config, prefilled, tokens, batch):
    block = make_block(config)
    decoder = Decoder(block)
    x = noise(batch, prefilled + tokens, config.width)
    with torch.no_grad():
        expected, _ = block(x)
        _, memory_state = block(x[:, :prefilled])
    y = decode(decoder, x[:, prefilled:], decoder.from_memory_state(memory_state))
    assert_close(y, expected[:, prefilled:])


@few
@given(configs(), st.integers(1, 40), st.integers(1, 40), st.integers(1, 3))
def test_a_block_goes_on_from_a_decoded_state(config, decoded, tokens, batch):
    block = make_block(config)
    decoder = Decoder(block)
    x = noise(batch, decoded + tokens, config.width)
    state = decoder.initial_state(batch)
    decode(decoder, x[:, :decoded], state)
    with torch.no_grad():
        expected, expected_state = run_pieces(block, x, [decoded, tokens])
        y, memory_state = block(x[:, decoded:], decoder.to_memory_state(state))
    assert_close(y, expected[:, decoded:])
    assert_close(memory_state.nodes, expected_state.nodes)


@few
@given(configs(), st.integers(0, 80), st.integers(1, 3))
def test_a_state_comes_back_as_it_went_in(config, tokens, batch):
    block = make_block(config)
    decoder = Decoder(block)
    memory_state = block.initial_state(batch)
    if tokens:
        with torch.no_grad():
            _, memory_state = block(noise(batch, tokens, config.width))
    back = decoder.to_memory_state(decoder.from_memory_state(memory_state))
    assert back.tokens_seen == tokens
    assert_close(back.nodes, memory_state.nodes)


@pytest.mark.parametrize("path", BLOCK_FILES, ids=lambda path: path.stem)
def test_outputs_are_the_published_ones(path):
    config, entries = load_golden(path)
    block = load_public_block(with_prefix(entries, "param."), heads=config["heads"])
    x = torch.tensor(entries["x"])
    decoder = Decoder(block)
    state = decoder.initial_state(x.shape[0])
    assert_close(decode(decoder, x, state), torch.tensor(entries["y"]))
    assert_close(state.nodes, torch.tensor(entries["slots_at_last_position"]))


@each_config
@pytest.mark.parametrize("batch", [1, 2])
def test_a_state_grows_when_its_room_is_used_up(config, batch):
    block = make_block(config)
    decoder = Decoder(block)
    x = noise(batch, 70, config.width)
    state = decoder.initial_state(batch, max_tokens=3)
    with torch.no_grad():
        expected, _ = block(x)
    assert_close(decode(decoder, x, state), expected)


@each_config
def test_a_clone_goes_on_alone(config):
    decoder = Decoder(make_block(config))
    state = decoder.initial_state(2)
    decode(decoder, noise(2, 21, config.width), state)
    clone = state.clone()
    x = noise(2, 20, config.width, seed=5)
    expected = decode(decoder, x, clone)
    # the first stream has not moved, so reading the same gives the same
    assert torch.equal(decode(decoder, x, state), expected)


@each_config
def test_rows_of_a_batch_do_not_touch(config):
    decoder = Decoder(make_block(config))
    x = noise(3, 40, config.width)
    together = decode(decoder, x, decoder.initial_state(3))
    for row in range(3):
        alone = decode(decoder, x[row : row + 1], decoder.initial_state())
        assert_close(together[row : row + 1], alone, 1e-12)


@each_config
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_zero_input_gives_finite_outputs(config, dtype):
    decoder = Decoder(make_block(config, dtype))
    x = torch.zeros(2, 40, config.width, dtype=dtype)
    assert decode(decoder, x, decoder.initial_state(2)).isfinite().all()


@each_config
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.1)], ids=str
)
def test_each_type_stays_near_float64(config, dtype, tolerance):
    block = make_block(config)
    x = noise(1, 40, config.width)
    with torch.no_grad():
        expected, _ = block(x)
    decoder = Decoder(block.to(dtype))
    y = decode(decoder, x.to(dtype), decoder.initial_state())
    assert y.dtype == dtype
    assert_close(y.double(), expected, tolerance)


@pytest.mark.parametrize("norm_eps", [None, 1e-2])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_epsilon_is_that_of_the_blocks_norms(norm_eps, dtype):
    block = make_block(LMNConfig(width=8, norm_eps=norm_eps), dtype)
    decoder = Decoder(block)
    # small enough for any epsilon to show
    size = torch.finfo(torch.float32 if dtype == torch.bfloat16 else dtype).eps ** 0.5
    x = size * noise(1, 1, 8, dtype=dtype)
    with torch.no_grad():
        expected, _ = block(x)
    precision = {torch.float64: 1e-10, torch.float32: 1e-5, torch.bfloat16: 0.05}[dtype]
    assert_close(decode(decoder, x, decoder.initial_state()), expected, precision)


@pytest.mark.parametrize("param", [pytest.param("cuda", marks=needs_cuda)])
@each_config
def test_outputs_are_the_same_on_a_gpu(config, param):
    block = make_block(config)
    x = noise(2, 70, config.width)
    with torch.no_grad():
        expected, _ = block(x)
    decoder = Decoder(block.to(param))
    y = decode(decoder, x.to(param), decoder.initial_state(2, max_tokens=3))
    assert_close(y.cpu(), expected)


@pytest.mark.parametrize("made_in", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("run_in", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_a_state_made_in_one_grad_mode_runs_in_another(made_in, run_in):
    block = make_block(LMNConfig(width=8, heads=2))
    x = noise(1, 20, 8)
    with made_in():
        decoder = Decoder(block)
        state = decoder.from_memory_state(block(x[:, :5])[1], max_tokens=8)
    with run_in():
        for token in x[:, 5:].unbind(1):
            y = decoder.step(token, state)
    assert_close(y, block(x)[0][:, -1].detach())


def test_the_blocks_weights_are_copied():
    block = make_block(LMNConfig(width=8))
    decoder = Decoder(block)
    x = noise(1, 9, 8)
    before = decode(decoder, x, decoder.initial_state())
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()
    assert torch.equal(decode(decoder, x, decoder.initial_state()), before)


def test_an_earlier_output_stays_as_it_was():
    decoder = Decoder(make_block(LMNConfig(width=8)))
    state = decoder.initial_state()
    with torch.inference_mode():
        first = decoder.step(noise(1, 8), state)
        kept = first.clone()
        decoder.step(noise(1, 8, seed=2), state)
    assert torch.equal(first, kept)


@each_config
def test_bytes_are_those_of_the_blocks_state(config):
    block = make_block(config)
    decoder = Decoder(block)
    with torch.no_grad():
        _, memory_state = block(noise(2, 45, config.width))
    assert decoder.initial_state(2).nbytes == 0
    assert decoder.from_memory_state(memory_state).nbytes == 3 * memory_state.nbytes


@pytest.mark.parametrize("seen", [0, 1, 13])
@pytest.mark.parametrize("execution", ["eager", "compiled"])
def test_a_pickled_state_goes_on_as_the_original(execution, seen):
    block = make_block(LMNConfig(width=8, heads=2, banks=2))
    decoder = Decoder(block, execution=execution, backend="eager")
    state = decoder.initial_state(2)
    for token in noise(2, seen, 8).unbind(1):
        decoder.step(token, state)
    restored = pickle.loads(pickle.dumps(state))
    for token in noise(2, 9, 8, seed=3).unbind(1):
        assert torch.equal(decoder.step(token, restored), decoder.step(token, state))


def test_a_decoder_refuses_autocast():
    decoder = Decoder(LMNBlock(LMNConfig(width=8)))
    with (
        torch.autocast("cpu", dtype=torch.bfloat16),
        pytest.raises(RuntimeError, match="autocast is on"),
    ):
        decoder.step(torch.zeros(1, 8), decoder.initial_state())


def test_allocated_bytes_count_the_room_for_more():
    decoder = Decoder(LMNBlock(LMNConfig(width=8)))
    small, large = (decoder.initial_state(max_tokens=tokens) for tokens in (1, 1000))
    assert small.nbytes < small.allocated_bytes < large.allocated_bytes


class Operations(TorchDispatchMode):
    """Names of all operations that torch dispatches."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def operations_after(decoder, tokens):
    """Names of the operations of the step that reads token number `tokens` + 1."""
    config = decoder.config
    block = LMNBlock(config)
    state = decoder.from_memory_state(block.initial_state(1))
    state.tokens_seen = tokens  # the numbers do not matter
    x = torch.zeros(1, config.width)
    with torch.inference_mode(), Operations() as operations:
        decoder.step(x, state)
    return operations.names


@each_config
@pytest.mark.parametrize("merges", [0, 1, 3])
def test_a_step_runs_the_same_operations_in_any_context(config, merges):
    decoder = Decoder(LMNBlock(config))
    near, far = (operations_after(decoder, (1 << level) + (1 << merges) - 1) for level in (7, 19))
    assert near == far


def test_a_step_runs_few_operations():
    one_head = Decoder(LMNBlock(LMNConfig(width=8)))
    two_heads = Decoder(LMNBlock(LMNConfig(width=8, heads=2, banks=2)))
    # residual, norm, product, waiting child, scores, softmax, sum, norm, up, SiLU, down
    assert len(operations_after(one_head, 1024)) == 11
    assert len(operations_after(two_heads, 1024)) == 12
    # each merge adds a copy and a product; together they add one product for keys and values
    assert len(operations_after(one_head, 1023)) == 11 + 2 * 10 + 1


@pytest.fixture
def decoder():
    return Decoder(LMNBlock(LMNConfig(width=8, banks=2)))


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (torch.zeros(2, 1, 8), ValueError, r"\(batch, width=8\), got shape \(2, 1, 8\)"),
        (torch.zeros(2, 7), ValueError, r"width=8\), got shape \(2, 7\)"),
        (torch.zeros(3, 8), ValueError, r"state holds 2 .* input 3; .*initial_state\(3\)"),
        (torch.zeros(2, 8).double(), TypeError, r"is torch.float32 .* input torch.float64; conv"),
        (torch.zeros(2, 8, device="meta"), ValueError, "on cpu and the input on meta; move"),
        (torch.zeros(2, 8, requires_grad=True), RuntimeError, "no gradients.*inference_mode"),
    ],
    ids=["axes", "width", "batch", "type", "device", "gradients"],
)
def test_an_input_that_does_not_fit_is_refused(decoder, x, error, words):
    state = decoder.initial_state(2)
    with pytest.raises(error, match=words):
        decoder.step(x, state)
    assert state.tokens_seen == 0


def test_an_input_with_gradients_runs_where_none_are_kept(decoder):
    with torch.no_grad():
        y = decoder.step(torch.zeros(1, 8, requires_grad=True), decoder.initial_state())
    assert not y.requires_grad


def test_the_state_of_a_block_is_refused_by_a_step(decoder):
    with pytest.raises(TypeError, match=r"DecodeState, got MemoryState; .*from_memory_state"):
        decoder.step(torch.zeros(1, 8), LMNBlock(decoder.config).initial_state(1))


def test_the_state_of_another_configuration_is_refused_by_a_step(decoder):
    other = Decoder(LMNBlock(LMNConfig(width=8)))
    with pytest.raises(ValueError, match=r"another configuration.*banks=1.*banks=2"):
        decoder.step(torch.zeros(1, 8), other.initial_state())


def test_the_state_of_another_type_is_refused_by_a_step():
    block = LMNBlock(LMNConfig(width=8))
    state = Decoder(block).initial_state()
    with pytest.raises(TypeError, match=r"is torch.float64 and the state torch.float32; .*anew"):
        Decoder(block.double()).step(torch.zeros(1, 8).double(), state)


def test_the_state_of_an_equal_configuration_is_accepted(decoder):
    equal = Decoder(LMNBlock(dataclasses.replace(decoder.config)))
    state = equal.initial_state()
    decoder.step(torch.zeros(1, 8), state)
    assert state.tokens_seen == 1


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: None, TypeError, r"expected a MemoryState, got NoneType; .*initial_state\(\)"),
        (
            lambda: LMNBlock(LMNConfig(width=8)).initial_state(1),
            ValueError,
            r"another configuration.*\(8, 1, 0\), this decoder \(8, 2, 0\)",
        ),
        (
            lambda: LMNBlock(LMNConfig(width=8, banks=2)).double().initial_state(1),
            TypeError,
            r"float64 and the decoder torch.float32; .*state.to\(decoder.state_dtype\)",
        ),
    ],
    ids=["kind", "configuration", "type"],
)
def test_a_memory_state_that_does_not_fit_is_refused(decoder, make, error, words):
    with pytest.raises(error, match=words):
        decoder.from_memory_state(make())


@pytest.mark.parametrize("sizes", [{"batch": 0}, {"max_tokens": 0}])
def test_a_state_of_nothing_is_refused(decoder, sizes):
    with pytest.raises(ValueError, match="batch and max_tokens must be at least 1, got"):
        decoder.initial_state(**sizes)
