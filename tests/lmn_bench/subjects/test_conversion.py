"""Users' models in the type asked for: what is converted, what stays, and what is said of it."""

from __future__ import annotations

import torch
from torch import nn

from lmn_bench.subjects.conversion import convert

CPU = torch.device("cpu")


class Holding(nn.Module):
    """Weights, and buffers of the types given."""

    def __init__(self, weights=torch.float32, **buffers):
        super().__init__()
        if weights is not None:
            self.map = nn.Linear(2, 2, dtype=weights)
        for name, value in buffers.items():
            self.register_buffer(name, value)


def test_real_numbers_follow_the_type_without_a_word():
    model = Holding(scale=torch.ones(2))
    assert convert(model, torch.bfloat16, CPU) == []
    assert model.map.weight.dtype is torch.bfloat16
    assert model.scale.dtype is torch.bfloat16


def test_complex_numbers_keep_their_imaginary_part_and_are_told():
    model = Holding(turns=torch.tensor([1j, 2 + 3j]))
    assert convert(model, torch.bfloat16, CPU) == ["turns stayed complex64, asked for: bfloat16"]
    assert model.turns.tolist() == [1j, 2 + 3j]


def test_complex_numbers_follow_to_the_wider_type():
    model = Holding(turns=torch.tensor([1j]))
    assert convert(model, torch.float64, CPU) == []
    assert model.turns.dtype is torch.complex128


def test_integers_and_bools_stay_what_they_are():
    model = Holding(places=torch.arange(3), mask=torch.ones(3, dtype=torch.bool))
    assert convert(model, torch.float64, CPU) == []
    assert (model.places.dtype, model.mask.dtype) == (torch.int64, torch.bool)


def test_a_model_that_was_made_in_the_type_keeps_what_its_maker_kept_wide():
    model = Holding(torch.bfloat16, table=torch.ones(2))
    assert convert(model, torch.bfloat16, CPU) == ["table stayed float32, asked for: bfloat16"]
    assert model.table.dtype is torch.float32


def test_another_type_than_torchs_own_was_chosen_and_its_loss_is_told():
    model = Holding(torch.float64)
    told = convert(model, torch.float32, CPU)
    assert told == ["weights of float64 were converted to float32"]


def test_without_weights_buffers_follow_the_inputs():
    model = Holding(None, table=torch.ones(2))
    assert convert(model, torch.float64, CPU) == []
    assert model.table.dtype is torch.float64


def test_many_that_stayed_are_told_by_the_first_few():
    tables = {f"table{n}": torch.ones(1) for n in range(5)}
    (told,) = convert(Holding(torch.bfloat16, **tables), torch.bfloat16, CPU)
    assert told == "table0, table1, table2 … stayed float32, asked for: bfloat16"
