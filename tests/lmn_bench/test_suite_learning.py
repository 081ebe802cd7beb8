"""Suites that learn: what they may say, and every mistake with its place."""

from __future__ import annotations

import pytest

from lmn_bench.environment import read_environment
from lmn_bench.errors import SuiteError
from lmn_bench.lessons import Budget
from lmn_bench.plan import all_cases, plan
from lmn_bench.suite import Override, builtin_suites, load_suite, parse_suite

TEXT = {"modes": "learn", "subjects": ["lmn", "gru"], "lengths": 64}
RECALL = {"modes": "learn", "subjects": "lmn", "task": ["mqar-64", "copy-16"]}


def parse(*sweeps, learning=None, overrides=(), **tables):
    learning = {"steps": 10} if learning is None else learning
    data = {"name": "made-up", "sweep": list(sweeps), "learning": learning, **tables}
    return parse_suite(data, "made-up.toml", overrides)


def problems(*sweeps, **rest):
    with pytest.raises(SuiteError) as caught:
        parse(*sweeps, **rest)
    return [(problem.place, problem.message) for problem in caught.value.problems]


def test_a_case_per_model_task_and_learning_rate():
    suite = parse({**TEXT, "learning_rate": [1e-3, 3e-3]}, RECALL)
    cases = all_cases(suite)
    assert [(c.subject, c.lesson.task, c.length, c.lesson.learning_rate) for c in cases] == [
        ("lmn", "text", 64, 1e-3), ("gru", "text", 64, 1e-3),
        ("lmn", "text", 64, 3e-3), ("gru", "text", 64, 3e-3),
        ("lmn", "mqar-64", 64, 1e-3), ("lmn", "copy-16", 32, 1e-3),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "budget"),
    [
        ({"steps": 7}, Budget(7, "steps")),
        ({"token_budget": 4096}, Budget(4096, "tokens")),
        ({"time_budget_s": 60.0}, Budget(60.0, "s")),
    ],
)
def test_a_budget_is_steps_tokens_or_seconds(table, budget):
    assert parse(TEXT, learning=table).learning.budget == budget


@pytest.mark.parametrize("table", [{}, {"steps": 7, "time_budget_s": 60.0}])
def test_a_suite_that_learns_says_for_how_long_once(table):
    ((place, _),) = problems(TEXT, learning=table)
    assert place == "learning"


def test_an_option_takes_the_place_of_a_budget_in_another_unit():
    suite = parse(
        TEXT, learning={"time_budget_s": 60.0}, overrides=[Override("--steps", "steps", 5)]
    )
    assert suite.learning.budget == Budget(5, "steps")


@pytest.mark.parametrize(
    ("sweep", "options", "place"),
    [
        (TEXT, {"--steps": ("steps", 5), "--set token_budget": ("token_budget", 9)},
         "--steps and --set token_budget"),
        (RECALL, {"--corpus": ("corpus", "a.txt")}, "--corpus"),
        (RECALL, {"--set tokens": ("tokens", "bytes")}, "--set tokens"),
        (TEXT, {"--set enough_accuracy": ("enough_accuracy", 0.9)}, "--set enough_accuracy"),
    ],
)  # fmt: skip
def test_an_option_that_nothing_would_heed_is_refused(sweep, options, place):
    overrides = [Override(option, *given) for option, given in options.items()]
    ((told, _),) = problems(sweep, overrides=overrides)
    assert told == place


def test_a_budget_of_parameters_that_no_model_can_have_is_planned_as_skipped():
    suite = parse(
        {"modes": "learn", "subjects": "lmn", "task": ["mqar-64", "copy-16"]},
        learning={"steps": 10, "parameters": 40_000},
    )
    recall, copying = plan(suite, read_environment())
    assert "cannot have 40,000 parameters" in recall.skip
    assert "leave parameters out" in recall.skip
    assert copying.skip is None


@pytest.mark.parametrize(
    ("sweeps", "rest", "place"),
    [
        ([{**TEXT, "modes": ["learn", "train"]}], {}, "sweep[0].modes"),
        ([TEXT, {**TEXT, "modes": "train"}], {}, "sweep[1].modes"),
        ([TEXT], {"measuring": {"processes": 3}}, "measuring.processes"),
        ([{**TEXT, "dtype": "bfloat16"}], {}, "sweep[0].dtype"),
        ([{**TEXT, "memory_cap": "64MiB"}], {}, "sweep[0].memory_cap"),
        ([{**TEXT, "compile": True}], {}, "sweep[0].compile"),
        ([{**RECALL, "lengths": 64}], {}, "sweep[0].lengths"),
        ([{**TEXT, "task": "mqar-65"}], {}, "sweep[0].task[0]"),
        ([{**TEXT, "subjects": "lmn@publishd"}], {}, "sweep[0].subjects[0]"),
        ([{**TEXT, "subjects": "gru@published"}], {}, "sweep[0].subjects[0]"),
        ([{"modes": "learn", "subjects": "lmn"}], {}, "sweep[0].lengths"),
    ],
)
def test_a_mistake_is_told_with_its_place(sweeps, rest, place):
    assert problems(*sweeps, **rest)[0][0] == place


def test_learning_settings_need_a_sweep_that_learns():
    ((place, message),) = problems({**TEXT, "modes": "train"})
    assert (place, message) == ("learning", "no sweep of this suite learns")


@pytest.mark.parametrize("subject", ["lmn@published", "transformer-learned"])
def test_models_that_only_learn_are_not_timed(subject):
    with pytest.raises(SuiteError) as caught:
        parse_suite({"name": "timed", "sweep": [{"modes": "train", "lengths": 8,
                                                 "subjects": subject}]}, "timed.toml")  # fmt: skip
    assert caught.value.problems[0].message == f"{subject} is for mode learn alone"


def test_options_of_learning_are_refused_where_nothing_learns():
    with pytest.raises(SuiteError) as caught:
        load_suite(builtin_suites()["smoke"], [Override("--steps", "steps", 5)])
    assert caught.value.problems[0].place == "--steps"


def test_the_language_suites_are_of_the_published_size():
    suite = load_suite(builtin_suites()["language"])
    assert suite.learning.parameters == 71_489
    (sweep,) = suite.sweeps
    assert (sweep.width, sweep.heads, sweep.layers, sweep.banks) == ((32,), (4,), (4,), (2,))
    assert (sweep.batch, sweep.lengths, suite.learning.budget) == ((16,), (512,), Budget(5000))
