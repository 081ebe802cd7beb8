"""A language model gives the same logits and gradients however it reads, and keeps nothing."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lmn_helpers import (
    ONE_OF_EACH,
    assert_close,
    few,
    make_language_model,
    name_of,
    random_tokens,
    splits,
)

from lmn import LanguageModelState, LMNConfig, LMNLanguageModel, LMNLanguageModelConfig
from lmn import language_model_cost as cost

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}


def step_by_step(model, tokens, state=None):
    state = model.initial_state(len(tokens)) if state is None else state
    logits = []
    for token in tokens.unbind(1):
        after, state = model.decode_one_token(token, state)
        logits.append(after)
    return torch.stack(logits, dim=1), state


def assert_same_state(actual, expected, tolerance=1e-10):
    assert actual.tokens_seen == expected.tokens_seen
    for one, other in zip(actual.layers, expected.layers, strict=True):
        assert_close(one.nodes, other.nodes, tolerance)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("block", ONE_OF_EACH, ids=name_of)
@pytest.mark.parametrize("tokens", [1, 37])
def test_parallel_and_step_by_step_agree(block, dtype, tokens):
    model = make_language_model(block, dtype=dtype)
    prompt = random_tokens(3, tokens)
    expected, after = model(prompt)
    assert expected.shape == (3, tokens, model.config.vocabulary)
    actual, state = step_by_step(model, prompt)
    assert_close(actual, expected, TOLERANCE[dtype])
    assert_same_state(state, after, TOLERANCE[dtype])


@few
@given(sizes=splits(), batch=st.integers(1, 3), block=st.sampled_from(ONE_OF_EACH))
def test_any_split_into_prefills_gives_the_same_numbers(sizes, batch, block):
    model = make_language_model(block)
    tokens = random_tokens(batch, sum(sizes))
    expected, after = model(tokens)
    state = None
    for piece, seen in zip(tokens.split(sizes, 1), itertools.accumulate(sizes), strict=True):
        logits, state = model.prefill(piece, state)
        assert_close(logits, expected[:, seen - 1])
    assert_same_state(state, after)


def test_a_prompt_longer_than_a_segment_is_read_in_parts(monkeypatch):
    model = make_language_model(ONE_OF_EACH[1])
    tokens = random_tokens(2, 201)
    expected, after = model(tokens)
    monkeypatch.setattr("lmn.tree.SEGMENT_FEATURES", {"cpu": 1})
    monkeypatch.setattr("lmn.tree.SEGMENT_ROWS", 1)
    longest = 0

    def watch(_, inputs):
        nonlocal longest
        longest = max(longest, inputs[0].shape[1])

    model.blocks[0].register_forward_pre_hook(watch)
    start, state = model.prefill(tokens[:, :5])
    logits, state = model.prefill(tokens[:, 5:], state)
    assert longest == 64
    assert_close(start, expected[:, 4])
    assert_close(logits, expected[:, -1])
    assert_same_state(state, after)


def test_two_streams_go_on_from_one_state():
    model = make_language_model(ONE_OF_EACH[1])
    tokens = random_tokens(1, 21)
    _, state = model.prefill(tokens[:, :20])
    kept = [layer.nodes.clone() for layer in state.layers]
    first, _ = model.decode_one_token(tokens[:, 20], state)
    model.decode_one_token((tokens[:, 20] + 1) % 7, state)
    again, _ = model.decode_one_token(tokens[:, 20], state)
    assert torch.equal(first, again)
    for layer, nodes in zip(state.layers, kept, strict=True):
        assert torch.equal(layer.nodes, nodes)


def test_a_state_is_a_value_that_can_be_picked_stored_and_measured():
    model = make_language_model(ONE_OF_EACH[1])
    _, state = model.prefill(random_tokens(3, 13))
    restored = LanguageModelState.from_state_dict(state[[2, 0]].state_dict())
    assert_same_state(restored, state[[2, 0]])
    assert (restored.batch, restored.tokens_seen) == (2, 13)
    assert state.nbytes == cost.state_bytes(model.config, 13, batch=3, itemsize=8)
    assert state.to(torch.float32).nbytes == cost.state_bytes(model.config, 13, batch=3)
    with pytest.raises(ValueError, match=r"0\.nodes"):
        LanguageModelState.from_state_dict({"nodes": state.layers[0].nodes})
    with pytest.raises(ValueError, match="same tokens"):
        LanguageModelState((state.layers[0], state[[0]].layers[1]))


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("block", ONE_OF_EACH, ids=name_of)
def test_the_number_of_parameters_is_known_beforehand(block, tied):
    model = make_language_model(block, tie_weights=tied)
    assert cost.parameter_count(model.config) == sum(p.numel() for p in model.parameters())
    assert (model.head.weight is model.embedding.weight) == tied


def test_the_published_model_has_the_published_size():
    block = LMNConfig(width=32, heads=4, banks=2)
    config = LMNLanguageModelConfig(vocabulary=65, layers=4, block=block)
    assert cost.parameter_count(config) == 71_489
    assert cost.decode_state_bytes(config, 100_000) < 1 << 20


def gradients_of(model, tokens):
    loss = model.loss(tokens[:, :-1], tokens[:, 1:])
    return loss, torch.autograd.grad(loss, list(model.parameters()))


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("variant", ["checkpointing", "published", "step_by_step"])
def test_gradients_do_not_depend_on_how_they_are_made(variant, tied):
    model = make_language_model(ONE_OF_EACH[1], tie_weights=tied)
    tokens = random_tokens(2, 38)
    loss, expected = gradients_of(model, tokens)
    if variant == "step_by_step":
        logits, _ = step_by_step(model, tokens[:, :-1])
        other = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        found = torch.autograd.grad(other, list(model.parameters()))
    else:
        implementation = "published" if variant == "published" else "chunked"
        twin = LMNLanguageModel(model.config, implementation=implementation).double()
        twin.load_state_dict(model.state_dict())
        twin.checkpointing = variant == "checkpointing"
        other, found = gradients_of(twin, tokens)
    assert_close(other, loss)
    for one, two in zip(found, expected, strict=True):
        assert_close(one, two)


def kept_bytes(model, tokens, checkpointing=False):
    """What a loss keeps for backward, each tensor's memory once."""
    model.checkpointing, saved = checkpointing, []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        model.loss(tokens[:, :-1], tokens[:, 1:])
    return sum({t.data_ptr(): t.nbytes for t in saved}.values())


