"""Users' own models between an embedding and a head."""

from __future__ import annotations

import itertools
import sys
import textwrap

import pytest
import torch

from lmn_bench.errors import SubjectError
from lmn_bench.schema import ModelSpec
from lmn_bench.subjects.learners import build_learner

SPEC = ModelSpec(width=8, heads=2)
_numbers = itertools.count()

MODELS = """
    import torch
    from torch import nn

    class Given(nn.Module):
        def __init__(self, function):
            super().__init__()
            self.function = function
            self.map = nn.Linear(8, 8)

        def forward(self, x):
            return self.function(self.map(x))

    def running_mean(x):
        return x.cumsum(1) / torch.arange(1, x.shape[1] + 1, dtype=x.dtype)[:, None]

    def mean(spec, *, dtype, device):
        return Given(running_mean)

    def gru(spec, *, dtype, device):
        return nn.GRU(spec.width, spec.width, batch_first=True)

    def dropout(spec, *, dtype, device):
        return nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5))

    def backwards(spec, *, dtype, device):
        return Given(lambda x: x.flip(1))

    def narrow(spec, *, dtype, device):
        return Given(lambda x: x[..., :3])

    def stopped(spec, *, dtype, device):
        return Given(lambda x: x.detach())

    def failing(spec, *, dtype, device):
        return Given(lambda x: x @ x)

    def no_forward(spec, *, dtype, device):
        return nn.Module()

    def no_module(spec, *, dtype, device):
        return len
"""


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Build a learner around one of `MODELS`."""
    name = f"user_learner_{next(_numbers)}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(MODELS))

    def build(factory, seed=0):
        return build_learner(
            f"{name}:{factory}", SPEC, vocabulary=11, length=20, budget=None, seed=seed,
            device=torch.device("cpu"),
        )  # fmt: skip

    yield build
    sys.modules.pop(name, None)


def random_tokens():
    return torch.randint(11, (2, 20))


@pytest.mark.parametrize("factory", ["mean", "gru"])
def test_it_learns_with_all_its_weights(make, factory):
    model, tokens = make(factory), random_tokens()
    model.loss(tokens, tokens).backward()
    assert all(weight.grad.any() for weight in model.parameters())
    asked = tokens == 3
    assert model.logits_where(tokens, asked).shape == (asked.sum(), 11)
    assert model.longest is None


def test_its_weights_are_seeded(make):
    one, same, other = (make("mean", seed).body.map.weight for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_dropout_is_at_work_in_training_and_not_in_validation(make):
    model, tokens = make("dropout"), random_tokens()
    assert model.loss(tokens, tokens) != model.loss(tokens, tokens)
    with torch.no_grad():
        assert model.loss(tokens, tokens) == model.loss(tokens, tokens)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("backwards", "looks at later tokens"),
        ("narrow", r"shape \(2, 5, 3\) for torch.float32 of shape \(2, 5, 8\)"),
        ("stopped", "no gradient flows"),
        ("failing", r"forward raised RuntimeError: .*user_learner.*on a trial input"),
        ("no_forward", "Module, which has no forward"),
        ("no_module", "which is no torch.nn.Module"),
        ("missing", "has no 'missing'"),
    ],
)
def test_a_model_that_cannot_learn_is_refused_with_the_reason(make, factory, message):
    with pytest.raises(SubjectError, match=message) as caught:
        make(factory)
    assert caught.value.hint
