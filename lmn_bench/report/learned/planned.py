"""A plan of trainings as a document: `run --dry-run` of a suite that learns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lmn_bench.analysis.learned import lesson_setting
from lmn_bench.lessons import Lesson
from lmn_bench.plan import PlannedCase
from lmn_bench.report.document import Table
from lmn_bench.report.learned.words import (
    corpus_words,
    exception_words,
    setting_title,
    size_words,
)
from lmn_bench.schema import Case, Suite
from lmn_bench.units import format_bytes, format_duration

_NOTE = (
    "Memory: forecast of the blocks; embedding and head come on top. Time: forecast for all rates "
    "and seeds together. First-order formulas; nothing was measured."
)


def planned_answers(suite: Suite, planned: Sequence[PlannedCase]) -> list[str]:
    """How many trainings there are, how long they take, and what is learned."""
    todo = [item for item in planned if item.skip is None]
    seeds = suite.replicates
    total = len(todo) * seeds
    unknown = sum(item.seconds is None for item in todo)
    seconds = sum(item.seconds or 0.0 for item in todo)
    answers = [
        f"{_counted(len(todo), 'case')} × {_counted(seeds, 'seed')} = "
        f"{_counted(total, 'training')}, about {format_duration(seconds)} in all"
        + (f", not counting {_counted(unknown, 'case')} without a forecast" if unknown else "")
        + "."
    ]
    lessons = dict.fromkeys(_rateless(item.case) for item in planned)
    materials = "; ".join(dict.fromkeys(corpus_words(lesson) for lesson in lessons))
    sizes = ", ".join(dict.fromkeys(size_words(lesson) for lesson in lessons))
    if lessons:
        own = exception_words(item.case.subject for item in planned)
        answers.append(f"To be learned: {materials}; every model with {sizes}, within 1 %{own}.")
    return answers


def planned_tables(planned: Sequence[PlannedCase]) -> tuple[Table, ...]:
    """A table per setting and in it a row per model, its learning rates together."""
    settings: dict[Case, dict[str, list[PlannedCase]]] = {}
    for item in planned:
        models = settings.setdefault(lesson_setting(item.case), {})
        models.setdefault(item.case.subject, []).append(item)
    tables = [
        Table(
            setting_title(setting), ("model", "learning rates", "memory", "time"),
            tuple(_row(subject, items) for subject, items in models.items()),
        )
        for setting, models in settings.items()
    ]  # fmt: skip
    return (*tables[:-1], *(replace(table, note=_NOTE) for table in tables[-1:]))


def _row(subject: str, items: Sequence[PlannedCase]) -> tuple[str, ...]:
    todo = [item for item in items if item.skip is None]
    memory = [item.memory_bytes for item in todo if item.memory_bytes is not None]
    seconds = [item.seconds for item in todo if item.seconds is not None]
    rates = [item.case.lesson.learning_rate for item in items if item.case.lesson is not None]
    return (
        subject,
        ", ".join(f"{rate:g}" for rate in rates),
        format_bytes(max(memory)) if memory else ("?" if todo else "skipped"),
        format_duration(sum(seconds)) if seconds else ("?" if todo else "–"),
    )


def _rateless(case: Case) -> Lesson:
    assert case.lesson is not None
    return replace(case.lesson, learning_rate=0.0)


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}{'s' * (count != 1)}"
