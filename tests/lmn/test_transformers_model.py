"""Under the names of transformers the model loads, saves and generates what it does by itself."""

import subprocess
import sys

import pytest
import torch
from lmn_helpers import ONE_OF_EACH, assert_close, make_language_model, random_tokens
from safetensors.torch import load_file, save_file

from lmn import LMNLanguageModel, generate

transformers = pytest.importorskip(
    "transformers", reason="the package transformers is not installed: lmn-bench[transformers]"
)
from lmn.transformers_model import (  # noqa: E402
    LMNCache,
    LMNForCausalLM,
    LMNTransformersConfig,
)

MODEL = make_language_model(ONE_OF_EACH[1], torch.float32)
PROMPT = random_tokens(2, 11)


@pytest.fixture
def wrapped():
    return LMNForCausalLM.from_language_model(MODEL)


@pytest.mark.parametrize("use_cache", [True, False])
def test_greedy_generation_is_ours(wrapped, use_cache):
    made = wrapped.generate(PROMPT, max_new_tokens=25, do_sample=False, use_cache=use_cache)
    ours = generate(MODEL, PROMPT, max_tokens=25, temperature=0)
    assert torch.equal(made, torch.cat([PROMPT, ours.tokens], dim=1))


def test_logits_and_state_of_generation_are_ours(wrapped):
    made = wrapped.generate(
        PROMPT, max_new_tokens=9, do_sample=True, output_logits=True, return_dict_in_generate=True
    )
    forced = made.sequences[:, 11:]
    ours = generate(MODEL, PROMPT, max_tokens=9, forced=forced, keep_logits=True)
    assert_close(torch.stack(made.logits, dim=1), ours.logits, 1e-5)
    assert made.past_key_values.get_seq_length() == 11 + 8
    for one, other in zip(made.past_key_values.state.layers, ours.state.layers, strict=True):
        assert_close(one.nodes, other.nodes, 1e-5)


def test_generation_goes_on_from_a_cache(wrapped):
    whole = wrapped.generate(PROMPT, max_new_tokens=20, do_sample=False)
    first = wrapped.generate(
        PROMPT, max_new_tokens=8, do_sample=False, return_dict_in_generate=True
    )
    state = first.past_key_values.state
    rest = wrapped.generate(
        first.sequences, max_new_tokens=12, do_sample=False, past_key_values=LMNCache(state)
    )
    assert torch.equal(rest, whole)
    assert state.tokens_seen == 11 + 7


def test_beam_search_picks_the_states_of_its_beams(wrapped):
    beams, made = 3, 6
    found = wrapped.generate(PROMPT, max_new_tokens=made, num_beams=beams, do_sample=False)
    plain = wrapped.generate(
        PROMPT, max_new_tokens=made, num_beams=beams, do_sample=False, use_cache=False
    )
    assert torch.equal(found, plain)


def test_an_end_token_ends_generation(wrapped):
    greedy = generate(MODEL, PROMPT[:1], max_tokens=25, temperature=0).tokens[0].tolist()
    end = greedy[4]
    made = wrapped.generate(
        PROMPT[:1], max_new_tokens=25, do_sample=False, eos_token_id=end, pad_token_id=end
    )
    assert made[0, 11:].tolist() == greedy[: greedy.index(end) + 1]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("block", [ONE_OF_EACH[3], ONE_OF_EACH[4]], ids=["conv", "expander"])
def test_saved_models_come_back_through_the_auto_classes(tmp_path, block, tied):
    model = make_language_model(block, torch.float32, tie_weights=tied, init="published")
    LMNForCausalLM.from_language_model(model, eos_token_id=3).save_pretrained(tmp_path)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert isinstance(loaded, LMNForCausalLM)
    assert loaded.config.eos_token_id == 3
    assert loaded.language_model.config == model.config
    for (name, mine), theirs in zip(
        model.state_dict().items(), loaded.language_model.state_dict().values(), strict=True
    ):
        assert torch.equal(mine, theirs), name
    head, embedding = loaded.language_model.head, loaded.language_model.embedding
    assert (head.weight is embedding.weight) == tied
    assert_close(loaded(PROMPT).logits, model(PROMPT)[0], 1e-6)


