"""Who is set against whom: the reference of a setting, its rivals, and how it stands against them.

All that a report says of two models' times, in sentences, tables or JSON, comes from
`Findings.standings`, which calls `versus` here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lmn_bench.analysis.crossover import Crossover, crossover
from lmn_bench.analysis.results import ResultSet
from lmn_bench.report.words import OWN_SUBJECT
from lmn_bench.schema import Case
from lmn_bench.subjects.names import is_user_subject

# Whom a reader asks about first.
RIVAL = "transformer"
# Up to so many rivals each have sentences of their own.
_MOST_ALONE = 3


@dataclass(frozen=True)
class Versus:
    """How the reference stands against one other subject.

    Attributes:
        reference, other: the two.
        found: how the first stands, length by length.
        alone: whether it is told in sentences of its own, not with the others.
    """

    reference: str
    other: str
    found: Crossover
    alone: bool


def reference_of(results: ResultSet, setting: Case, asked: str | None = None) -> str:
    """The subject that the others of a setting are compared with.

    The one that was asked for, where the setting has it; else the first model of the user's that
    has a result there, else lmn, else the first of all.
    """
    subjects = results.subjects(setting)
    if asked in subjects:
        return asked
    own = [name for name in subjects if is_user_subject(name)]
    with_values = (
        name
        for name in own
        if any(result.values for result in results.series(setting, name).values())
    )
    return next(with_values, OWN_SUBJECT if OWN_SUBJECT in subjects else subjects[0])


def rivals(reference: str, subjects: Sequence[str]) -> list[tuple[str, bool]]:
    """The other subjects, the Transformer first, and whether each is told alone.

    Every model of the user's is, and lmn beside one of them.
    """
    others = sorted((name for name in subjects if name != reference), key=lambda n: n != RIVAL)
    asked_about = {*others[:1], *filter(is_user_subject, others)}
    if is_user_subject(reference):
        asked_about.add(OWN_SUBJECT)
    few = len(others) <= _MOST_ALONE
    return [(name, few or name in asked_about) for name in others]


def versus(results: ResultSet, setting: Case, reference: str, metric: str) -> tuple[Versus, ...]:
    """How the reference stands against every other subject of a setting, in one metric."""
    series = {name: results.series(setting, name) for name in results.subjects(setting)}
    measured = any(result.values.get(metric) for one in series.values() for result in one.values())
    if not measured:
        return ()
    found = []
    for other, alone in rivals(reference, list(series)):
        stands = crossover(series[reference], series[other], metric)
        if stands is not None:
            found.append(Versus(reference, other, stands, alone))
    return tuple(found)
