"""Which recall tasks are solved and failed, and what that says of a state that grows as log n."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lmn_bench.analysis.learned import Attempt, LearnedSetting
from lmn_bench.lessons import TEXT
from lmn_bench.report.learned.sayings import End, Saying
from lmn_bench.report.learned.words import (
    compared_words,
    how_words,
    interval_words,
    listed,
    open_words,
    own_of,
    percent,
    place_words,
)
from lmn_bench.report.words import OWN_SUBJECT
from lmn_bench.subjects.names import is_user_subject
from lmn_bench.units import format_bytes

# Papers on recall call a task solved at 95 % or more: what is missing then are rare slips.
SOLVED_ACCURACY = 0.95
# Less than half of the way from chance to everything right: most answers are guesses. Measured from
# chance, because a guess is right in 1 of 4,096 cases in one task and in 1 of 4 in another.
FAILED_SHARE = 0.5


@dataclass(frozen=True)
class Ends:
    """How many seeds of a model solved a task and how many failed it, of all that were trained."""

    solved: int
    failed: int
    seeds: int


def recall_answers(settings: Sequence[LearnedSetting]) -> Iterator[str]:
    """Accuracy beside chance and state per task; then what is solved, failed and open."""
    tasks = [one for one in settings if one.lesson.task != TEXT and one.finished]
    for one in tasks:
        yield from _task_answers(one, settings)
    if tasks:
        yield from _conclusions(tasks, settings)


def is_logarithmic(subject: str) -> bool:
    """Whether a model's state grows as log n: those of the LMN's own family."""
    return subject.partition("@")[0].startswith(OWN_SUBJECT) and not is_user_subject(subject)


def ends_of(one: LearnedSetting) -> dict[str, Ends]:
    """How the seeds of every model with a score ended, at its best learning rate."""
    chance = one.chance or 0.0
    failing = min(chance + FAILED_SHARE * (1 - chance), SOLVED_ACCURACY)
    return {
        subject: Ends(
            sum(score >= SOLVED_ACCURACY for score in best.scores),
            sum(score < failing for score in best.scores),
            len(best.records),
        )
        for subject in one.subjects
        if (best := one.best(subject)) is not None
    }


def definitions() -> str:
    """What solved and failed mean, for a note."""
    return (
        f"Seeds, at the best learning rate. Solved: {100 * SOLVED_ACCURACY:g} % right or more. "
        f"Failed: less than half of the way from chance to 100 %. Within this budget."
    )


def seeds_cell(name: str, count: int, seeds: int) -> str:
    """For a table: lmn 2 of 3."""
    return f"{name} {count} of {seeds}"


def _task_answers(one: LearnedSetting, every: Sequence[LearnedSetting]) -> Iterator[str]:
    """For example: mqar-64, chance 0.024%: lmn 12.0% with a state of 3.75 KiB."""
    own = own_of(one)
    chance = f", chance {percent(one.chance)}" if one.chance is not None else ""
    words = {"place": f"{place_words(one, every)}{chance}", "score": _score(one, own)}
    other = next((name for name in one.finished if name != own), None)
    found = None if other is None else one.difference(own, other)
    if other is None or found is None:
        yield Saying.TASK_ALONE(**words)
        return
    words |= {"others_score": _score(one, other), "model": own}
    how = how_words(one, found)
    if found.same:
        del words["model"]
        yield Saying.TASK_SAME(**words, how=compared_words(found))
    elif found.verdict == "better":
        yield Saying.TASK_BETTER(**words, how=how)
    elif found.verdict == "worse":
        yield Saying.TASK_WORSE(**words, how=how)
    else:
        yield Saying.TASK_OPEN(**words, how=how, why=open_words(found))


def _score(one: LearnedSetting, subject: str) -> str:
    score, best = one.score(subject), one.best(subject)
    assert score is not None
    assert best is not None
    return f"{subject} {interval_words(score, one.metric)}{state_words(best)}"


def state_words(attempt: Attempt) -> str:
    """With what state: " with a state of 3.75 KiB"; empty where it was not counted."""
    state = attempt.metric_mean("state_bytes")
    return "" if state is None else f" with a state of {format_bytes(state)}"


def _conclusions(tasks: Sequence[LearnedSetting], every: Sequence[LearnedSetting]) -> Iterator[str]:
    """What the family of the LMN solved and failed; nothing of tasks that nobody solved."""
    family = list(dict.fromkeys(s for one in tasks for s in one.finished if is_logarithmic(s)))
    places = [place_words(one, every) for one in tasks]
    found = dict(zip(places, map(ends_of, tasks), strict=True))
    solved = {
        place: {subject: end for subject, end in ends.items() if end.solved}
        for place, ends in found.items()
    }
    nobody = [place for place in places if not solved[place]]
    rescued: dict[str, dict[str, Ends]] = {}
    for subject in family:
        told = [place for place in places if place not in nobody and subject in found[place]]
        said = [_end_words(place, found[place][subject]) for place in told]
        rescued |= {p: solved[p] for p in told if not found[p][subject].solved}
        if said:
            yield Saying.STATE_ENDS(model=subject, ends="; ".join(said))
    for place, by in rescued.items():
        told = [f"{name} solved it in {_seeds(end.solved, end.seeds)}" for name, end in by.items()]
        yield Saying.CAN_BE_LEARNED(place=place, models=listed(told))
    if nobody:
        yield Saying.NOBODY(tasks=listed(nobody))


def _end_words(task: str, end: Ends) -> str:
    count = end.solved or end.failed or end.seeds
    words = {"task": task, "count": _seeds(count, end.seeds)}
    if end.solved and end.failed:
        return End.BOTH(**words, failed=str(end.failed))
    if end.solved:
        return End.SOLVED(**words)
    return End.FAILED(**words) if end.failed else End.NEITHER(**words)


def _seeds(count: int, seeds: int) -> str:
    """For example: 2 of 3 seeds; its one seed."""
    return f"{count} of {seeds} seeds" if seeds > 1 else "its one seed"
