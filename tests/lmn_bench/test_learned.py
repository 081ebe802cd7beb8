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


def test_an_interval_is_students_t_of_a_models_own_seeds():
    records = [*group({"lmn": 2.0}, 0.1), *group({"gru": 3.0}, 0.5),
               *group({"lmn": 2.1}, 0.9, rate=3e-3)]  # fmt: skip
    score = only(records).score("lmn")
    assert score.high - score.estimate == pytest.approx(stats.t.ppf(0.975, 2) * 0.1 / 3**0.5)


def by_seed(subject, scores, **rest):
    return [trained(lesson_case(subject, **rest), seed, score) for seed, score in scores.items()]


@pytest.mark.parametrize("seeds", [2, 3])
def test_differences_are_taken_seed_by_seed(seeds):
    ours = dict(enumerate([2.0, 2.4, 2.2][:seeds]))
    theirs = {seed: score - 0.1 - 0.01 * seed for seed, score in ours.items()}
    found = only([*by_seed("lmn", ours), *by_seed("gru", theirs)]).difference("lmn", "gru")
    expected = stats.ttest_1samp([ours[s] - theirs[s] for s in ours], 0.0).confidence_interval(0.95)
    assert (found.value.low, found.value.high) == pytest.approx(tuple(expected))
    assert (found.paired, found.seeds) == (True, (seeds, seeds))


def test_only_seeds_that_both_have_are_paired():
    found = only([*by_seed("lmn", {0: 2.0, 1: 2.4, 5: 9.0}), *by_seed("gru", {0: 1.9, 1: 2.2})])
    difference = found.difference("lmn", "gru")
    assert difference.value.estimate == pytest.approx(0.15)
    assert difference.seeds == (2, 2)


def test_seeds_in_no_pairs_are_compared_by_welchs_interval():
    ours, theirs = {0: 2.0, 1: 2.4, 2: 2.1}, {3: 1.9, 4: 1.8}
    found = only([*by_seed("lmn", ours), *by_seed("gru", theirs)]).difference("lmn", "gru")
    expected = stats.ttest_ind(
        list(ours.values()), list(theirs.values()), equal_var=False
    ).confidence_interval(0.95)
    assert (found.value.low, found.value.high) == pytest.approx(tuple(expected))
    assert (found.paired, found.seeds) == (False, (3, 2))


def test_other_rates_are_no_part_of_an_interval():
    alone = [*group({"lmn": 2.3, "gru": 2.2})]
    rated = [*alone, *group({"lmn": 2.9, "gru": 3.9}, 0.4, rate=1e-2)]
    assert only(rated).difference("lmn", "gru") == only(alone).difference("lmn", "gru")


def test_a_rate_of_one_seed_is_no_match_for_one_of_several():
    found = only([*group({"lmn": 2.3}), trained(lesson_case(rate=3e-3), 0, 2.0)])
    assert found.best("lmn").learning_rate == 1e-3


def test_seeds_that_agree_to_the_last_digit_give_no_interval():
    found = only([*by_seed("lmn", {0: 1.0, 1: 1.0}, task="copy-16"),
                  *by_seed("gru", {0: 0.9, 1: 0.9}, task="copy-16")])  # fmt: skip
    assert found.score("lmn").high is None
    assert found.difference("lmn", "gru").verdict == "cannot tell"


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
    assert not found.repeated
    assert difference.value.low is None
    assert difference.verdict == "cannot tell"


def test_one_seed_beside_repeated_ones_has_no_interval():
    found = only([*group({"lmn": 2.3}), trained(lesson_case("gru"), 0, 2.1)])
    assert found.repeated
    assert found.score("gru").high is None
    difference = found.difference("gru", "lmn")
    assert (difference.value.high, difference.seeds, difference.paired) == (None, (1, 3), False)


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
