"""Generated tokens are drawn as asked, from the logits that the parallel form gives."""

import inspect

import pytest
import torch
from lmn_helpers import ONE_OF_EACH, assert_close, make_language_model, name_of, random_tokens

from lmn import (
    LanguageModelDecoder,
    LMNConfig,
    LMNLanguageModel,
    generate,
    stream_tokens,
)
from lmn import language_model_cost as cost
from lmn.sampling import Sampling, draw

MODEL = make_language_model(ONE_OF_EACH[1])
PROMPT = random_tokens(2, 11)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("block", ONE_OF_EACH, ids=name_of)
def test_logits_of_forced_tokens_are_those_of_the_parallel_form(block, dtype):
    model = make_language_model(block, dtype=dtype)
    tokens = random_tokens(3, 70)
    expected, after = model(tokens[:, :-1])
    made = generate(model, tokens[:, :29], max_tokens=41, forced=tokens[:, 29:], keep_logits=True)
    tolerance = 1e-10 if dtype == torch.float64 else 1e-4
    assert torch.equal(made.tokens, tokens[:, 29:])
    assert_close(made.logits, expected[:, 28:], tolerance)
    for one, other in zip(made.state.layers, after.layers, strict=True):
        assert_close(one.nodes, other.nodes, tolerance)


def test_a_decoder_steps_as_the_model_does_from_the_first_token_on():
    decoder = LanguageModelDecoder(MODEL)
    state, value = decoder.initial_state(2, max_tokens=3), MODEL.initial_state(2)
    for token in random_tokens(2, 20).unbind(1):
        expected, value = MODEL.decode_one_token(token, value)
        assert_close(decoder.step(token, state), expected)
    twin, kept = state.clone(), state.nbytes
    assert kept == cost.decode_state_bytes(MODEL.config, 20, batch=2, itemsize=8)
    assert state.allocated_bytes >= kept
    decoder.step(token, state)
    assert (twin.tokens_seen, state.tokens_seen) == (20, 21)


def test_greedy_takes_the_most_likely_token_again_and_again():
    made = generate(MODEL, PROMPT, max_tokens=20, temperature=0)
    tokens = PROMPT
    for _ in range(20):
        logits, _ = MODEL(tokens)
        tokens = torch.cat([tokens, logits[:, -1:].argmax(-1)], dim=1)
    assert torch.equal(made.tokens, tokens[:, 11:])
    assert made.lengths.tolist() == [20, 20]


def test_a_published_model_generates_the_same():
    twin = LMNLanguageModel(MODEL.config, implementation="published").double()
    twin.load_state_dict(MODEL.state_dict())
    one, other = (generate(m, PROMPT, max_tokens=20, seed=1) for m in (MODEL, twin))
    assert torch.equal(one.tokens, other.tokens)
    assert other.state_bytes * 3 == one.state_bytes  # a decoder keeps keys and values too


def test_a_seed_repeats_the_draws_whatever_else_is_drawn():
    one = generate(MODEL, PROMPT, max_tokens=30, seed=5)
    before = torch.get_rng_state()
    torch.rand(3)
    other = generate(MODEL, PROMPT, max_tokens=30, seed=5)
    assert torch.equal(one.tokens, other.tokens)
    unseeded = generate(MODEL, PROMPT, max_tokens=30)
    again = generate(MODEL, PROMPT, max_tokens=30, seed=unseeded.seed)
    assert torch.equal(unseeded.tokens, again.tokens)
    assert not torch.equal(one.tokens, unseeded.tokens)
    torch.set_rng_state(before)


def test_a_seed_from_the_system_is_one_that_tools_for_json_keep():
    # a double holds whole numbers up to 2^53
    assert all(stream_tokens(MODEL, [1], max_tokens=1).seed < 2**53 for _ in range(20))


def test_generate_takes_what_stream_tokens_takes_by_the_same_defaults():
    whole, stream = (inspect.signature(f).parameters for f in (generate, stream_tokens))
    assert {**stream, "keep_logits": whole["keep_logits"]} == whole


