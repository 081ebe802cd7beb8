from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from lmn_bench.errors import UsageError
from lmn_bench.learning.tasks.listops import ListOps
from lmn_bench.learning.tasks.listops_values import OPERATORS, answer_distribution, value


def flat(arguments):
    """The exact distribution of one operator on 2 to `arguments` digits, by trying them all."""
    answers = np.zeros(10)
    for count in range(2, arguments + 1):
        for operator in OPERATORS:
            for digits in product(range(10), repeat=count):
                answers[value(operator, list(digits))] += 0.1**count
    return answers / answers.sum()


@pytest.mark.parametrize(
    ("operator", "values", "result"),
    [
        ("min", [4, 2, 9], 2),
        ("max", [4, 2, 9], 9),
        ("median", [4, 2, 9], 4),
        ("median", [4, 9], 6),
        ("median", [1, 2, 3, 9], 2),
        ("sum", [4, 2, 9], 5),
    ],
)
def test_an_operator_has_its_published_value(operator, values, result):
    assert value(operator, values) == result


@pytest.mark.parametrize("arguments", [2, 3, 4])
def test_the_distribution_of_flat_expressions_is_that_of_trying_them_all(arguments):
    found = answer_distribution(2, arguments, 4, 2 + arguments)
    assert found == pytest.approx(flat(arguments), abs=1e-12)


def test_a_range_of_lengths_leaves_the_others_out():
    # Of one operator on digits, five tokens are three arguments.
    only = answer_distribution(2, 4, 5, 5)
    assert only[0] == pytest.approx((0.271 + 0.001 + 0.028 + 0.1) / 4)


@pytest.mark.parametrize("task", [ListOps(64, 16, 5, 5), ListOps(40, 4, 4, 9)])
def test_the_distribution_is_that_of_the_examples(task):
    batch = task.batch(6000, seed=0, step=0)
    found = np.bincount(batch.targets[batch.asked] - 1, minlength=10) / 6000
    assert found == pytest.approx(task.answers, abs=0.02)
    assert task.answers.sum() == pytest.approx(1)


def test_the_published_chance_is_well_above_one_in_ten():
    task = ListOps()
    assert task.chance == pytest.approx(0.1696, abs=1e-4)
    batch = task.batch(500, seed=0, step=0)
    found = np.bincount(batch.targets[batch.asked] - 1).max() / 500
    assert found == pytest.approx(task.chance, abs=0.06)


def test_lengths_stay_within_the_settings_and_depth_too():
    task = ListOps(64, 16, 4, 5)
    batch = task.batch(500, seed=0, step=0)
    ends = np.argmax(batch.asked, axis=1)
    assert (batch.inputs[batch.asked] == 16).all()
    assert 16 <= ends.min() <= ends.max() <= 63
    opened = np.isin(batch.inputs, [11, 12, 13, 14]).cumsum(axis=1)
    closed = (batch.inputs == 15).cumsum(axis=1)
    # digits are one level deeper than the operator around them
    assert (opened - closed).max() == 3
    assert (np.where(np.arange(64) > ends[:, None], batch.inputs, 0) == 0).all()


def test_an_operator_has_two_arguments_to_the_most_allowed():
    batch = ListOps(6, 4, 2, 3).batch(500, seed=0, step=0)
    assert set(np.argmax(batch.asked, axis=1).tolist()) == {4, 5}


def test_examples_that_never_come_end_in_an_error_not_a_wait():
    with pytest.raises(UsageError, match="none has 62 to 62 tokens"):
        ListOps(63, 62, 3, 8).batch(1, seed=0, step=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ListOps(depth=1), "depth: expected"),
        (lambda: ListOps(depth=21), "depth: expected"),
        (lambda: ListOps(arguments=1), "arguments: expected"),
        (lambda: ListOps(shortest=3), "shortest: expected"),
        (lambda: ListOps(length=500, shortest=500), "length: expected .* from 501"),
        (lambda: ListOps(length=10**6), "length: expected"),
        (lambda: ListOps(64, 20, 2, 10), "the longest has 12"),
    ],
)
def test_a_size_out_of_range_is_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()