def test_checkpointing_keeps_less():
    model = make_language_model(LMNConfig(width=32, heads=4, banks=2), layers=4)
    tokens = random_tokens(2, 513)
    assert kept_bytes(model, tokens, checkpointing=True) * 4 < kept_bytes(model, tokens)


def test_ignored_targets_count_for_nothing():
    model = make_language_model(ONE_OF_EACH[1])
    tokens, targets = random_tokens(2, 20), random_tokens(2, 20, seed=3)
    targets[:, ::3] = -100
    logits, _ = model(tokens)
    expected = torch.nn.functional.cross_entropy(logits[targets != -100], targets[targets != -100])
    assert_close(model.loss(tokens, targets, ignored=-100), expected)
    with pytest.raises(ValueError, match="every target is -100"):
        model.loss(tokens, torch.full_like(targets, -100), ignored=-100)


@pytest.mark.parametrize("config", ONE_OF_EACH, ids=name_of)
def test_logits_where_they_are_asked_are_those_of_all_positions(config):
    model = make_language_model(config)
    tokens = random_tokens(2, 20)
    asked = random_tokens(2, 20, seed=3) % 3 == 0
    assert_close(model.logits_where(tokens, asked), model(tokens)[0][asked])


def test_the_head_only_runs_where_something_is_asked():
    model = make_language_model(ONE_OF_EACH[1])
    shapes = []
    model.head.register_forward_hook(lambda head, inputs, output: shapes.append(output.shape[:-1]))
    asked = torch.zeros(2, 20, dtype=torch.bool)
    asked[1, 7] = asked[0, 3] = True
    model.logits_where(random_tokens(2, 20), asked)
    model.loss(random_tokens(2, 20), torch.where(asked, 1, -100), ignored=-100)
    assert shapes == [(2,), (2,)]


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        (torch.ones(2, 19, dtype=torch.bool), ValueError, r"\(2, 19\) for tokens \(2, 20\)"),
        (torch.zeros(2, 20, dtype=torch.bool), ValueError, "nothing is asked"),
        (torch.ones(2, 20, dtype=torch.int64), TypeError, "asked must be bool"),
    ],
    ids=["another shape", "nothing", "numbers"],
)
def test_what_is_asked_is_checked(asked, error, message):
    with pytest.raises(error, match=message):
        make_language_model(ONE_OF_EACH[1]).logits_where(random_tokens(2, 20), asked)


