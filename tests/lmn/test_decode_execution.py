"""Every way of running a decoder gives the same numbers, in as few graphs as it promises."""

import copy
import os
import shutil

import pytest
import torch
from lmn_helpers import ONE_OF_EACH, assert_close, make_block, name_of, needs_cuda, noise

from lmn import Decoder, LMNConfig
from lmn.decode_execution import Recording

# torch's compiler, on import, uses parts of torch that torch has deprecated
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

CONFIGS = [*ONE_OF_EACH, LMNConfig(width=8, heads=4, norm_eps=1e-3)]
each_config = pytest.mark.parametrize("config", CONFIGS, ids=name_of)
PRECISION = {torch.float64: 1e-10, torch.float32: 1e-5}
# Compiling takes seconds: every config meets both batches and both types, not all pairs of them.
each_size = pytest.mark.parametrize(
    ("batch", "dtype"), [(1, torch.float64), (3, torch.float32)], ids=str
)


@pytest.fixture
def graphs():
    """A backend of torch.compile that runs graphs as they are, and counts them."""
    import torch._dynamo
    from torch._dynamo.testing import CompileCounterWithBackend

    # what other tests had compiled counts towards torch's limit
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    return CompileCounterWithBackend("eager")


class Recorders:
    """Stands in for CUDA graphs: runs what it records again, into the same output."""

    def __init__(self):
        self.recordings = []
        self.replays = 0

    def __call__(self, device):
        def record(operations):
            operations()  # warms up
            output = operations()
            self.recordings.append(output)

            def replay():
                self.replays += 1
                output.copy_(operations())

            return Recording(replay, output)

        return record


def decode(decoder, x, state):
    with torch.inference_mode():
        return torch.stack([decoder.step(token, state) for token in x.unbind(1)], dim=1)


def recorded(block):
    recorders = Recorders()
    return Decoder(block, execution="cuda_graph", new_recorder=recorders), recorders


# ------------------------------------------------------------------------------------ numbers


@each_config
@each_size
def test_compiled_outputs_are_those_of_eager_decoding(config, batch, dtype, graphs):
    block = make_block(config, dtype)
    eager, compiled = Decoder(block), Decoder(block, execution="compiled", backend=graphs)
    x = noise(batch, 140, config.width, dtype=dtype)
    expected = decode(eager, x, eager.initial_state(batch))
    y = decode(compiled, x, compiled.initial_state(batch, max_tokens=200))
    assert_close(y, expected, PRECISION[dtype])


@each_config
@each_size
def test_recorded_outputs_are_those_of_eager_decoding(config, batch, dtype):
    block = make_block(config, dtype)
    eager, (graph, _) = Decoder(block), recorded(block)
    x = noise(batch, 140, config.width, dtype=dtype)
    expected = decode(eager, x, eager.initial_state(batch))
    assert_close(decode(graph, x, graph.initial_state(batch)), expected, PRECISION[dtype])


@each_config
def test_a_block_and_a_decoder_of_fixed_shapes_take_over_from_each_other(config):
    block = make_block(config)
    graph, _ = recorded(block)
    x = noise(2, 150, config.width)
    with torch.no_grad():
        expected, _ = block(x)
        _, prefilled = block(x[:, :37])
        state = graph.from_memory_state(prefilled, max_tokens=64)
        assert_close(graph.to_memory_state(state).nodes, prefilled.nodes)
        y = decode(graph, x[:, 37:101], state)
        rest, _ = block(x[:, 101:], graph.to_memory_state(state))
    assert_close(torch.cat([y, rest], dim=1), expected[:, 37:])


@each_config
def test_a_state_of_fixed_shapes_grows_when_its_room_is_used_up(config):
    block = make_block(config)
    graph, _ = recorded(block)
    x = noise(2, 70, config.width)
    with torch.no_grad():
        expected, _ = block(x)
    assert_close(decode(graph, x, graph.initial_state(2, max_tokens=1)), expected)


def test_what_a_state_held_before_does_not_reach_what_it_holds_now():
    config = LMNConfig(width=8, heads=2)
    graph, _ = recorded(make_block(config))
    x = noise(1, 9, 8)
    expected = decode(graph, x, graph.initial_state())
    state = graph.initial_state()
    decode(graph, torch.full((1, 40, 8), torch.nan, dtype=x.dtype), state)
    state.copy_from(graph.initial_state())
    assert torch.equal(decode(graph, x, state), expected)