def test_generation_goes_on_from_a_state():
    whole = generate(MODEL, PROMPT, max_tokens=30, temperature=0)
    first = generate(MODEL, PROMPT, max_tokens=13, temperature=0)
    rest = generate(MODEL, first.tokens[:, -1:], max_tokens=17, temperature=0, state=first.state)
    assert torch.equal(torch.cat([first.tokens, rest.tokens], dim=1), whole.tokens)
    assert first.state.tokens_seen == 11 + 12


def test_a_stop_token_ends_its_sequence_and_the_last_one_the_stream():
    stop = 3
    forced = torch.tensor([[1, stop, 5, 5, 5, 5], [2, 2, 2, stop, 5, 5]])
    made = generate(MODEL, PROMPT, max_tokens=6, forced=forced, stop_tokens=[stop])
    assert made.tokens.tolist() == [[1, stop, stop, stop], [2, 2, 2, stop]]
    assert made.lengths.tolist() == [2, 4]
    flags = [step.finished.tolist() for step in stream_tokens(
        MODEL, PROMPT, max_tokens=6, forced=forced, stop_tokens=[stop]
    )]  # fmt: skip
    assert flags == [[False, False], [True, False], [True, False], [True, True]]


def test_a_sequence_draws_what_it_would_draw_without_one_that_has_ended():
    forced = torch.tensor([[3, 3], [1, 2]])
    made = generate(MODEL, PROMPT, max_tokens=9, temperature=0, forced=forced, stop_tokens=[3])
    alone = generate(MODEL, PROMPT[1:], max_tokens=9, temperature=0, forced=forced[1:])
    assert made.tokens[1, : made.lengths[1]].tolist() == alone.tokens[0, : made.lengths[1]].tolist()


def test_a_stream_makes_tokens_when_asked_and_knows_its_state():
    stream = stream_tokens(MODEL, [1, 2, 3], max_tokens=1000, seed=0)
    assert (stream.batch, stream.tokens_seen) == (1, 3)
    made = [next(stream).tokens.item() for _ in range(5)]
    assert stream.tokens_seen == 3 + 4
    assert stream.state_bytes == cost.decode_state_bytes(MODEL.config, 7, itemsize=8)
    assert made == generate(MODEL, [[1, 2, 3]], max_tokens=5, seed=0).tokens[0].tolist()


@pytest.mark.parametrize(
    ("sampling", "shares"),
    [
        (Sampling(), [0.4, 0.3, 0.2, 0.1]),
        (Sampling(temperature=0.5), [16 / 30, 9 / 30, 4 / 30, 1 / 30]),
        (Sampling(top_k=2), [4 / 7, 3 / 7, 0, 0]),
        (Sampling(top_k=9), [0.4, 0.3, 0.2, 0.1]),
        (Sampling(top_p=0.7), [4 / 7, 3 / 7, 0, 0]),
        (Sampling(top_p=0.71), [4 / 9, 3 / 9, 2 / 9, 0]),
        (Sampling(top_p=0.01), [1, 0, 0, 0]),
        (Sampling(top_k=3, top_p=0.5), [4 / 7, 3 / 7, 0, 0]),
        (Sampling(temperature=0), [1, 0, 0, 0]),
    ],
)
def test_tokens_are_drawn_with_the_shares_asked_for(sampling, shares):
    order = [2, 0, 3, 1]  # the likeliest token is not the first one
    logits = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()[torch.tensor(order).argsort()]
    drawn = draw(logits.expand(20_000, -1), sampling, torch.Generator().manual_seed(0))
    counts = drawn.bincount(minlength=4)[order] / 20_000
    torch.testing.assert_close(
        counts, torch.tensor(shares, dtype=torch.float32), atol=0.012, rtol=0
    )
    assert not (counts[torch.tensor(shares) == 0]).any()


@pytest.mark.parametrize("temperature", [5e-324, 1e-300, 1e-40, 1e-30])
@pytest.mark.parametrize("top_k", [None, 3])
def test_a_temperature_near_zero_takes_the_most_likely_token(temperature, top_k):
    logits = torch.tensor([[3.0, 50.0, -400.0, 49.9]])
    sampling = Sampling(temperature=temperature, top_k=top_k)
    drawn = draw(logits.expand(50, -1), sampling, torch.Generator().manual_seed(0))
    assert drawn.unique().tolist() == [1]


