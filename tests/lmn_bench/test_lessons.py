"""What a lesson says of itself: budgets, labels, curves."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmn_bench.lessons import Budget, Learning, Lesson
from lmn_bench.schema import Case, ModelSpec
from lmn_bench.worker.learning.lesson import thinned


def case(**lesson):
    return Case("lmn", "learn", 64, model=ModelSpec(), lesson=Lesson(**lesson))


def test_a_budget_of_tokens_ends_with_the_step_that_reaches_it():
    assert Budget(1000, "steps").steps(4, 64) == 1000
    assert Budget(256, "tokens").steps(4, 64) == 1
    assert Budget(257, "tokens").steps(4, 64) == 2
    assert Budget(60, "s").steps(4, 64) is None


@pytest.mark.parametrize(
    "change",
    [
        {"task": "mqar-64"},
        {"corpus_sha256": "b" * 64},
        {"tokens": "bytes"},
        {"learning_rate": 3e-3},
        {"budget": Budget(2000)},
        {"budget": Budget(1000, "tokens")},
        {"parameters": 71_489},
        {"tie_weights": True},
        {"weight_decay": 0.1},
        {"gradient_clip": 1.0},
        {"examples": 64},
        {"enough_accuracy": 0.99},
    ],
)
def test_a_case_of_another_lesson_has_another_id(change):
    lesson = {"corpus_sha256": "a" * 64, "tokens": "characters"}
    assert case(**lesson).id != case(**{**lesson, **change}).id


def test_two_names_of_one_text_are_one_case():
    one = case(corpus="tinyshakespeare", corpus_sha256="a" * 64)
    other = case(corpus="plays.txt", corpus_sha256="a" * 64)
    assert one.id == other.id
    assert one == other


def test_a_task_has_no_corpus_and_a_text_no_accuracy_to_reach():
    learning = Learning(corpus_sha256="a" * 64, enough_accuracy=0.99)
    assert learning.lesson("mqar-64", 1e-3).corpus_sha256 == ""
    assert learning.lesson("mqar-64", 1e-3).enough_accuracy == 0.99
    assert learning.lesson("text", 1e-3).enough_accuracy is None


def test_a_case_comes_back_from_plain_data():
    from dataclasses import asdict

    stored = case(budget=Budget(7, "s"))
    assert Case.from_dict(asdict(stored)) == stored
    assert Case.from_dict(asdict(replace(stored, lesson=None))).lesson is None


@given(st.lists(st.floats(0, 10), min_size=1, max_size=900))
def test_a_thinned_curve_is_short_ends_at_the_last_step_and_keeps_the_mean(losses):
    points = thinned(losses)
    assert len(points) <= 200
    assert points[-1][0] == len(losses)
    steps = [0, *(step for step, _ in points)]
    weighed = sum(
        mean * (last - first)
        for (_, mean), first, last in zip(points, steps, steps[1:], strict=False)
    )
    assert weighed == pytest.approx(sum(losses), abs=1e-5 * len(losses))
