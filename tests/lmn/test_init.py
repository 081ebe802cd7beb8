"""Every named scheme draws what its docstring says, for every summarizer, and can be repeated."""

import pytest
import torch
from lmn_helpers import ONE_OF_EACH, name_of, random_tokens

from lmn import LMNConfig, LMNLanguageModel, LMNLanguageModelConfig
from lmn.config import INITS
from lmn.init import SCHEMES

WIDE = LMNConfig(width=64, heads=4, banks=2)


def model_of(init, block=WIDE, seed=0, **settings):
    torch.manual_seed(seed)
    config = LMNLanguageModelConfig(vocabulary=65, layers=2, block=block, init=init, **settings)
    return LMNLanguageModel(config)


def merged(model, left, right):
    """Both banks' parents of tokens (number, width): (banks, number, width)."""
    pairs = torch.stack([left, right], dim=1)[None, :, :, None]
    parents = model.layers[0].memory.summarizer.merge_by_bank(pairs)
    return parents.detach()[:, :, 0, 0]


def test_every_name_has_a_scheme_with_words_about_it():
    assert tuple(SCHEMES) == INITS
    assert all(scheme.__doc__ for scheme in SCHEMES.values())


@pytest.mark.parametrize("block", ONE_OF_EACH, ids=name_of)
@pytest.mark.parametrize("init", INITS)
def test_every_scheme_fits_every_summarizer_and_can_be_repeated(init, block):
    one, other = model_of(init, block), model_of(init, block)
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    tokens = random_tokens(2, 130, vocabulary=65)
    loss = one.loss(tokens[:, :-1], tokens[:, 1:])
    loss.backward()
    # a model that knows nothing is about as good as a uniform guess, ln 65 = 4.17
    assert 3.9 < loss < 5.2
    assert all(p.grad.isfinite().all() for p in one.parameters())


@pytest.mark.parametrize(
    ("init", "gain"),
    [
        ("published", 0.0175),  # 0.1 * sqrt(2 / (2 * 64^2 + 2 * 64)) * sqrt(2 * 64)
        ("variance_preserving", 1.0),
        ("damped", 0.5),
        ("faint", 0.25),
        ("sharp", 0.5),
        ("rotation", 1.0),
        ("averaging", 0.71),
    ],
)
def test_a_merge_of_independent_tokens_has_the_gain_that_is_told(init, gain):
    model = model_of(init)
    with torch.no_grad():
        for bias in (block.memory.summarizer.bias for block in model.layers):
            bias.zero_()
    left, right = torch.randn(2, 500, 64)
    assert merged(model, left, right).std().item() == pytest.approx(gain, rel=0.05)


def test_averaging_keeps_what_children_share():
    token = torch.randn(50, 64)
    for bank in merged(model_of("averaging"), token, token):
        assert torch.cosine_similarity(bank, token).min() > 0.95
        torch.testing.assert_close(bank.norm(), token.norm(), rtol=0.05, atol=0)


def test_recency_makes_later_banks_lean_to_the_right():
    left, right = torch.randn(2, 50, 64)
    even, late = merged(model_of("recency"), left, right)
    torch.testing.assert_close(even, (left + right) / 2, atol=0.6, rtol=0)
    torch.testing.assert_close(late, left / 4 + 3 * right / 4, atol=0.6, rtol=0)


@pytest.mark.parametrize("init", ["rotation", "turning"])
def test_rotation_keeps_every_norm(init):
    zero, token = torch.zeros(50, 64), torch.randn(50, 64)
    for children in ((zero, token), (token, zero)):
        for bank in merged(model_of(init), *children):
            torch.testing.assert_close(bank.norm(dim=1) * 2**0.5, token.norm(dim=1))


def test_published_training_begins_where_the_notebook_begins():
    losses = []
    for seed in range(8):
        model = model_of("published", LMNConfig(width=32, heads=4, banks=2), seed)
        tokens = random_tokens(4, 129, vocabulary=65)
        losses.append(model.loss(tokens[:, :-1], tokens[:, 1:]).item())
    assert sum(losses) / 8 == pytest.approx(4.3431, abs=0.05)  # its loss at step 0


def test_published_biases_are_drawn_and_others_are_zero():
    bias = model_of("published").layers[0].memory.summarizer.bias
    assert bias.std().item() == pytest.approx(0.1 * (2 / (3 * 64)) ** 0.5, rel=0.3)
    assert not model_of("default").layers[0].memory.summarizer.bias.any()


@pytest.mark.parametrize("init", ["quiet", "turning"])
def test_quiet_blocks_begin_by_adding_nothing(init):
    model = model_of(init)
    x = torch.randn(2, 9, 64)
    for block in model.layers:
        assert torch.equal(block(x)[0], x)
    assert model.embedding.weight.std().item() == pytest.approx(0.1, rel=0.1)


def test_tied_weights_begin_with_logits_of_variance_one():
    model = model_of("default", tie_weights=True)
    logits, _ = model(random_tokens(2, 100, vocabulary=65))
    assert logits.std().item() == pytest.approx(1, rel=0.3)