def test_a_temperature_beyond_float32_makes_all_tokens_equally_likely():
    logits = torch.tensor([[3.0, 50.0, -400.0]]).expand(20_000, -1)
    drawn = draw(logits, Sampling(temperature=1e300), torch.Generator().manual_seed(0))
    assert drawn.bincount(minlength=3).min() > 6_000


def test_a_long_prompt_is_read_in_bounded_memory_into_a_small_state():
    block = LMNConfig(width=32, heads=4, banks=2)
    model = make_language_model(block, torch.float32, vocabulary=65, layers=4)
    longest = 0

    def watch(_, inputs):
        nonlocal longest
        longest = max(longest, inputs[0].shape[1])

    for layer in model.blocks:
        layer.register_forward_pre_hook(watch)
    stream = stream_tokens(model, random_tokens(1, 100_000, 65), max_tokens=10, seed=0)
    assert longest == 8192
    assert len(list(stream)) == 10
    assert stream.state_bytes == 50_688  # under 1 MB; keys and values of all tokens take 102 MB


@pytest.mark.parametrize(
    ("prompt", "settings", "error", "words"),
    [
        ([], {}, ValueError, "prompt must have at least one token"),
        ([1, 7], {}, ValueError, "between 0 and 6, got numbers from 1 to 7"),
        ([[1, 2], [3]], {}, ValueError, "rows of the same length"),
        ([0.5], {}, TypeError, "int64 or int32"),
        (None, {}, TypeError, "prompt must be integers, in a tensor or in lists, got None"),
        ("text", {}, TypeError, "got 'text'; encode text first"),
        ([1], {"max_tokens": 0}, ValueError, "max_tokens must be at least 1"),
        ([1], {"max_tokens": 2.5}, TypeError, r"max_tokens must be an integer, got 2\.5"),
        ([1], {"seed": -1}, ValueError, "seed must be from 0 to 18446744073709551615, got -1"),
        ([1], {"seed": 2**64}, ValueError, "seed must be from 0 to"),
        ([1], {"seed": 1.5}, TypeError, "seed must be an integer or None"),
        ([1], {"temperature": -1}, ValueError, "temperature must be"),
        ([1], {"temperature": float("nan")}, ValueError, "temperature must be"),
        ([1], {"top_k": 0}, ValueError, "top_k must be at least 1"),
        ([1], {"top_k": 2.5}, TypeError, r"top_k must be an integer, got 2\.5"),
        ([1], {"top_k": True}, TypeError, "top_k must be an integer, got True"),
        ([1], {"top_p": 1.5}, ValueError, "top_p must lie above 0"),
        ([1], {"temperature": 0, "top_k": 3}, ValueError, "decide nothing"),
        ([1], {"stop_tokens": 3}, TypeError, r"got 3; write \[3\]"),
        ([1], {"stop_tokens": [9]}, ValueError, "stop_tokens must lie between"),
        ([1], {"forced": torch.tensor([[1], [2]])}, ValueError, "one row for each"),
        ([1], {"state": MODEL.initial_state(2)}, ValueError, "holds 2 sequences"),
        (
            [1],
            {"decoder": LanguageModelDecoder(make_language_model(ONE_OF_EACH[0]))},
            ValueError,
            "made of another model",
        ),
    ],
)
def test_mistakes_are_told(prompt, settings, error, words):
    with pytest.raises(error, match=words):
        generate(MODEL, prompt, **{"max_tokens": 3, **settings})


def test_broken_weights_are_told():
    broken = make_language_model(ONE_OF_EACH[0])
    with torch.no_grad():
        broken.norm.weight.fill_(torch.nan)
    with pytest.raises(ValueError, match="not all finite"):
        generate(broken, [1], max_tokens=3)


def test_a_decoder_tells_mistakes_before_it_changes_the_state():
    decoder = LanguageModelDecoder(MODEL)
    state = decoder.initial_state(2)
    for token, error in (([0, 7], ValueError), ([[0, 1]], ValueError), ([0.0, 1.0], TypeError)):
        with pytest.raises(error):
            decoder.step(torch.tensor(token), state)
    other = LanguageModelDecoder(make_language_model(ONE_OF_EACH[1], layers=1))
    with pytest.raises(ValueError, match="2 layers and the model 1"):
        other.step(torch.tensor([0, 1]), state)
    assert state.tokens_seen == 0
