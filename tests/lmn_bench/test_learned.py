"""Trainings set side by side: grouping, the best rate, intervals, verdicts, curves."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from learned_helpers import (
    LEARNING,
    OTHER_SHA,
    diverged,
    group,
    learned_run,
    lesson_case,
    trained,
)
from scipy import stats

from lmn_bench.analysis.learned import learned_settings
from lmn_bench.analysis.learning_curves import learning_curve
from lmn_bench.analysis.spreads import pooled_spread
from lmn_bench.lessons import Budget
from lmn_bench.schema import ModelSpec, Outcome, Record

OTHER_TEXT = replace(LEARNING, corpus_name="plays", corpus_sha256=OTHER_SHA)


def only(records):
    (found,) = learned_settings(records)
    return found


@pytest.mark.parametrize("change", [
    {"learning": OTHER_TEXT},
    {"learning": replace(LEARNING, tokens_name="bytes")},
    {"learning": replace(LEARNING, budget=Budget(1000, "tokens"))},
    {"learning": replace(LEARNING, parameters=None)},
    {"learning": replace(LEARNING, weight_decay=0.1)},
    {"task": "mqar-64"},
    {"length": 256},
    {"threads": 2},
    {"model": ModelSpec(width=64)},
])  # fmt: skip
def test_only_equal_lessons_are_set_side_by_side(change):
    records = [trained(lesson_case("lmn")), trained(lesson_case("gru", **change))]
    assert [one.subjects for one in learned_settings(records)] == [["lmn"], ["gru"]]


def test_two_names_of_one_text_are_one_setting():
    renamed = replace(LEARNING, corpus_name="the same")
    records = [trained(lesson_case("lmn")), trained(lesson_case("gru", learning=renamed))]
    assert only(records).subjects == ["lmn", "gru"]


def test_the_best_rate_has_the_lowest_loss_and_the_highest_accuracy():
    text = [trained(lesson_case(rate=r), score=s) for r, s in ((1e-3, 2.2), (3e-3, 2.1))]
    assert only(text).best("lmn").learning_rate == 3e-3
    task = [trained(lesson_case(task="mqar-64", rate=r), score=s) for r, s in
            ((1e-3, 0.9), (3e-3, 0.8))]  # fmt: skip
    assert only(task).best("lmn").learning_rate == 1e-3


def test_a_rate_that_diverged_once_loses_to_one_that_did_not():
    records = [
        *group({"lmn": 2.5}),
        trained(lesson_case(rate=3e-3), 0, 2.0),
        diverged(lesson_case(rate=3e-3), 1),
    ]
    found = only(records)
    assert found.best("lmn").learning_rate == 1e-3
    assert [attempt.diverged for attempt in found.of("lmn")] == [0, 1]


def test_where_every_rate_diverged_in_some_seed_the_best_of_them_counts():
    records = [
        record
        for rate, score in ((1e-3, 2.2), (3e-3, 2.1))
        for record in (
            trained(lesson_case(rate=rate), 0, score),
            diverged(lesson_case(rate=rate), 1),
        )
    ]
    assert only(records).best("lmn").learning_rate == 3e-3


def test_the_spread_is_pooled_over_models_and_rates():
    groups = [(1.0, 1.2, 1.1), (2.0, 2.4), (5.0,)]
    spread = pooled_spread(groups)
    squares = 0.02 + 0.08
    assert spread.freedom == 3
    assert spread.deviation == pytest.approx(math.sqrt(squares / 3))
    expected = stats.t.ppf(0.975, 3) * spread.deviation * math.sqrt(1 / 3 + 1 / 2)
    assert spread.half_width(3, 2) == pytest.approx(expected)


def test_a_difference_beyond_the_spread_of_seeds_is_a_verdict_either_way():
    found = only(group({"lmn": 2.3, "transformer": 2.2, "gru": 2.4}))
    assert found.difference("lmn", "transformer").verdict == "worse"
    assert found.difference("lmn", "gru").verdict == "better"
    task = only(group({"lmn": 0.3, "transformer": 0.9}, task="mqar-64"))
    assert task.difference("lmn", "transformer").verdict == "worse"


def test_a_difference_within_the_spread_cannot_be_told():
    found = only(group({"lmn": 2.3, "transformer": 2.301}, spread=0.02))
    assert found.difference("lmn", "transformer").verdict == "cannot tell"


def test_one_seed_gives_no_interval_and_no_verdict():
    found = only(group({"lmn": 2.3, "transformer": 1.0}, seeds=1))
    difference = found.difference("lmn", "transformer")
    assert found.spread is None
    assert difference.value.low is None
    assert difference.verdict == "cannot tell"


def test_one_seed_beside_repeated_ones_has_a_wider_interval():
    records = [*group({"lmn": 2.3}), trained(lesson_case("gru"), 0, 2.1)]
    found = only(records)
    half = {s: found.score(s).high - found.score(s).estimate for s in ("lmn", "gru")}
    assert half["gru"] == pytest.approx(math.sqrt(3) * half["lmn"])
    assert found.difference("gru", "lmn").seeds == (1, 3)


def test_a_score_that_is_no_number_is_none():
    records = [trained(lesson_case(), 0, 2.0), trained(lesson_case(), 1, math.nan)]
    assert only(records).best("lmn").scores == (2.0,)


def test_models_without_a_score_are_named_but_not_ranked():
    found = only([*group({"lmn": 2.3}), diverged(lesson_case("gru"))])
    assert found.subjects == ["lmn", "gru"]
    assert found.finished == ["lmn"]
    assert found.difference("gru", "lmn") is None


def test_a_curve_has_the_mean_and_the_range_over_seeds():
    (attempt,) = only([trained(lesson_case(), 0, 2.0), trained(lesson_case(), 1, 2.2)]).attempts
    last = learning_curve(attempt, "loss")[-1]
    assert (last.step, last.low, last.high, last.seeds) == (1000, 2.0, 2.2, 2)
    assert last.mean == pytest.approx(2.1)
    assert last.seconds == pytest.approx(10.0)


def test_a_seed_that_ended_early_because_it_was_good_enough_stays_so():
    enough = replace(LEARNING, enough_accuracy=0.9)
    of = lesson_case(task="mqar-64", learning=enough)
    early, late = trained(of, 0, 0.95), trained(of, 1, 0.5)
    early = replace(early, learned=replace(early.learned, steps=250,
                                           validation=((250, 0.1, 0.95),)))  # fmt: skip
    (attempt,) = only([early, late]).attempts
    assert [point.high for point in learning_curve(attempt, "accuracy")] == [0.95] * 4


def test_a_step_that_a_seed_lacks_is_left_out():
    one, two = trained(lesson_case(), 0), trained(lesson_case(), 1)
    two = replace(two, learned=replace(two.learned, validation=two.learned.validation[:2]))
    (attempt,) = only([one, two]).attempts
    assert [point.step for point in learning_curve(attempt, "loss")] == [250, 500]


def test_runs_that_learn_know_it_even_without_records():
    assert learned_run([]).learns


def test_records_of_other_modes_are_left_alone():
    other = Record.of(replace(lesson_case(), mode="train", lesson=None), 0, Outcome.OK)
    assert learned_settings([other]) == []
