"""The state is a value: counted, cut, moved, saved and branched without a trace on the original."""

import io

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lmn_helpers import ONE_OF_EACH, assert_close, configs, few, make_block, name_of, noise

from lmn import LMNBlock, LMNConfig, MemoryState
from lmn.tree import slot_count


@pytest.fixture(params=ONE_OF_EACH, ids=name_of)
def block(request):
    return make_block(request.param)


@pytest.fixture
def state(block):
    with torch.no_grad():
        return block(noise(4, 45, block.config.width))[1]


@few
@given(configs(), st.integers(1, 200), st.integers(1, 3))
def test_size_follows_the_slots(config, tokens, batch):
    block = make_block(config)
    _, state = block(noise(batch, tokens, config.width))
    slots = slot_count(tokens, config.banks, config.expansion)
    assert (state.batch, state.slots, state.width) == (batch, slots, config.width)
    assert state.tokens_seen == tokens
    assert state.nbytes == batch * slots * config.width * 8
    assert state.nodes.shape == (batch, slots, config.width)


def test_state_before_the_first_token_is_empty():
    block = LMNBlock(LMNConfig(width=8)).bfloat16()
    state = block.initial_state(3)
    assert (state.tokens_seen, state.nbytes, state.nodes.dtype) == (0, 0, torch.float32)
    assert block.initial_state(3, torch.float64, "meta").nodes.is_meta
    with pytest.raises(ValueError, match="batch must be at least 1, got 0"):
        block.initial_state(0)


def test_level_zero_is_the_newest_token(block):
    x = noise(2, 45, block.config.width)
    _, state = block.memory(x)
    assert torch.equal(state.nodes[:, 0], x[:, -1])


def test_nothing_changes_a_state_that_is_read(block, state):
    kept = state.clone()
    block.step(noise(4, block.config.width), state)
    block(noise(4, 30, block.config.width), state)
    assert torch.equal(state.nodes, kept.nodes)
    assert state.tokens_seen == kept.tokens_seen


def test_two_streams_branch_from_one_state(block, state):
    with torch.no_grad():
        left, right = noise(4, 20, block.config.width), noise(4, 20, block.config.width, seed=5)
        alone = block(right, state)[0]
        branch_left = branch_right = state
        outputs = []
        for token in range(20):
            _, branch_left = block.step(left[:, token], branch_left)
            y, branch_right = block.step(right[:, token], branch_right)
            outputs.append(y)
    assert_close(torch.stack(outputs, dim=1), alone)


@pytest.mark.parametrize("index", [slice(1, 3), [2, 0, 0], torch.tensor([3, 3])])
def test_indexing_picks_sequences(block, state, index):
    token = noise(4, block.config.width)
    with torch.no_grad():
        whole, _ = block.step(token, state)
        picked, picked_state = block.step(token[index], state[index])
    assert_close(picked, whole[index], 1e-12)
    assert picked_state.tokens_seen == 46


def test_indexing_by_a_number_would_lose_the_batch(state):
    with pytest.raises(TypeError, match=r"state\[i : i \+ 1\]"):
        state[1]


def test_detach_cuts_the_graph(block):
    _, state = block(noise(1, 9, block.config.width))
    assert state.nodes.requires_grad
    assert not state.detach().nodes.requires_grad
    assert torch.equal(state.detach().nodes, state.nodes)


def test_to_changes_type_and_device(state):
    assert state.to(torch.bfloat16).nodes.dtype == torch.bfloat16
    assert state.to("meta").nodes.is_meta
    assert state.to(torch.float32).tokens_seen == state.tokens_seen


def test_clone_has_memory_of_its_own(state):
    assert state.clone().nodes.data_ptr() != state.nodes.data_ptr()


def test_saved_state_goes_on_where_it_stopped(block, state):
    file = io.BytesIO()
    torch.save(state.state_dict(), file)
    file.seek(0)
    restored = MemoryState.from_state_dict(torch.load(file, weights_only=True))
    token = noise(4, block.config.width)
    with torch.no_grad():
        assert torch.equal(block.step(token, restored)[0], block.step(token, state)[0])


def test_saved_state_with_a_missing_entry_is_refused(state):
    saved = state.state_dict()
    del saved["banks"]
    with pytest.raises(ValueError, match=r"has the entries .*'banks'.*got"):
        MemoryState.from_state_dict(saved)


def test_rows_that_do_not_fit_the_count_are_refused(state):
    with pytest.raises(ValueError, match="after 400 tokens"):
        MemoryState(state.nodes, 400, state.banks, state.expansion)
    with pytest.raises(ValueError, match="negative, got -1"):
        MemoryState(state.nodes, -1, state.banks, state.expansion)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda state: state[:2], ValueError, "holds 2 sequences and the input 4"),
        (lambda state: state.to(torch.float32), TypeError, "float32 and the input torch.float64"),
        (lambda state: (state.nodes,), TypeError, "must be a MemoryState or None, got tuple"),
        (
            lambda state: MemoryState.empty(4, state.width + 1, banks=state.banks),
            ValueError,
            "belongs to another configuration",
        ),
        (
            lambda state: MemoryState.empty(4, state.width, banks=state.banks + 1),
            ValueError,
            "belongs to another configuration",
        ),
    ],
)
def test_states_that_do_not_fit_are_refused(block, state, change, error, words):
    with pytest.raises(error, match=words):
        block.step(noise(4, block.config.width), change(state))
    with pytest.raises(error, match=words):
        block(noise(4, 3, block.config.width), change(state))
