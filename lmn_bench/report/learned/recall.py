"""Which recall tasks are solved and failed, and what that says of a state that grows as log n."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lmn_bench.analysis.learned import Attempt, LearnedSetting
from lmn_bench.lessons import TEXT
from lmn_bench.report.learned.words import (
    compared_words,
    difference_words,
    interval_words,
    listed,
    own_of,
    percent,
    place_words,
    size_gap_words,
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
    """Who solves a task and who fails it; others are in between."""

    solved: tuple[str, ...]
    failed: tuple[str, ...]


def recall_answers(settings: Sequence[LearnedSetting]) -> Iterator[str]:
    """Accuracy beside chance and state per task; then what is solved, failed and open."""
    tasks = [one for one in settings if one.lesson.task != TEXT and one.finished]
    for one in tasks:
        yield _task_answer(one, settings)
    if tasks:
        yield from _conclusions(tasks, settings)


def is_logarithmic(subject: str) -> bool:
    """Whether a model's state grows as log n: those of the LMN's own family."""
    return subject.partition("@")[0].startswith(OWN_SUBJECT) and not is_user_subject(subject)


def ends_of(one: LearnedSetting) -> Ends:
    """Who solves this task and who fails it, by the mean over seeds at the best learning rate."""
    chance = one.chance or 0.0
    failing = chance + FAILED_SHARE * (1 - chance)
    scores = {s: best.mean for s in one.subjects if (best := one.best(s)) is not None}
    return Ends(
        tuple(s for s, score in scores.items() if score >= SOLVED_ACCURACY),
        tuple(s for s, score in scores.items() if score < min(failing, SOLVED_ACCURACY)),
    )


def definitions() -> str:
    """What solved and failed mean, for a note."""
    return (
        f"Solved: {SOLVED_ACCURACY:.0%} right or more. Failed: less than half of the way from "
        "chance to 100%. Both by the mean over seeds, within this budget."
    )


def _task_answer(one: LearnedSetting, every: Sequence[LearnedSetting]) -> str:
    """For example: mqar-64, chance 0.024%: lmn 12.0% with a state of 3.75 KiB; best other: …."""
    own = own_of(one)
    said = [_score(one, own)]
    others = [name for name in one.finished if name != own]
    if others:
        said.append(f"best of the others {_score(one, others[0])}")
        said.append(_against(one, own, others[0]))
    chance = f", chance {percent(one.chance)}" if one.chance is not None else ""
    return f"{place_words(one, every)}{chance}: {'; '.join(said)}."


def _against(one: LearnedSetting, own: str, other: str) -> str:
    """For example: lmn is worse: 87.0 ± 1.2 percentage points less, over 3 paired seeds."""
    found = one.difference(own, other)
    assert found is not None
    said = [difference_words(found, one.metric), compared_words(found),
            size_gap_words(one, own, other)]  # fmt: skip
    how = ", ".join(filter(None, said))
    if found.same:
        return f"both came out the same, {compared_words(found)}"
    if found.verdict != "cannot tell":
        return f"{own} is {found.verdict}: {how}"
    why = "no interval" if found.value.low is None else "the interval holds 0"
    return f"which of the two is better cannot be told ({why}): {own} has {how}"


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
    """What the family of the LMN solves and fails; nothing of tasks that nobody solves."""
    family = list(dict.fromkeys(s for one in tasks for s in one.finished if is_logarithmic(s)))
    solved: dict[str, list[str]] = {subject: [] for subject in family}
    failed: dict[str, list[str]] = {subject: [] for subject in family}
    rescued: dict[str, tuple[str, ...]] = {}
    nobody = []
    for one in tasks:
        place, ends = place_words(one, every), ends_of(one)
        if not ends.solved:
            nobody.append(place)
            continue
        for subject in family:
            if subject in ends.solved:
                solved[subject].append(place)
            elif subject in ends.failed:
                failed[subject].append(place)
                rescued[place] = ends.solved
    for subject in family:
        half = [place_words(one, every) for one in tasks if subject in one.finished]
        half = [p for p in half if p not in (*solved[subject], *failed[subject], *nobody)]
        said = [
            f"{word} {listed(places)}"
            for word, places in (
                ("solves", solved[subject]), ("fails", failed[subject]),
                ("neither solves nor fails", half),
            )
            if places
        ]  # fmt: skip
        if said:
            yield f"With a state that grows as log n, {subject} {'; '.join(said)}."
    for place, by in rescued.items():
        yield f"{place} can be learned within the budget: {listed(by)} {_solve(by)} it."
    if nobody:
        yield (
            f"No model solves {listed(nobody)} within the budget: that says nothing about the "
            "state; a longer training, or another learning rate, may."
        )


def _solve(names: Sequence[str]) -> str:
    return "solves" if len(names) == 1 else "solve"
