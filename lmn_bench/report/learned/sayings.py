"""Every sentence that a report can say of models that learned, and when it may be said.

A test holds this list complete: each has data where it is said, and data where it must not be.
"""

from __future__ import annotations

from lmn_bench.analysis.templates import Template


class Saying(Template):
    """A sentence."""

    # Of a run.
    NOTHING_YET = "Nothing was learned yet: no training of this run has ended."
    NOTHING_ENDED_WELL = (
        "No training ended well ({ends}): there is no score (see “{section}” in the report)."
    )
    NO_INTERVAL = "No score has an interval ({why})."
    DIVERGED = "Diverged: {rates}."
    # Of a setting.
    NO_SCORE_OF = "{place}: no score of {models}."
    NONE_ENDED_WELL = "{place}: no training ended well: {models}."

    # Of a text. LOWEST: better than every other model, each by an interval that excludes 0.
    ALONE = "{place}: {model} has a validation loss of {score} after {budget}."
    LOWEST = "{place}: {model} has the lowest validation loss{among}, {score}{own} after {budget}."
    LOWEST_MEAN = (
        "{place}: the lowest mean validation loss{among} is {model}'s, {score}{own} after "
        "{budget}; that it learned better than {open} is not shown."
    )
    # The interval of the difference excludes 0; or there is none, or it holds 0; or no seed of two
    # or more differs at all.
    TEXT_BETTER = "{place}: {model} learned better than {other}: {how}."
    TEXT_WORSE = "{place}: {model} learned worse than {other}: {how}."
    TEXT_OPEN = (
        "{place}: whether {model} learned better or worse than {other} cannot be told ({why}): "
        "{how}."
    )
    TEXT_SAME = "{place}: {model} and {other} came out the same in every seed, {how}."

    # Of a task; likewise.
    TASK_ALONE = "{place}: {score}."
    TASK_BETTER = (
        "{place}: {score}; the highest mean of the others: {others_score}; {model} is better: "
        "{how}."
    )
    TASK_WORSE = (
        "{place}: {score}; the highest mean of the others: {others_score}; {model} is worse: {how}."
    )
    TASK_OPEN = (
        "{place}: {score}; the highest mean of the others: {others_score}; which of the two is "
        "better cannot be told ({why}): {model} has {how}."
    )
    TASK_SAME = (
        "{place}: {score}; the highest mean of the others: {others_score}; both came out the same "
        "in every seed, {how}."
    )
    # Counted by seed, so that it is what was seen and no more.
    STATE_ENDS = "With a state that grows as log n, {model} {ends}."
    CAN_BE_LEARNED = "{place} can be learned within the budget: {models}."
    NOBODY = (
        "No model solved {tasks} within the budget, in any seed: that says nothing about the "
        "state; a longer training, or another learning rate, may."
    )


class End(Template):
    """How the seeds of a model ended in a task, as a part of a sentence."""

    SOLVED = "solved {task} in {count}"
    FAILED = "failed {task} in {count}"
    BOTH = "solved {task} in {count}, failing it in {failed}"
    NEITHER = "neither solved nor failed {task} in {count}"
