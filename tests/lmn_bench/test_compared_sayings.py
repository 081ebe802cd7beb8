"""Every sentence and verdict on two versions: data where it is true, and where it must not be said.

The tables hold themselves complete: what has no two sets of data in them fails.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from gate_helpers import arms, cases, measured, side, with_outcome

from lmn_bench.analysis import gate_reasons
from lmn_bench.analysis.alternated import judge
from lmn_bench.analysis.compare import compare
from lmn_bench.analysis.comparison import OUTCOME, Comparison, Gate, Verdict
from lmn_bench.analysis.options import Options
from lmn_bench.analysis.paired import Rules
from lmn_bench.analysis.sayings import Red, Saying
from lmn_bench.report.compared.words import verdict_sentence
from lmn_bench.schema import Outcome

ONE = cases(1)
BASE = measured(ONE)
OPTIONS = Options(rules=Rules(margin=0.05))
MEMORY = replace(OPTIONS, metrics=("working_memory_bytes",))
ALLOWED = replace(OPTIONS, allowed={"operations": 0.05})
LOOK = OPTIONS.rules.looks[-1]


@dataclass(frozen=True)
class Told:
    """Comparisons that carry a sentence, and that do not."""

    true: Callable[[], Comparison]
    false: Callable[[], Comparison]


def stored(options=OPTIONS, base=BASE, **new):
    """One case, stored; `new` is how its processes came out."""
    return lambda: compare(
        side("base", base), side("new", measured(ONE, **{"seed": 1, **new})), options
    )


def ended(base=None, new=None):
    """One case that ended so on either side, beside one that went well."""

    def records(outcome):
        all_well = measured(cases(2), seed=1)
        return all_well if outcome is None else with_outcome(all_well, ONE[0], outcome=outcome)

    return lambda: compare(side("base", records(base)), side("new", records(new)), OPTIONS)


def now_and_then(outcome):
    """One process of ten ended so in new."""
    records = [
        replace(r, outcome=outcome, metrics={}, samples_s=()) if r.replicate == 3 else r
        for r in measured(ONE, seed=1)
    ]
    return lambda: compare(side("base", BASE), side("new", records), OPTIONS)


def alternated(**made):
    return lambda: judge(arms(ONE, fresh=LOOK, **made), Options())


def among_many(factor):
    """One case that is slower, stored, among many with noise of their own."""
    of = [replace(ONE[0], length=2**k) for k in range(5, 12)]
    slow = measured(of[:1], factor, seed=3, spread=0.03) + measured(of[1:], seed=4, spread=0.03)
    base = measured(of, seed=5, spread=0.03)
    return lambda: compare(side("base", base), side("new", slow), OPTIONS)


EQUAL, SLOW, FAST, OPEN = stored(), stored(factor=1.2), stored(factor=0.8), stored(spread=0.2)
NOISY_SLOW = stored(factor=1.1, spread=0.1)

SAYINGS = {
    Saying.REGRESSED: Told(SLOW, OPEN),
    Saying.NONE_WORSE: Told(EQUAL, OPEN),
    Saying.NO_COUNT_GREW: Told(EQUAL, stored(ALLOWED, operations=41)),
    # Twice as many bytes are no more than a kernel's batch of pages.
    Saying.TOO_SMALL: Told(stored(MEMORY, working_memory_bytes=128 * 2**10),
                           stored(MEMORY, working_memory_bytes=2**20)),
    Saying.GREW_ALLOWED: Told(stored(ALLOWED, operations=41), stored(ALLOWED, operations=43)),
    Saying.GREW_NEUTRAL: Told(stored(parameters=1001), stored(parameters=999)),
    Saying.FAILED_ALIKE: Told(ended(Outcome.ERROR, Outcome.ERROR),
                              ended(Outcome.ERROR, Outcome.TIMEOUT)),
    Saying.NULL_DIFFERED: Told(alternated(null_factor=1.1), alternated()),
    Saying.MAY_BE_WORSE: Told(among_many(1.118), among_many(1.5)),
    Saying.CANNOT_TELL: Told(OPEN, EQUAL),
    Saying.NOT_COMPARED: Told(now_and_then(Outcome.TIMEOUT), EQUAL),
}  # fmt: skip
REDS = {
    Red.ENDED_BADLY: Told(ended(None, Outcome.ERROR), ended(Outcome.ERROR, None)),
    Red.GREW: Told(stored(operations=41), stored(ALLOWED, operations=41)),
    Red.WORSE: Told(SLOW, NOISY_SLOW),
}
GATES = {
    Gate.PASS: Told(EQUAL, OPEN),
    Gate.REGRESSION: Told(SLOW, NOISY_SLOW),
    Gate.INCONCLUSIVE: Told(OPEN, EQUAL),
    Gate.INCOMPARABLE: Told(
        lambda: compare(side("a", BASE), side("b", BASE, cpu_model="Other"), OPTIONS),
        lambda: compare(side("a", BASE), side("b", BASE, hostname="3f2a9c81d7e0"), OPTIONS),
    ),
}
VERDICTS = {
    Verdict.FASTER: Told(FAST, stored(factor=0.93, spread=0.1)),
    Verdict.SLOWER: Told(SLOW, NOISY_SLOW),
    Verdict.LESS: Told(stored(operations=39), EQUAL),
    Verdict.MORE: Told(stored(operations=41), stored(ALLOWED, operations=41)),
    Verdict.MORE_ALLOWED: Told(stored(ALLOWED, operations=41), stored(ALLOWED, operations=43)),
    # The same median alone is not the same.
    Verdict.SAME: Told(EQUAL, OPEN),
    Verdict.NOT_WORSE: Told(stored(factor=0.95, spread=0.02), stored(factor=1.02, spread=0.1)),
    Verdict.CANNOT_TELL: Told(OPEN, EQUAL),
    Verdict.BROKEN: Told(ended(None, Outcome.ERROR), now_and_then(Outcome.TIMEOUT)),
    Verdict.MENDED: Told(ended(Outcome.ERROR, None), ended(Outcome.ERROR, Outcome.TIMEOUT)),
}


def pattern(saying):
    parts = [re.escape(part) for part in re.split(r"{\w+}", saying.value)]
    return re.compile(".*".join(parts))


def sentences(comparison):
    return [*comparison.reasons, *comparison.notes]


def has(saying, comparison):
    return any(pattern(saying).fullmatch(text) for text in sentences(comparison))


def has_part(red, comparison):
    parts = [part for text in comparison.reasons if pattern(Saying.REGRESSED).fullmatch(text)
             for part in text.partition(": ")[2].split("; ")]  # fmt: skip
    return any(pattern(red).fullmatch(part) for part in parts)


def of_measured(verdict, comparison):
    """Whether a row has it; counts are the same in most comparisons, and decide nothing here."""
    rows = comparison.rows
    if verdict in {Verdict.SAME, Verdict.NOT_WORSE, Verdict.CANNOT_TELL}:
        rows = [row for row in rows if not row.exact and row.metric != OUTCOME]
    return any(row.verdict is verdict for row in rows)


def test_everything_that_is_said_has_data_where_it_is_true_and_where_it_must_not_be():
    for table, of in ((SAYINGS, Saying), (REDS, Red), (GATES, Gate), (VERDICTS, Verdict)):
        assert set(table) == set(of)


CASES = [
    *((has, one, told) for one, told in SAYINGS.items()),
    *((has_part, one, told) for one, told in REDS.items()),
    *((lambda gate, c: c.verdict is gate and verdict_sentence(c).startswith(gate), one, told)
      for one, told in GATES.items()),
    *((of_measured, one, told) for one, told in VERDICTS.items()),
]  # fmt: skip
NAMES = [f"{type(one).__name__}.{one.name}" for _, one, _ in CASES]


@pytest.mark.parametrize(("is_said", "one", "told"), CASES, ids=NAMES)
def test_it_is_said_where_it_is_true(is_said, one, told):
    assert is_said(one, told.true())


@pytest.mark.parametrize(("is_said", "one", "told"), CASES, ids=NAMES)
def test_it_is_not_said_where_the_data_do_not_carry_it(is_said, one, told):
    assert not is_said(one, told.false())


def test_sentences_are_made_in_one_place():
    tree = ast.parse(Path(gate_reasons.__file__).read_text())
    made = [ast.unparse(node.value) for node in ast.walk(tree) if isinstance(node, ast.Yield)]
    assert made
    assert [one for one in made if not one.startswith(("Saying.", "saying("))] == []


@pytest.mark.parametrize("comparison", [t for told in SAYINGS.values()
                                        for t in (told.true, told.false)])  # fmt: skip
def test_all_reasons_are_in_the_list(comparison):
    for text in comparison().reasons:
        assert any(pattern(one).fullmatch(text) for one in Saying), text
