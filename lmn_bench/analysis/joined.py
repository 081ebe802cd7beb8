"""Trainings of several runs, put together where they learned one lesson at one size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lmn_bench.analysis.learned import LearnedSetting, Trained, setting_of
from lmn_bench.schema import Case, Record


@dataclass(frozen=True)
class Joined:
    """What several runs learned, as if it were one.

    Attributes:
        settings: of all runs, those of one lesson together.
        versions: of every name that stands for a model in one run alone, which model and the place
            of the run; see `joined_settings`.
        repeated: seeds that came out the same in several runs, and count once.
    """

    settings: tuple[LearnedSetting, ...]
    versions: dict[str, tuple[str, int]]
    repeated: int


# A model's trainings at every rate and seed, each with its score, by the place of the run.
_Runs = dict[int, dict[tuple[float, int], tuple[float | None, Record]]]


def joined_settings(runs: Sequence[Sequence[LearnedSetting]], labels: Sequence[str]) -> Joined:
    """The settings of several runs, each model with the seeds of all of them.

    Runs that have equal seeds of a model with unequal scores trained versions of it: these are no
    further seeds, and stand as models of their own, "lmn · run". Device and threads move a score by
    rounding alone, unless time is the budget: runs that differ in them are put together.

    Args:
        runs: the settings of each.
        labels: a distinct name for each.
    """
    grouped: dict[Case, dict[int, list[LearnedSetting]]] = {}
    for place, settings in enumerate(runs):
        for one in settings:
            grouped.setdefault(placeless(one.setting), {}).setdefault(place, []).append(one)
    found: list[LearnedSetting] = []
    versions: dict[str, tuple[str, int]] = {}
    repeated = 0
    for by_run in grouped.values():
        for group in _groups(by_run):
            joined, again = _joined(group, labels, versions)
            found.append(joined)
            repeated += again
    return Joined(tuple(found), versions, repeated)


def placeless(setting: Case) -> Case:
    """What runs must have in common: device and threads only where time is the budget."""
    assert setting.lesson is not None
    timed = setting.lesson.budget.unit == "s"
    return setting if timed else replace(setting, device="", threads=0)


def _groups(by_run: dict[int, list[LearnedSetting]]) -> list[dict[int, LearnedSetting]]:
    """All in one, unless a run itself sets devices or threads against each other."""
    if all(len(settings) == 1 for settings in by_run.values()):
        return [{place: settings[0] for place, settings in by_run.items()}]
    apart: dict[Case, dict[int, LearnedSetting]] = {}
    for place, settings in by_run.items():
        for one in settings:
            apart.setdefault(one.setting, {})[place] = one
    return list(apart.values())


def _joined(
    settings: dict[int, LearnedSetting], labels: Sequence[str], versions: dict[str, tuple[str, int]]
) -> tuple[LearnedSetting, int]:
    models: dict[str, _Runs] = {}
    for place, one in settings.items():
        for attempt in one.attempts:
            of_run = models.setdefault(attempt.subject, {}).setdefault(place, {})
            for seed, record in zip(attempt.numbers, attempt.records, strict=True):
                of_run[attempt.learning_rate, seed] = (attempt.by_seed.get(seed), record)
    attempts: dict[tuple[str, float], list[Trained]] = {}
    repeated = 0
    for subject, by_run in models.items():
        if _differ(by_run):
            for place, found in by_run.items():
                name = f"{subject} · {labels[place]}"
                versions[name] = (subject, place)
                _add(attempts, name, found)
            continue
        merged = _merged(by_run)
        repeated += sum(map(len, by_run.values())) - len(merged)
        _add(attempts, subject, merged)
    return setting_of(next(iter(settings.values())).setting, attempts), repeated


def _add(
    attempts: dict[tuple[str, float], list[Trained]],
    name: str,
    found: dict[tuple[float, int], tuple[float | None, Record]],
) -> None:
    for (rate, seed), (_, record) in found.items():
        attempts.setdefault((name, rate), []).append((seed, record))


def _differ(by_run: _Runs) -> bool:
    """Whether a seed came out in two ways."""
    scores: dict[tuple[float, int], set[float]] = {}
    for found in by_run.values():
        for key, (score, _) in found.items():
            if score is not None:
                scores.setdefault(key, set()).add(score)
    return any(len(values) > 1 for values in scores.values())


def _merged(by_run: _Runs) -> dict[tuple[float, int], tuple[float | None, Record]]:
    """Every rate and seed once: the first training that ended well, else the first."""
    merged: dict[tuple[float, int], tuple[float | None, Record]] = {}
    for found in by_run.values():
        for key, trained in found.items():
            before = merged.get(key)
            if before is None or (before[0] is None and trained[0] is not None):
                merged[key] = trained
    return merged