def test_half_precision_keeps_its_loss_and_state_in_float32():
    model = make_language_model(ONE_OF_EACH[1], dtype=torch.bfloat16)
    tokens = random_tokens(2, 40)
    logits, state = model(tokens)
    assert logits.dtype == torch.bfloat16
    assert state.layers[0].nodes.dtype == torch.float32
    assert model.loss(tokens, tokens).dtype == torch.float32


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m: m(torch.tensor([[0, 7]])), ValueError, "between 0 and 6, got numbers from 0 to"),
        (lambda m: m(torch.tensor([[-1]])), ValueError, "between 0 and 6, got numbers from -1"),
        (lambda m: m(torch.zeros(1, 0, dtype=torch.int64)), ValueError, r"\(batch, tokens\), at"),
        (lambda m: m(torch.zeros(3)), ValueError, r"got shape \(3,\)"),
        (lambda m: m(torch.zeros(1, 3)), TypeError, "int64 or int32, got torch.float32"),
        (lambda m: m.loss(random_tokens(1, 3), random_tokens(1, 4)), ValueError, "one target for"),
        (lambda m: m(random_tokens(1, 3), m.layers[0].initial_state(1)), TypeError, "LanguageMod"),
        (lambda m: m(random_tokens(1, 3), m.initial_state(2)), ValueError, "holds 2 sequences"),
        (
            lambda m: m(random_tokens(1, 3), LanguageModelState(m.initial_state(1).layers[:1])),
            ValueError,
            "has 1 layers and the model 2",
        ),
        (lambda m: LMNLanguageModel(m.config, implementation="fast"), ValueError, "chunked, tri"),
    ],
)
def test_mistakes_are_told(call, error, words):
    model = make_language_model(ONE_OF_EACH[1])
    with pytest.raises(error, match=words):
        call(model)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"vocabulary": 0}, ValueError, "vocabulary must be at least 1"),
        ({"layers": 2.0}, TypeError, "layers must be an integer"),
        ({"block": {"width": 8}}, TypeError, "block must be an LMNConfig"),
        ({"init": "averging"}, ValueError, "did you mean 'averaging'"),
        ({"tie_weights": "no"}, TypeError, "tie_weights must be True or False"),
    ],
)
def test_mistakes_in_a_configuration_are_told(settings, error, words):
    good = {"vocabulary": 7, "layers": 2, "block": LMNConfig(width=8)}
    with pytest.raises(error, match=words):
        LMNLanguageModelConfig(**{**good, **settings})


def test_a_configuration_survives_plain_data():
    block = ONE_OF_EACH[4]
    config = LMNLanguageModelConfig(vocabulary=7, layers=2, block=block, init="published")
    assert LMNLanguageModelConfig.from_dict(config.to_dict()) == config
    for broken in ({"vocabulary": 7}, {**config.to_dict(), "heads": 2}, 7):
        with pytest.raises(ValueError, match="expected the entries"):
            LMNLanguageModelConfig.from_dict(broken)
