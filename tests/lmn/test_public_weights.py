"""Public weights load as tensors or arrays, and wrong ones are told apart entry by entry."""

import pytest
import torch
from lmn_helpers import BLOCK_FILES, GOLDEN, assert_close, load_golden, with_prefix

from lmn import LMNLanguageModel, generate, load_public_block, load_public_language_model

NOTEBOOK = GOLDEN / "notebook_language_model.npz"


def weights_of(stem):
    (path,) = (path for path in BLOCK_FILES if path.stem == stem)
    return with_prefix(load_golden(path)[1], "param.")


@pytest.mark.parametrize("path", BLOCK_FILES, ids=lambda path: path.stem)
def test_sizes_follow_from_the_shapes(path):
    stored, entries = load_golden(path)
    config = load_public_block(with_prefix(entries, "param."), heads=stored["heads"]).config
    assert config.width == stored["embedding"]
    assert config.banks == stored["banks"]
    assert config.summarizer == stored["summarizer"]
    assert config.expansion == (stored["expand"] or 0)
    assert config.heads == stored["heads"]
    assert config.conv_groups == ("mix" if stored["depth_wise"] is False else "bank")
    assert config.feedforward_width is None


def test_tensors_and_types_are_kept():
    weights = {name: torch.tensor(w).float() for name, w in weights_of("linear_1bank").items()}
    block = load_public_block(weights)
    assert all(parameter.dtype == torch.float32 for parameter in block.parameters())
    with torch.no_grad():
        block.norm1.weight.zero_()
    assert weights["norm1.weight"].abs().sum() > 0


def test_all_wrong_entries_are_told_at_once():
    weights = weights_of("linear_2banks")
    del weights["sva.q.bias"]
    weights["sva.k.weight"] = weights["sva.k.weight"][:, :-1]
    weights["surprise"] = weights["sva.v.bias"]
    with pytest.raises(ValueError) as caught:
        load_public_block(weights, heads=4)
    message = str(caught.value)
    assert "missing 'sva.q.bias' (32,)" in message
    assert "unexpected 'surprise'" in message
    assert "'sva.k.weight' has shape (32, 31), expected (32, 32)" in message


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("norm1.weight", "lack 'norm1.weight'"),
        ("summarizer.weight", "lack 'summarizer.weight'"),
        ("feedforward.fc1.weight", "lack 'feedforward.fc1.weight'"),
    ],
)
def test_an_entry_that_sizes_depend_on_is_asked_for(entry, words):
    weights = weights_of("linear_1bank")
    del weights[entry]
    with pytest.raises(ValueError, match=words):
        load_public_block(weights)


def test_a_size_entry_of_wrong_rank_is_told():
    weights = weights_of("linear_1bank")
    weights["summarizer.weight"] = weights["summarizer.weight"][0]
    with pytest.raises(ValueError, match=r"'summarizer.weight' must have 3 .*\(32, 16\)"):
        load_public_block(weights)


def test_heads_have_to_divide_the_width():
    with pytest.raises(ValueError, match="heads must divide width, but 3"):
        load_public_block(weights_of("linear_1bank"), heads=3)


@pytest.mark.parametrize("implementation", ["chunked", "published"])
def test_the_notebooks_model_has_the_published_logits_loss_and_gradients(implementation):
    stored, entries = load_golden(NOTEBOOK)
    loaded = load_public_language_model(with_prefix(entries, "param."), heads=stored["heads"])
    assert loaded.config.init == "published"
    assert sum(parameter.numel() for parameter in loaded.parameters()) == 71_489
    model = LMNLanguageModel(loaded.config, implementation=implementation).double()
    model.load_state_dict(loaded.state_dict())
    tokens = torch.tensor(entries["tokens"])
    logits, _ = model(tokens[:, :-1])
    assert_close(logits, torch.tensor(entries["logits"]))
    loss = model.loss(tokens[:, :-1], tokens[:, 1:])
    assert_close(loss, torch.tensor(entries["loss"]))
    loss.backward()
    gradients = load_public_language_model(with_prefix(entries, "grad."), heads=stored["heads"])
    expected = dict(gradients.named_parameters())
    for name, parameter in model.named_parameters():
        assert_close(parameter.grad, expected[name])


def test_the_notebooks_model_steps_as_it_reads():
    stored, entries = load_golden(NOTEBOOK)
    model = load_public_language_model(with_prefix(entries, "param."), heads=stored["heads"])
    tokens = torch.tensor(entries["tokens"])
    made = generate(model, tokens[:, :1], max_tokens=128, forced=tokens[:, 1:], keep_logits=True)
    assert_close(made.logits, torch.tensor(entries["logits"]))


def notebook_weights():
    return with_prefix(load_golden(NOTEBOOK)[1], "param.")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.pop("ln_f.bias"), r"missing 'ln_f.bias' \(32,\)"),
        (lambda w: w.update(more=w["ln_f.bias"]), "unexpected 'more'"),
        (lambda w: w.pop("blocks.1.qkv.bias"), r"missing 'sva.q.bias' \(32,\)"),
        (lambda w: w.update({"blocks.7.norm1.weight": w["ln_f.bias"]}), r"got blocks \[0, 1, 2, 3"),
        (lambda w: w.pop("token_embedding_table.weight"), "lack 'token_embedding_table.weight'"),
    ],
)
def test_what_is_wrong_with_a_notebooks_entries_is_told(change, words):
    weights = notebook_weights()
    change(weights)
    with pytest.raises(ValueError, match=words):
        load_public_language_model(weights, heads=4)
