"""Every sentence on models that learned: data where it is true, and data where it must not be said.

The tables here hold themselves complete: a sentence, or a part of one, without its two sets of data
fails, and so does a sentence that is made anywhere but in `sayings`.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from learned_helpers import TASKS, TEXTS, diverged, group, lesson_case, trained

from lmn_bench.analysis.learned import learned_settings
from lmn_bench.report.learned import answers, recall
from lmn_bench.report.learned.answers import learned_answers
from lmn_bench.report.learned.sayings import End, Saying
from lmn_bench.schema import Outcome, Record

CLEAR = {"lmn": 2.3, "transformer": 2.0}
NEAR = {"lmn": 2.300, "transformer": 2.301}
SHORT = {"task": "mqar-64", "length": 64}


@dataclass(frozen=True)
class Told:
    """Data that a sentence is true of, and data that do not carry it."""

    true: list[Record]
    false: list[Record]


def scores(of, *values, **rest):
    """A model with these scores of seeds 0, 1, …"""
    return [trained(lesson_case(of, **rest), seed, score) for seed, score in enumerate(values)]


def dead(of="gru", outcome=Outcome.OUT_OF_MEMORY, **rest):
    return [Record.of(lesson_case(of, **rest), 0, outcome, reason="so it was")]


def pairs(lmn, other, **rest):
    return [*scores("lmn", *lmn, **rest), *scores("transformer", *other, **rest)]


ONE_SEED = group(CLEAR, seeds=1)
ALIKE = pairs([2.0, 2.1], [2.0, 2.1])
TASK_ONE_SEED = pairs([0.1], [0.99], **SHORT)
TASK_CLEAR = pairs([0.10, 0.12, 0.11], [0.98, 0.99, 0.97], **SHORT)
TASK_OVERLAP = pairs([0.1, 0.9], [0.5, 0.45], **SHORT)

TABLE = {
    Saying.NOTHING_YET: Told([], dead()),
    Saying.NOTHING_ENDED_WELL: Told(dead(), ONE_SEED),
    Saying.NO_INTERVAL: Told(ONE_SEED, group(CLEAR)),
    Saying.DIVERGED: Told([*ONE_SEED, diverged(lesson_case("gru"))], [*ONE_SEED, *dead()]),
    Saying.NO_SCORE_OF: Told([*ONE_SEED, *dead()], ONE_SEED),
    Saying.NONE_ENDED_WELL: Told([*ONE_SEED, *dead(**SHORT)], [*ONE_SEED, *dead()]),
    Saying.ALONE: Told(group({"lmn": 2.0}), ONE_SEED),
    Saying.LOWEST: Told(group(CLEAR), ONE_SEED),
    Saying.LOWEST_MEAN: Told(ONE_SEED, group(CLEAR)),
    Saying.TEXT_BETTER: Told(group({"lmn": 2.0, "transformer": 2.3}), group(NEAR)),
    Saying.TEXT_WORSE: Told(group(CLEAR), ONE_SEED),
    Saying.TEXT_OPEN: Told(group(NEAR), ALIKE),
    # One pair of equal seeds is no evidence, nor are equal means.
    Saying.TEXT_SAME: Told(ALIKE, pairs([2.0], [2.0])),
    Saying.TASK_ALONE: Told(scores("lmn", 0.5, **SHORT), TASK_CLEAR),
    Saying.TASK_BETTER: Told(pairs([0.98, 0.99, 0.97], [0.10, 0.12, 0.11], **SHORT), TASK_OVERLAP),
    Saying.TASK_WORSE: Told(TASK_CLEAR, TASK_ONE_SEED),
    Saying.TASK_OPEN: Told(TASK_OVERLAP, TASK_CLEAR),
    Saying.TASK_SAME: Told(pairs([0.5, 0.6], [0.5, 0.6], **SHORT),
                           pairs([0.5, 0.6], [0.6, 0.5], **SHORT)),
    # Of a task that nobody solved nothing is said of a state.
    Saying.STATE_ENDS: Told(TASK_CLEAR, pairs([0.1, 0.1], [0.9, 0.2], **SHORT)),
    Saying.CAN_BE_LEARNED: Told(TASK_CLEAR, pairs([0.99, 0.99], [0.98, 0.99], **SHORT)),
    Saying.NOBODY: Told(pairs([0.1, 0.1], [0.9, 0.2], **SHORT), pairs([0.1], [0.99], **SHORT)),
}  # fmt: skip

ENDS = {
    End.SOLVED: Told(pairs([0.96, 0.7], [0.1, 0.1], **SHORT), pairs([0.94, 0.7], [0.99], **SHORT)),
    End.FAILED: Told(pairs([0.1, 0.7], [0.99], **SHORT), pairs([0.6, 0.7], [0.99], **SHORT)),
    End.BOTH: Told(pairs([0.99, 0.1], [0.5], **SHORT), pairs([0.99, 0.7], [0.5], **SHORT)),
    End.NEITHER: Told(pairs([0.7, 0.6], [0.99], **SHORT), pairs([0.7, 0.1], [0.99], **SHORT)),
}


def pattern(saying):
    """What a sentence looks like with any words in its places."""
    parts = [re.escape(part) for part in re.split(r"{\w+}", saying.value)]
    return re.compile(".*".join(parts))


def said(records):
    return list(learned_answers(learned_settings(records)))


def which(text):
    """The sentence that a text is: of those that fit, the one with the most words of its own."""
    fitting = [one for one in Saying if pattern(one).fullmatch(text)]
    return max(fitting, key=lambda one: len(re.sub(r"{\w+}", "", one.value)), default=None)


def has(saying, records):
    return saying in map(which, said(records))


def has_end(end, records):
    told = [text for text in said(records) if which(text) is Saying.STATE_ENDS and ", lmn " in text]
    parts = [part for text in told for part in text.rstrip(".").partition(", lmn ")[2].split("; ")]
    fitting = [[one for one in End if pattern(one).fullmatch(part)] for part in parts]
    return end in [max(ends, key=lambda one: len(one.value)) for ends in fitting]


def test_every_sentence_has_data_where_it_is_true_and_where_it_must_not_be_said():
    assert set(TABLE) == set(Saying)
    assert set(ENDS) == set(End)


@pytest.mark.parametrize("saying", Saying, ids=lambda one: one.name)
def test_a_sentence_is_said_where_it_is_true(saying):
    assert has(saying, TABLE[saying].true)


@pytest.mark.parametrize("saying", Saying, ids=lambda one: one.name)
def test_a_sentence_is_not_said_where_the_data_do_not_carry_it(saying):
    assert not has(saying, TABLE[saying].false)


@pytest.mark.parametrize("end", End, ids=lambda one: one.name)
def test_what_a_model_did_in_a_task_is_said_where_it_is_true_alone(end):
    assert has_end(end, ENDS[end].true)
    assert not has_end(end, ENDS[end].false)


@pytest.mark.parametrize("module", [answers, recall])
def test_sentences_are_made_in_one_place(module):
    tree = ast.parse(Path(module.__file__).read_text())
    made = [node.value for node in ast.walk(tree) if isinstance(node, ast.Yield)]
    others = [
        ast.unparse(value)
        for value in made
        if not (isinstance(value, ast.Call) and ast.unparse(value.func).startswith("Saying."))
        and ast.unparse(value) != "said(place=place_words(one, settings), models=listed(missing))"
    ]
    assert made
    assert others == []


@pytest.mark.parametrize(
    "records", [TEXTS, TASKS, *(t for told in (*TABLE.values(), *ENDS.values())
                                for t in (told.true, told.false))],
)  # fmt: skip
def test_all_that_is_said_is_in_the_list(records):
    for text in said(records):
        assert which(text) is not None, text


# ------------------------------------------------------------------ what must not be claimed


@pytest.mark.parametrize(
    "records",
    [ONE_SEED, group(NEAR), ALIKE, pairs([2.0, 2.3], [2.1, 2.25]),
     [*scores("lmn", 2.0, 2.01), *scores("gru", 1.5)]],
    ids=["one seed", "overlap", "alike", "crossing", "one seed against two"],
)  # fmt: skip
def test_no_model_is_lowest_better_or_worse_where_seeds_do_not_show_it(records):
    words = " ".join(said(records))
    assert "has the lowest" not in words
    assert "learned better than the" not in words
    assert "learned worse" not in words


def test_lowest_is_said_of_no_model_that_only_some_are_shown_to_be_above():
    words = " ".join(said(group({"lmn": 2.0, "gru": 2.001, "lstm": 2.3})))
    assert "the lowest mean validation loss is lmn's" in words
    assert "that it learned better than gru is not shown" in words


def test_a_model_without_a_score_is_no_loser():
    words = " ".join(said([*group(CLEAR), *dead(outcome=Outcome.TIMEOUT)]))
    assert "has the lowest validation loss of those with a score" in words
    assert "no score of gru" in words


def test_seeds_that_ended_badly_are_told_with_the_difference():
    records = [*group(CLEAR), diverged(lesson_case("transformer"), 3)]
    (answer,) = [text for text in said(records) if "rotary" in text]
    assert answer.endswith("of transformer 3 of 4 seeds ended well.")


def test_a_seed_without_a_score_solved_nothing():
    records = [*pairs([0.99, 0.98], [0.1, 0.1], **SHORT), diverged(lesson_case("lmn", **SHORT), 2)]
    assert "lmn solved mqar-64 in 2 of 3 seeds" in " ".join(said(records))


@pytest.mark.parametrize("task", ["mqar-64", "copy-16"])
def test_one_seed_solves_and_fails_by_count_alone(task):
    words = " ".join(said(pairs([0.1], [0.99], task=task, length=64)))
    assert f"lmn failed {task} in its one seed" in words
    assert (
        f"{task} can be learned within the budget: transformer solved it in its one seed" in words
    )
    assert not re.search(r"\b(solves|fails|solve)\b", words)


def test_chance_moves_what_failing_is():
    easy = [
        replace(r, learned=replace(r.learned, chance=0.9))
        for r in pairs([0.94, 0.94], [0.99, 0.99], **SHORT)
    ]
    assert "lmn failed mqar-64 in 2 of 2 seeds" in " ".join(said(easy))