def test_an_earlier_output_of_a_recording_stays_as_it_was():
    graph, _ = recorded(make_block(LMNConfig(width=8)))
    state = graph.initial_state()
    outputs = [decode(graph, noise(1, 1, 8, seed=seed), state) for seed in range(4)]
    kept = [output.clone() for output in outputs]
    decode(graph, noise(1, 4, 8, seed=9), state)
    assert all(torch.equal(a, b) for a, b in zip(outputs, kept, strict=True))


# ------------------------------------------------------------------------------------- graphs


@each_config
def test_two_graphs_serve_all_positions(config, graphs):
    decoder = Decoder(make_block(config), execution="compiled", backend=graphs)
    decode(decoder, noise(1, 260, config.width), decoder.initial_state(max_tokens=512))
    assert graphs.frame_count == 2
    assert not torch._dynamo.utils.counters["graph_break"]


def test_a_state_that_grows_costs_each_graph_once_more(graphs):
    decoder = Decoder(make_block(LMNConfig(width=8)), execution="compiled", backend=graphs)
    decode(decoder, noise(1, 100, 8), decoder.initial_state(max_tokens=15))
    assert graphs.frame_count == 4  # room for 255 tokens from token 16 on


def test_layers_and_states_of_the_same_sizes_share_their_graphs(graphs):
    for seed in range(2):
        block = make_block(LMNConfig(width=8), seed=seed)
        decoder = Decoder(block, execution="compiled", backend=graphs)
        for _ in range(2):
            decode(decoder, noise(1, 5, 8), decoder.initial_state())
    assert graphs.frame_count == 2


def test_neither_grad_modes_nor_strides_cost_a_graph(graphs):
    decoder = Decoder(make_block(LMNConfig(width=8)), execution="compiled", backend=graphs)
    state = decoder.initial_state(2)
    for mode in (torch.no_grad, torch.inference_mode, torch.enable_grad):
        with mode():
            for tokens in (1, 3):
                y = decoder.step(noise(2, tokens, 8)[:, -1], state)
                decoder.step(y, state)
    assert not y.is_inference()
    assert graphs.frame_count == 2


def test_the_standard_compiler_gives_the_same_numbers(graphs):
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        pytest.skip(f"torch.compile needs a C++ compiler, and there is no {compiler} here")
    block = make_block(ONE_OF_EACH[4])
    eager, compiled = Decoder(block), Decoder(block, execution="compiled")
    x = noise(1, 70, block.config.width)
    expected = decode(eager, x, eager.initial_state())
    assert_close(decode(compiled, x, compiled.initial_state(max_tokens=100)), expected)


# --------------------------------------------------------------------------------- recordings


def test_each_number_of_merges_is_recorded_once():
    graph, recorders = recorded(make_block(LMNConfig(width=8)))
    state = graph.initial_state()
    x = noise(1, 100, 8)
    decode(graph, x[:, :63], state)
    assert len(recorders.recordings) == 6  # 0 to 5 merges, whatever the levels that exist
    decode(graph, x[:, 63:], state)
    assert len(recorders.recordings) == 7
    assert recorders.replays == 100


def test_recordings_go_when_the_state_moves():
    graph, recorders = recorded(make_block(LMNConfig(width=8)))
    state = graph.initial_state(max_tokens=15)
    decode(graph, noise(1, 15, 8), state)
    assert len(recorders.recordings) == 4
    decode(graph, noise(1, 16, 8), state)  # token 16 needs a level more
    assert len(recorders.recordings) == 4 + 5


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda state: state.clone()])
def test_a_clone_has_recordings_of_its_own(duplicate):
    graph, recorders = recorded(make_block(LMNConfig(width=8)))
    state = graph.initial_state()
    decode(graph, noise(1, 8, 8), state)
    clone = duplicate(state)
    assert not clone.recordings
    x = noise(1, 9, 8, seed=5)
    expected = decode(graph, x, clone)
    assert len(recorders.recordings) == 4 + 4
    assert torch.equal(decode(graph, x, state), expected)


