"""Lazy layers are made by one call, as torch's documentation does it, and by no more."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lmn_bench.errors import SubjectError
from lmn_bench.subjects.lazy import make_lazy_parts

CPU = torch.device("cpu")


class Lazy(nn.Module):
    """Notes the lengths that it is called with; takes multiples of `multiple`."""

    def __init__(self, multiple=1):
        super().__init__()
        self.map, self.multiple, self.lengths = nn.LazyLinear(4), multiple, []

    def forward(self, x):
        self.lengths.append(x.shape[1])
        if x.shape[1] % self.multiple:
            raise ValueError("no such length")
        return self.map(x)


def made(model, length=None):
    make_lazy_parts("it", model, 3, torch.float32, CPU, length)
    return model


def test_weights_can_be_trained_even_if_made_within_inference_mode():
    model = Lazy()
    with torch.inference_mode():
        made(model)
    assert not model.map.weight.is_inference()
    model(torch.ones(1, 2, 3)).sum().backward()
    assert model.map.weight.grad is not None


def test_the_length_asked_for_is_the_only_one_where_it_is_taken():
    assert made(Lazy(), length=7).lengths == [7]


def test_other_lengths_are_tried_until_one_is_taken():
    assert made(Lazy(multiple=64), length=7).lengths == [7, 16, 64]


def test_what_is_not_lazy_is_not_called():
    model = Lazy()
    model.map = nn.Linear(3, 4)
    assert made(model).lengths == []


def test_layers_that_no_call_makes_are_refused_with_what_was_raised():
    with pytest.raises(SubjectError, match="forward raised ValueError: no such length"):
        made(Lazy(multiple=10_000))
