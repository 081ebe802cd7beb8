"""Several runs that learned, put together: what was, what was not, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lmn_bench.analysis.joined import Joined, placeless
from lmn_bench.analysis.learned import LearnedSetting
from lmn_bench.differences import renamed_hosts
from lmn_bench.report.learned.words import (
    corpus_words,
    listed,
    material_words,
    unlike,
)
from lmn_bench.schema import Case, RunInfo

# Of a commit: enough to look it up.
_COMMIT_DIGITS = 9


@dataclass(frozen=True)
class LearnedRun:
    """One of several runs that learned: a distinct name, what it knows of itself, its settings."""

    label: str
    info: RunInfo
    settings: tuple[LearnedSetting, ...]

    @property
    def lessons(self) -> list[Case]:
        """What it learned, by what runs must have in common."""
        return list(dict.fromkeys(placeless(one.setting) for one in self.settings))


def together_answers(runs: Sequence[LearnedRun], joined: Joined) -> Iterator[str]:
    """Which runs were put together, how, and why others were not."""
    grouped: dict[tuple[str, ...], list[str]] = {}
    for lesson in dict.fromkeys(lesson for run in runs for lesson in run.lessons):
        sharing = tuple(run.label for run in runs if lesson in run.lessons)
        if len(sharing) > 1 and lesson.lesson is not None:
            grouped.setdefault(sharing, []).append(material_words(lesson.lesson))
    for sharing, materials in grouped.items():
        what = listed(list(dict.fromkeys(materials)))
        yield f"{listed(sharing)} learned {what} alike: their seeds are put together."
    yield from _versions(runs, joined)
    renamed = renamed_hosts([run.info.environment for run in runs])
    if renamed:
        yield f"{renamed[0].upper()}{renamed[1:]}."
    if joined.repeated:
        yield (
            f"{joined.repeated} training{'s' * (joined.repeated != 1)} came out the same in "
            "several runs: such a seed counts once."
        )
    for run in runs:
        others = [other for other in runs if other is not run and other.lessons]
        if run.lessons and others and not any(set(run.lessons) & set(o.lessons) for o in others):
            yield _apart(run, others[0])


def separate_costs(
    runs: Sequence[LearnedRun], joined: Joined
) -> dict[str, Sequence[LearnedSetting]]:
    """The settings of each run, where times and memory of all are not of one machine and device."""
    alike = len({run.info.environment.machine for run in runs}) <= 1 and all(
        len({(r.device, r.threads) for a in one.attempts for r in a.records}) <= 1
        for one in joined.settings
    )
    return {} if alike else {run.label: run.settings for run in runs}


def _versions(runs: Sequence[LearnedRun], joined: Joined) -> Iterator[str]:
    models: dict[str, set[int]] = {}
    for model, place in joined.versions.values():
        models.setdefault(model, set()).add(place)
    grouped: dict[tuple[int, ...], list[str]] = {}
    for model, places in models.items():
        grouped.setdefault(tuple(sorted(places)), []).append(model)
    for of_runs, names in grouped.items():
        yield (
            f"Equal seeds of {listed(names)} came out differently in "
            f"{listed([runs[place].label for place in of_runs])}: these are shown as versions, "
            "each under the name of its run."
        )
    commits: dict[str, list[str]] = {}
    for run in runs:
        commits.setdefault(_commit(run.info), []).append(run.label)
    if len(commits) > 1:
        said = "; ".join(f"{listed(labels)} of {commit}" for commit, labels in commits.items())
        yield f"The runs are of different versions of this code: {said}."


def _commit(info: RunInfo) -> str:
    environment = info.environment
    if environment.git_commit is None:
        return environment.lmn_bench
    return environment.git_commit[:_COMMIT_DIGITS] + " with changes" * bool(environment.git_dirty)


def _apart(run: LearnedRun, other: LearnedRun) -> str:
    """Why two runs cannot be set side by side, by their most similar lessons."""
    found = [_unlike(mine, its) for mine in run.lessons for its in other.lessons]
    return (
        f"{run.label} cannot be set side by side with {other.label}: {listed(min(found, key=len))}."
    )


def _unlike(one: Case, other: Case) -> list[str]:
    """What two lessons differ in: 1,000 steps against 20 steps."""
    mine, its = one.lesson, other.lesson
    assert mine is not None
    assert its is not None
    if mine.task != its.task:
        return [f"{corpus_words(mine)} against {corpus_words(its)}"]
    said = []
    if (mine.corpus_sha256, mine.tokens) != (its.corpus_sha256, its.tokens):
        said.append(f"{corpus_words(mine)} against {corpus_words(its)}")
        shared = replace(its, corpus_sha256=mine.corpus_sha256, tokens=mine.tokens)
        other = replace(other, lesson=shared)
    rest = zip(unlike(one, other), unlike(other, one), strict=True)
    return said + [f"{here} against {there}" for here, there in rest]