def test_a_state_that_is_copied_into_keeps_its_recordings():
    graph, recorders = recorded(make_block(LMNConfig(width=8, banks=2)))
    start, state = graph.initial_state(), graph.initial_state()
    decode(graph, noise(1, 21, 8), start)
    x = noise(1, 20, 8, seed=5)
    state.copy_from(start)
    expected = decode(graph, x, state)
    made = len(recorders.recordings)
    state.copy_from(start)
    assert state.tokens_seen == 21
    assert torch.equal(decode(graph, x, state), expected)
    assert len(recorders.recordings) == made


def test_two_decoders_on_one_state_use_their_own_weights():
    config = LMNConfig(width=8)
    one, _ = recorded(make_block(config, seed=1))
    other, _ = recorded(make_block(config, seed=2))
    state = one.initial_state()
    decode(one, noise(1, 1, 8), state)
    again = state.clone()
    assert not torch.equal(decode(one, noise(1, 2, 8), state), decode(other, noise(1, 2, 8), again))
    state.copy_from(again)
    fresh = again.clone()
    x = noise(1, 2, 8, seed=3)
    assert torch.equal(decode(other, x, state), decode(other, x, fresh))


# --------------------------------------------------------------------------------- copies


@each_config
@pytest.mark.parametrize("tokens", [0, 1, 30, 64])
def test_a_state_goes_on_from_one_of_another_execution(config, tokens):
    block = make_block(config)
    eager, (graph, _) = Decoder(block), recorded(block)
    x = noise(2, tokens + 20, config.width)
    state = eager.initial_state(2)
    if tokens:
        decode(eager, x[:, :tokens], state)
    static = graph.initial_state(2, max_tokens=4)
    static.copy_from(state)
    back = eager.initial_state(2, max_tokens=4)
    back.copy_from(static)
    expected = decode(eager, x[:, tokens:], state)
    assert_close(decode(graph, x[:, tokens:], static), expected)
    assert torch.equal(decode(eager, x[:, tokens:], back), expected)


def test_a_state_of_other_sizes_is_not_copied():
    decoder = Decoder(make_block(LMNConfig(width=8)))
    state = decoder.initial_state(2)
    with pytest.raises(ValueError, match=r"same configuration, batch and type: .*, 2, .*, 3, "):
        state.copy_from(decoder.initial_state(3))


# --------------------------------------------------------------------------------- refusals


def test_an_unknown_execution_is_refused():
    with pytest.raises(ValueError, match="one of eager, compiled, cuda_graph, got 'fast'"):
        Decoder(make_block(LMNConfig(width=8)), execution="fast")


def test_cuda_graphs_are_refused_on_a_cpu():
    with pytest.raises(ValueError, match=r"needs a CUDA device.*on cpu; .*'eager' or 'compiled'"):
        Decoder(make_block(LMNConfig(width=8)), execution="cuda_graph")


def test_the_state_of_another_execution_is_refused():
    block = make_block(LMNConfig(width=8))
    graph, _ = recorded(block)
    with pytest.raises(TypeError, match=r"'eager' .* EagerState, got StaticState; .*copy_from\("):
        Decoder(block).step(noise(1, 8), graph.initial_state())


# ------------------------------------------------------------------------------------- CUDA


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=needs_cuda)])
@pytest.mark.parametrize("execution", ["compiled", "cuda_graph"])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4), (torch.bfloat16, 5e-2)]
)
@each_config
def test_outputs_are_the_same_on_a_gpu(config, execution, dtype, tolerance, device):
    block = make_block(config)
    x = noise(2, 70, config.width)
    with torch.no_grad():
        expected, _ = block(x)
    decoder = Decoder(block.to(device, dtype), execution=execution)
    state = decoder.initial_state(2, max_tokens=3)
    y = decode(decoder, x.to(device, dtype), state)
    assert_close(y.cpu().double(), expected, tolerance)


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=needs_cuda)])
def test_captured_graphs_survive_a_copy_into_their_state(device):
    decoder = Decoder(make_block(LMNConfig(width=8)).to(device), execution="cuda_graph")
    start, state = decoder.initial_state(), decoder.initial_state()
    x = noise(1, 40, 8).to(device)
    expected = decode(decoder, x, state)
    recordings = state.recordings
    state.copy_from(start)
    assert torch.equal(decode(decoder, x, state), expected)
    assert state.recordings is recordings
