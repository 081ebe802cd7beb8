"""Trainings as data: rows for CSV, one per seed and metric; seeds, curves and verdicts for JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from lmn_bench.analysis.learned import Attempt, LearnedSetting, seed_of
from lmn_bench.metrics import METRICS
from lmn_bench.report.learned.words import own_of
from lmn_bench.schema import Case, Record

# Columns of a table that only trainings fill.
COLUMNS = (
    "task", "corpus", "corpus_sha256", "tokens", "learning_rate", "budget", "budget_unit",
    "parameters_asked", "tie_weights", "weight_decay", "seed",
)  # fmt: skip


def lesson_cells(case: Case, seed: int | None) -> tuple[Any, ...]:
    """The cells of `COLUMNS`; empty for a case that learns nothing."""
    lesson = case.lesson
    if lesson is None:
        return (None,) * len(COLUMNS)
    return (
        lesson.task, lesson.corpus or None, lesson.corpus_sha256 or None, lesson.tokens or None,
        lesson.learning_rate, _plain(lesson.budget.amount), lesson.budget.unit, lesson.parameters,
        lesson.tie_weights, lesson.weight_decay, seed,
    )  # fmt: skip


def _plain(amount: float) -> str:
    """Steps and tokens are whole numbers, however they are stored: 20, not 20.0."""
    return f"{int(amount) if float(amount).is_integer() else amount}"


def metric_rows(record: Record) -> Iterator[tuple[str, str, float]]:
    """Metric, unit and value of everything that one training measured."""
    for key, value in record.metrics.items():
        if key in METRICS:
            yield key, METRICS[key].unit, float(value)


def seeds_data(records: Sequence[Record], first_seed: int = 0) -> list[dict[str, Any]]:
    """Every training of a case: how it ended, what it measured, and its curves."""
    return [
        {
            "seed": seed_of(record, first_seed),
            "outcome": record.outcome,
            "reason": record.reason,
            "metrics": record.metrics,
            "learned": None if record.learned is None else asdict(record.learned),
        }
        for record in sorted(records, key=lambda record: record.replicate)
    ]


def learned_data(settings: Sequence[LearnedSetting]) -> list[dict[str, Any]]:
    """Every setting: its lesson, and every model at its best rate with its difference to ours."""
    return [_setting_data(one) for one in settings]


def _setting_data(one: LearnedSetting) -> dict[str, Any]:
    setting = asdict(one.setting)
    lesson = setting.pop("lesson")
    # These differ within a setting.
    setting.pop("subject")
    lesson.pop("learning_rate")
    return {
        "setting": setting,
        "lesson": lesson,
        "metric": one.metric,
        "unit": METRICS[one.metric].unit,
        "chance": one.chance,
        "models": [_model_data(one, subject) for subject in one.subjects],
    }


def _model_data(one: LearnedSetting, subject: str) -> dict[str, Any]:
    best = one.best(subject)
    if best is None:
        return {"subject": subject, "best_learning_rate": None, "score": None,
                "against": None, "attempts": _attempts(one, subject)}  # fmt: skip
    own = own_of(one)
    found = one.difference(subject, own) if subject != own else None
    return {
        "subject": subject,
        "best_learning_rate": best.learning_rate,
        "score": asdict(one.interval(best)),
        "against": None if found is None else {
            "other": found.other, "difference": asdict(found.value), "verdict": found.verdict,
            "seeds": found.seeds, "paired": found.paired,
        },
        "attempts": _attempts(one, subject),
    }  # fmt: skip


def _attempts(one: LearnedSetting, subject: str) -> list[dict[str, Any]]:
    return [_attempt_data(attempt) for attempt in one.of(subject)]


def _attempt_data(attempt: Attempt) -> dict[str, Any]:
    return {
        "learning_rate": attempt.learning_rate,
        "seeds": list(attempt.by_seed),
        "scores": attempt.scores,
        "diverged": attempt.diverged,
        "trainings": len(attempt.records),
    }
