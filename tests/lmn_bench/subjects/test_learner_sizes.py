"""What is worked out about learners from their sizes alone, against the real models."""

from __future__ import annotations

import pytest
import torch

from lmn_bench.errors import SubjectError, UnknownNameError
from lmn_bench.schema import ModelSpec
from lmn_bench.subjects.learner_sizes import (
    learner_feedforward_width,
    learner_parameters,
    learner_state_bytes,
)
from lmn_bench.subjects.learners import build_learner
from lmn_bench.subjects.names import LEARNERS, LMN_FAMILY, split_init
from lmn_bench.subjects.sizes import PARAMETER_TOLERANCE

# The published model of characters.
PUBLISHED = ModelSpec(width=32, heads=4, layers=4, banks=2)
VOCABULARY, LENGTH, BUDGET = 65, 512, 71_489
each_learner = pytest.mark.parametrize("name", list(LEARNERS))


def width_of(
    name, spec=PUBLISHED, vocabulary=VOCABULARY, length=LENGTH, budget=None, *, tied=False
):
    return learner_feedforward_width(
        name, spec, vocabulary=vocabulary, length=length, budget=budget, tied=tied
    )


def built(name, spec=PUBLISHED, vocabulary=VOCABULARY, length=LENGTH, budget=None, *, tied=False):
    return build_learner(
        name, spec, vocabulary=vocabulary, length=length, budget=budget, seed=0,
        device=torch.device("cpu"), tied=tied,
    )  # fmt: skip


@each_learner
@pytest.mark.parametrize("budget", [BUDGET, None], ids=["published", "that of lmn"])
def test_every_learner_has_the_parameters_of_the_published_model_within_a_percent(name, budget):
    counted = sum(weight.numel() for weight in built(name, budget=budget).parameters())
    inner = width_of(name, budget=budget)
    assert counted == learner_parameters(name, PUBLISHED, VOCABULARY, LENGTH, inner)
    assert abs(counted - BUDGET) <= PARAMETER_TOLERANCE * BUDGET


@each_learner
def test_it_keeps_to_a_budget_at_other_sizes(name):
    spec = ModelSpec(width=24, heads=2, layers=3, banks=1, expansion=1)
    model = built(name, spec, vocabulary=200, length=33, budget=40_000)
    counted = sum(weight.numel() for weight in model.parameters())
    inner = width_of(name, spec, 200, 33, 40_000)
    assert counted == learner_parameters(name, spec, 200, 33, inner)
    assert abs(counted - 40_000) <= PARAMETER_TOLERANCE * 40_000


@each_learner
def test_a_tied_table_is_counted_once_and_as_loud_as_logits_need(name):
    model = built(name, tied=True)
    assert model.head.weight is model.embedding.weight
    assert model.embedding.weight.std().item() == pytest.approx(PUBLISHED.width**-0.5, rel=0.1)
    counted = sum(weight.numel() for weight in model.parameters())
    inner = width_of(name, tied=True)
    assert counted == learner_parameters(name, PUBLISHED, VOCABULARY, LENGTH, inner, tied=True)
    saved = BUDGET - VOCABULARY * PUBLISHED.width
    assert abs(counted - saved) <= PARAMETER_TOLERANCE * saved


def test_the_reference_is_lmn_with_four_times_its_width():
    assert width_of("lmn") == 4 * PUBLISHED.width
    assert learner_parameters("lmn", PUBLISHED, VOCABULARY, LENGTH, 128) == BUDGET


def test_only_learned_positions_take_room_for_the_length():
    for name in LEARNERS:
        longer = learner_parameters(name, PUBLISHED, VOCABULARY, LENGTH + 10, 100)
        more = longer - learner_parameters(name, PUBLISHED, VOCABULARY, LENGTH, 100)
        assert more == (10 * PUBLISHED.width if name == "transformer-learned" else 0)


@each_learner
@pytest.mark.parametrize("tokens", [1, 32, 41])
def test_bytes_of_state_are_those_of_the_state_after_a_prompt(name, tokens):
    model = built(name)
    with torch.inference_mode():
        _, state = model.prefill(torch.zeros(1, tokens, dtype=torch.int64))
    kept = state.nbytes if name in LMN_FAMILY else model.state_bytes(state)
    assert learner_state_bytes(name, PUBLISHED, tokens) == kept


def test_a_budget_that_no_width_meets_is_refused_with_the_nearest_one():
    with pytest.raises(SubjectError, match=r"10,000 parameters .* than 38,469") as caught:
        width_of("lmn", budget=10_000)
    assert caught.value.hint == (
        "leave parameters out, for as many as lmn has, or set parameters = 38469"
    )
    assert learner_parameters("lmn", PUBLISHED, VOCABULARY, LENGTH, 1) == 38_469


def test_how_weights_are_drawn_makes_no_difference_to_sizes():
    assert width_of("lmn@published", budget=80_000) == width_of("lmn", budget=80_000)
    assert learner_state_bytes("lmn@rotation", PUBLISHED, 9) == learner_state_bytes(
        "lmn", PUBLISHED, 9
    )


@pytest.mark.parametrize(
    ("subject", "parts"),
    [
        ("lmn", ("lmn", "default")),
        ("lmn@published", ("lmn", "published")),
        ("lmn-expander@rotation", ("lmn-expander", "rotation")),
        ("lmn-published", ("lmn-published", "published")),
        ("lmn-published@default", ("lmn-published", "default")),
        ("lstm", ("lstm", "default")),
        ("mine:make", ("mine:make", "default")),
    ],
)
def test_a_name_says_how_weights_are_drawn(subject, parts):
    assert split_init(subject) == parts


def test_an_unknown_way_of_drawing_weights_is_refused_with_the_nearest_one():
    with pytest.raises(UnknownNameError) as caught:
        split_init("lmn@publish")
    assert "'published'" in caught.value.hint


@pytest.mark.parametrize("subject", ["transformer@published", "mine:make@default"])
def test_only_an_lmn_is_told_how_its_weights_are_drawn(subject):
    with pytest.raises(SubjectError, match="only an LMN"):
        split_init(subject)


def test_an_unknown_learner_is_refused_with_the_nearest_one():
    with pytest.raises(UnknownNameError) as caught:
        width_of("transformer-learnt")
    assert "'transformer-learned'" in caught.value.hint