def test_a_weight_that_a_file_lacks_is_drawn(tmp_path, wrapped):
    wrapped.save_pretrained(tmp_path)
    entries = load_file(tmp_path / "model.safetensors")
    del entries["language_model.norm.weight"]
    save_file(entries, tmp_path / "model.safetensors", {"format": "pt"})
    loaded = LMNForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(loaded.language_model.norm.weight, torch.ones(8))


def test_a_new_model_is_drawn_by_its_scheme():
    config = LMNTransformersConfig(vocab_size=7, init="rotation")
    torch.manual_seed(0)
    made = transformers.AutoModelForCausalLM.from_config(config)
    torch.manual_seed(0)
    expected = LMNLanguageModel(config.to_language_model_config())
    for mine, theirs in zip(made.parameters(), expected.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_the_loss_is_ours(wrapped):
    tokens = random_tokens(2, 30)
    found = wrapped(tokens, labels=tokens)
    assert_close(found.loss, MODEL.loss(tokens[:, :-1], tokens[:, 1:]), 1e-6)
    labels = tokens.clone()
    labels[:, :20] = -100
    expected = MODEL.loss(tokens[:, :-1], labels[:, 1:], ignored=-100)
    assert_close(wrapped(tokens, labels=labels).loss, expected, 1e-6)


def test_mistakes_are_told(wrapped):
    mask = torch.ones_like(PROMPT)
    mask[0, 0] = 0
    with pytest.raises(ValueError, match="no place for padding"):
        wrapped.generate(PROMPT, attention_mask=mask, max_new_tokens=2)
    with pytest.raises(ValueError, match="input_ids, not inputs_embeds"):
        wrapped(inputs_embeds=torch.zeros(1, 2, 8))
    with pytest.raises(TypeError, match="LMNCache, got DynamicCache"):
        wrapped(PROMPT, past_key_values=transformers.DynamicCache())
    with pytest.raises(NotImplementedError, match="cannot forget"):
        wrapped(PROMPT).past_key_values.crop(-1)
    with pytest.raises(ValueError, match="heads must divide width"):
        LMNTransformersConfig(hidden_size=32, num_attention_heads=5)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("width", "hidden_size"), ("intermediate_size", "feedforward_width"), ("bank", "banks")],
)
def test_a_size_under_another_name_is_refused(name, meant):
    with pytest.raises(TypeError, match=f"{name}=33 would be without effect; write {meant}"):
        LMNTransformersConfig(**{name: 33})


def test_keys_of_the_library_itself_are_taken():
    given = {**transformers.PreTrainedConfig().to_dict(), "eos_token_id": 3, "use_cache": False}
    given |= transformers.GenerationConfig().to_dict() | {"output_hidden_states": False}
    assert LMNTransformersConfig(**given).hidden_size == 32


@pytest.mark.parametrize("name", ["output_attentions", "output_hidden_states"])
def test_what_an_lmn_does_not_give_is_refused(wrapped, name):
    with pytest.raises(ValueError, match=f"{name} is asked for"):
        wrapped(PROMPT, **{name: True})
    with pytest.raises(ValueError, match=f"{name} is asked for"):
        wrapped.generate(PROMPT, max_new_tokens=2, return_dict_in_generate=True, **{name: True})
    assert wrapped(PROMPT, **{name: False}).logits.shape == (2, 11, 7)


def test_a_tuple_is_returned_to_who_asks_for_one(wrapped):
    found = wrapped(PROMPT, return_dict=False)
    assert isinstance(found, tuple)
    assert torch.equal(found[0], wrapped(PROMPT).logits)


def test_nothing_else_imports_it():
    script = (
        "import sys, lmn; [getattr(lmn, name) for name in lmn.__all__]; "
        "sys.exit('transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
