"""Public weights load as tensors or arrays, and wrong ones are told apart entry by entry."""

import pytest
import torch
from lmn_helpers import BLOCK_FILES, load_golden, with_prefix

from lmn import load_public_block


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
