"""Trainings of mode learn, put together by what may be set side by side, and who learned better."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from lmn_bench.analysis.intervals import Interval
from lmn_bench.analysis.seeds import mean_interval, welch_interval
from lmn_bench.lessons import LEARN, TEXT, Lesson
from lmn_bench.metrics import METRICS
from lmn_bench.schema import Case, Outcome, Record

LOSS, ACCURACY = "validation_loss", "accuracy"

Verdict = Literal["better", "worse", "cannot tell"]
# A training with its seed.
Trained = tuple[int, Record]


def is_learned(record: Record) -> bool:
    """Whether a record is of a training."""
    return record.mode == LEARN and record.lesson is not None


def lesson_setting(case: Case) -> Case:
    """What trainings must share to be set side by side: all but subject and learning rate.

    Raises:
        ValueError: the case learns nothing.
    """
    if case.lesson is None:
        raise ValueError(f"{case.id} learns nothing")
    return replace(case, subject="", lesson=replace(case.lesson, learning_rate=0.0))


def score_metric(task: str) -> str:
    """The metric that a task is judged by."""
    return LOSS if task == TEXT else ACCURACY


@dataclass(frozen=True)
class Attempt:
    """The trainings of one subject at one learning rate.

    Attributes:
        subject: the model.
        learning_rate: of the optimizer.
        metric: that the task is judged by.
        records: all of them by number of the seed, however they ended.
        numbers: the seed of each.
    """

    subject: str
    learning_rate: float
    metric: str
    records: tuple[Record, ...]
    numbers: tuple[int, ...]

    @property
    def model(self) -> str:
        """The subject as the suite names it: where runs are compared, `subject` names one too."""
        return self.records[0].subject

    @cached_property
    def finished(self) -> tuple[Record, ...]:
        """Those that ended well, with a score that is a number."""
        return tuple(
            record
            for record in self.records
            if record.outcome is Outcome.OK
            and math.isfinite(record.metrics.get(self.metric, math.nan))
        )

    @property
    def scores(self) -> tuple[float, ...]:
        """The final score of every seed that ended well."""
        return tuple(float(record.metrics[self.metric]) for record in self.finished)

    @cached_property
    def by_seed(self) -> dict[int, float]:
        """The same by seed."""
        numbers = {id(r): seed for r, seed in zip(self.records, self.numbers, strict=True)}
        return {numbers[id(r)]: float(r.metrics[self.metric]) for r in self.finished}

    @property
    def seeds(self) -> int:
        """Seeds that ended well."""
        return len(self.finished)

    @property
    def diverged(self) -> int:
        """Seeds whose loss was no number any more."""
        return sum(record.outcome is Outcome.DIVERGED for record in self.records)

    @property
    def mean(self) -> float:
        """Mean score over seeds.

        Raises:
            ValueError: no seed ended well.
        """
        return self._mean(self.scores)

    def metric_mean(self, metric: str) -> float | None:
        """Mean of any metric over the seeds that ended well; None where it was not taken."""
        found = [record.metrics.get(metric, math.nan) for record in self.finished]
        finite = [float(value) for value in found if math.isfinite(value)]
        return self._mean(finite) if finite else None

    def by_length(self) -> dict[int, float]:
        """Mean accuracy at every length that was tested."""
        tested: dict[int, list[float]] = {}
        for record in self.finished:
            for length, accuracy in record.learned.tests if record.learned else ():
                tested.setdefault(int(length), []).append(accuracy)
        return {length: self._mean(values) for length, values in sorted(tested.items())}

    @staticmethod
    def _mean(values: tuple[float, ...] | list[float]) -> float:
        if not values:
            raise ValueError("no seed ended well")
        return math.fsum(values) / len(values)


@dataclass(frozen=True)
class Difference:
    """Mean score of one subject less that of another, each at its best learning rate.

    Attributes:
        subject, other: whose.
        value: in nats per token, or a share; its interval has limits where there is one.
        verdict: on `subject`; "cannot tell" without an interval, or with one that holds 0.
        seeds: of either that count.
        paired: whether the difference was taken seed by seed.
    """

    subject: str
    other: str
    value: Interval
    verdict: Verdict
    seeds: tuple[int, int]
    paired: bool

    @property
    def same(self) -> bool:
        """Whether all pairs of seeds came out alike to the last digit."""
        return self.paired and self.value.high is None and self.value.estimate == 0


@dataclass(frozen=True)
class LearnedSetting:
    """Trainings that differ in model, learning rate and seed alone.

    Attributes:
        setting: see `lesson_setting`.
        attempts: one per subject and learning rate, in order of appearance.
    """

    setting: Case
    attempts: tuple[Attempt, ...]

    @property
    def lesson(self) -> Lesson:
        """What all of them learn; the learning rate is none."""
        assert self.setting.lesson is not None
        return self.setting.lesson

    @property
    def metric(self) -> str:
        """What they are judged by."""
        return score_metric(self.lesson.task)

    @property
    def subjects(self) -> list[str]:
        """All models, those included of which no training ended well."""
        return list(dict.fromkeys(attempt.subject for attempt in self.attempts))

    @property
    def finished(self) -> list[str]:
        """The models with a score, the best one first."""
        found = [subject for subject in self.subjects if subject in self._best]
        return sorted(found, key=lambda subject: self._cost(self._best[subject]))

    @property
    def chance(self) -> float | None:
        """Accuracy of who always gives the likeliest answer; None for text."""
        told = (r.learned.chance for a in self.attempts for r in a.records if r.learned)
        return next((chance for chance in told if chance is not None), None)

    def of(self, subject: str) -> list[Attempt]:
        """The attempts of one subject."""
        return [attempt for attempt in self.attempts if attempt.subject == subject]

    def best(self, subject: str) -> Attempt | None:
        """A subject at its best learning rate; None if no training of it ended well.

        A rate at which a seed diverged loses to one without, and then fewer seeds lose to more.
        """
        return self._best.get(subject)

    @property
    def repeated(self) -> bool:
        """Whether any score has an interval."""
        return any(self.interval(best).high is not None for best in self._best.values())

    def score(self, subject: str) -> Interval | None:
        """Mean score at the best rate with its interval; None if nothing ended well."""
        best = self.best(subject)
        return None if best is None else self.interval(best)

    def interval(self, attempt: Attempt) -> Interval:
        """Mean score of an attempt with the interval that its own seeds give.

        Raises:
            ValueError: no seed ended well.
        """
        return mean_interval(attempt.scores)

    def difference(self, subject: str, other: str) -> Difference | None:
        """How a subject did against another; None if either has no score.

        Seed by seed over those that both have, which see the same examples in the same order; by
        Welch's interval with fewer than two of them.
        """
        one, two = self.best(subject), self.best(other)
        if one is None or two is None:
            return None
        shared = [seed for seed in one.by_seed if seed in two.by_seed]
        paired = len(shared) > 1
        if paired:
            value = mean_interval([one.by_seed[seed] - two.by_seed[seed] for seed in shared])
            seeds = (len(shared), len(shared))
        else:
            value, seeds = welch_interval(one.scores, two.scores), (one.seeds, two.seeds)
        verdict: Verdict = "cannot tell"
        if value.low is not None and not value.holds(0.0):
            verdict = "better" if (value.estimate > 0) == self._higher else "worse"
        return Difference(subject, other, value, verdict, seeds, paired)

    @property
    def _higher(self) -> bool:
        return METRICS[self.metric].better == "higher"

    def _cost(self, attempt: Attempt) -> float:
        return -attempt.mean if self._higher else attempt.mean

    @cached_property
    def _best(self) -> dict[str, Attempt]:
        found: dict[str, Attempt] = {}
        for attempt in self.attempts:
            if not attempt.scores:
                continue
            before = found.get(attempt.subject)
            if before is None or self._rank(attempt) < self._rank(before):
                found[attempt.subject] = attempt
        return found

    def _rank(self, attempt: Attempt) -> tuple[bool, int, float]:
        return attempt.diverged > 0, -attempt.seeds, self._cost(attempt)


def learned_settings(records: Iterable[Record], first_seed: int = 0) -> list[LearnedSetting]:
    """The trainings among some records, those together that may be set side by side.

    `first_seed`: of the run, for trainings that did not live to tell their own.
    """
    grouped: dict[Case, dict[tuple[str, float], list[Trained]]] = {}
    for record in records:
        if is_learned(record):
            assert record.lesson is not None
            attempts = grouped.setdefault(lesson_setting(record.case), {})
            key = record.subject, record.lesson.learning_rate
            attempts.setdefault(key, []).append((seed_of(record, first_seed), record))
    return [setting_of(setting, attempts) for setting, attempts in grouped.items()]


def setting_of(
    setting: Case, attempts: Mapping[tuple[str, float], Sequence[Trained]]
) -> LearnedSetting:
    """A setting of these trainings, by the name that a model is shown with and learning rate."""
    found = []
    for (subject, rate), trainings in attempts.items():
        assert setting.lesson is not None
        ordered = sorted(trainings, key=lambda one: one[0])
        records, numbers = tuple(r for _, r in ordered), tuple(seed for seed, _ in ordered)
        metric = score_metric(setting.lesson.task)
        found.append(Attempt(subject, rate, metric, records, numbers))
    return LearnedSetting(setting, tuple(found))


def seed_of(record: Record, first_seed: int) -> int:
    """The seed of a training of a run that began with `first_seed`."""
    return record.learned.seed if record.learned else first_seed + record.replicate
