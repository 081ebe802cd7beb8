"""Plain solvers of the tasks: each reads one row of inputs and gives the answers by position."""

from __future__ import annotations

from lmn_bench.learning.tasks.copying import Copy, SelectiveCopying
from lmn_bench.learning.tasks.induction import InductionHeads
from lmn_bench.learning.tasks.listops import ListOps
from lmn_bench.learning.tasks.recall import MultiQueryRecall

OPERATORS = ("min", "max", "median", "sum")


def recall(task, row):
    """Which of the later tokens ask is known for zeros as filler only."""
    shown = 2 * task.pairs
    values = dict(zip(row[0:shown:2], row[1:shown:2], strict=True))
    return {place: values[key] for place, key in enumerate(row[shown:], shown) if key}


def selective_copying(task, row):
    mark = task.vocabulary_size - 1
    data = [token for token in row if token not in (0, mark)]
    marks = [place for place, token in enumerate(row) if token == mark]
    return dict(zip(marks, data, strict=True))


def copy(task, row):
    mark = row.index(task.vocabulary_size - 1)
    return dict(zip(range(mark, len(row)), row[:mark], strict=True))


def induction(task, row):
    return {len(row) - 1: row[row.index(task.vocabulary_size - 1) + 1]}


def listops(task, row):
    """Works through the tokens with a stack, unlike the generator, which recurses."""
    stack = []
    for place, token in enumerate(row):
        if 1 <= token <= 10:
            stack.append(token - 1)
        elif 11 <= token <= 14:
            stack.append(OPERATORS[token - 11])
        elif token == 15:
            values = []
            while not isinstance(stack[-1], str):
                values.append(stack.pop())
            stack.append(_reduced(stack.pop(), sorted(values)))
        elif token == 16:
            (answer,) = stack
            return {place: answer + 1}
    raise AssertionError("nothing is asked")


def _reduced(operator, values):
    if operator == "median":
        half, odd = divmod(len(values), 2)
        return values[half] if odd else sum(values[half - 1 : half + 1]) // 2
    return {"min": values[0], "max": values[-1], "sum": sum(values) % 10}[operator]


ORACLES = {
    MultiQueryRecall: recall,
    SelectiveCopying: selective_copying,
    Copy: copy,
    InductionHeads: induction,
    ListOps: listops,
}


def answers(task, row):
    """The answers to one row of inputs, by position."""
    return ORACLES[type(task)](task, row.tolist())
