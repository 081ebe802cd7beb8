"""What a suite says of mode learn: its `[learning]` table, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from lmn_bench.errors import Problem
from lmn_bench.lessons import LEARN, TEXT, Budget, Learning
from lmn_bench.subjects.names import BUILTIN, LEARNERS, is_user_subject
from lmn_bench.suite_file import BUDGET_KEYS, MAX_TABLES, MAX_VALUES, LearningTable

# Axes of a sweep that mode learn has no use for, with the only value that they may have.
_FIXED = {"dtype": "float32", "memory_cap": "none", "compile": False, "cuda_graph": False}
# Axes that only mode learn has.
_OWN = ("task", "learning_rate")
# Keys of `[learning]` that only a text heeds, and one that only tasks do.
_OF_TEXT = ("corpus", "tokens")
_OF_TASKS = "enough_accuracy"
_BUDGETS = "steps = …, token_budget = … or time_budget_s = …"


def learning_of(table: LearningTable | None) -> Learning | None:
    """The settings of a valid `[learning]` table."""
    if table is None:
        return None
    given = table.model_dump(exclude_none=True)
    budgets = [Budget(given.pop(key), unit) for key, unit in BUDGET_KEYS.items() if key in given]
    return Learning(**given, budget=budgets[0])


def learning_problems(data: Mapping[str, Any], origins: Mapping[str, str]) -> Iterator[Problem]:
    """What is wrong with learning in a suite as it stands in the file."""
    defaults, tables = data.get("defaults", {}), data.get("sweep", [])
    shared = defaults if isinstance(defaults, Mapping) else {}
    sweeps = [
        (f"sweep[{place}]", {**shared, **table})
        for place, table in enumerate(tables[:MAX_TABLES] if isinstance(tables, list) else [])
        if isinstance(table, Mapping)
    ]
    learns = [LEARN in _items(axes.get("modes")) for _, axes in sweeps]
    if any(learns):
        yield from _table_problems(data, origins)
        tasks = {
            task
            for (_, axes), learning in zip(sweeps, learns, strict=True)
            if learning
            for task in _items(axes.get("task", TEXT))
            if isinstance(task, str)
        }
        yield from _idle_options(tasks, origins)
    elif "learning" in data:
        key = next((key for key in _keys(data["learning"]) if key in origins), None)
        yield Problem(
            origins[key] if key else "learning",
            "no sweep of this suite learns",
            'it goes with sweeps of modes = ["learn"]',
        )
    for (place, axes), learning in zip(sweeps, learns, strict=True):
        if learning:
            yield from _learning_sweep(place, axes, origins)
        else:
            yield from _other_sweep(place, axes, origins, among_learning=any(learns))


def _table_problems(data: Mapping[str, Any], origins: Mapping[str, str]) -> Iterator[Problem]:
    """What is wrong beside the sweeps of a suite that learns."""
    table = data.get("learning")
    given = [key for key in BUDGET_KEYS if key in _keys(table)]
    if len(given) != 1:
        what = f"has {' and '.join(given)}" if given else "says not how long to learn"
        yield Problem("learning", what, f"give one of {_BUDGETS}")
    options = [origins[key] for key in BUDGET_KEYS if key in origins]
    if len(options) > 1:
        yield Problem(" and ".join(options), "both say how long to learn", "give one of them")
    for key in _keys(data.get("measuring")):
        yield Problem(
            origins.get(key, f"measuring.{key}"),
            "a suite that learns times no single calls",
            "leave it out; how often is seeds, under [learning]",
        )
    if data.get("claim"):
        yield Problem("claim", "a suite that learns claims no laws", "leave it out")


def _idle_options(tasks: Collection[Any], origins: Mapping[str, str]) -> Iterator[Problem]:
    """Options that none of the tasks heeds; a file may well hold keys that options make idle."""
    if TEXT not in tasks:
        for key in _OF_TEXT:
            if key in origins:
                yield Problem(
                    origins[key], "no sweep of this suite learns from a text",
                    "leave it out, or choose a suite that does: language, language-quick",
                )  # fmt: skip
    if tasks == {TEXT} and _OF_TASKS in origins:
        yield Problem(
            origins[_OF_TASKS], "no sweep of this suite learns a task",
            "leave it out, or choose a suite that does: recall, recall-quick",
        )  # fmt: skip


def _learning_sweep(
    place: str, axes: Mapping[str, Any], origins: Mapping[str, str]
) -> Iterator[Problem]:
    if any(mode != LEARN for mode in _items(axes.get("modes"))):
        yield Problem(f"{place}.modes", "learn goes in sweeps of its own", 'modes = ["learn"]')
    for key, only in _FIXED.items():
        if any(value not in (only, None) for value in _items(axes.get(key, only))):
            yield Problem(
                origins.get(key, f"{place}.{key}"), f"mode learn knows no {key} but {only}",
                "leave it out",
            )  # fmt: skip
    if TEXT not in _items(axes.get("task", TEXT)) and "lengths" in axes:
        yield Problem(
            origins.get("lengths", f"{place}.lengths"), "tasks have lengths of their own",
            "leave it out, and choose a task: lmn-bench list tasks",
        )  # fmt: skip
    for subject in _items(axes.get("subjects")):
        if isinstance(subject, str) and subject in BUILTIN and subject not in LEARNERS:
            yield Problem(
                origins.get("subjects", f"{place}.subjects"), f"{subject} does not learn",
                f"models that do: {', '.join(LEARNERS)}",
            )  # fmt: skip


def _other_sweep(
    place: str, axes: Mapping[str, Any], origins: Mapping[str, str], *, among_learning: bool
) -> Iterator[Problem]:
    if among_learning:
        yield Problem(
            f"{place}.modes", "other sweeps of this suite learn",
            "a suite learns or it measures calls: make two files",
        )  # fmt: skip
        return
    for key in _OWN:
        if key in axes:
            yield Problem(
                origins.get(key, f"{place}.{key}"), f"{key} is for mode learn alone",
                'leave it out, or take modes = ["learn"]',
            )  # fmt: skip
    for subject in _items(axes.get("subjects")):
        known = isinstance(subject, str) and subject not in BUILTIN
        if known and not is_user_subject(subject) and subject.partition("@")[0] in LEARNERS:
            yield Problem(
                origins.get("subjects", f"{place}.subjects"), f"{subject} is for mode learn alone",
                f"models to measure: {', '.join(BUILTIN)}",
            )  # fmt: skip


def needs_lengths(axes: Mapping[str, Any]) -> bool:
    """Whether a sweep as it stands in the file has to say lengths."""
    tasks = _items(axes.get("task", TEXT))
    return LEARN not in _items(axes.get("modes")) or TEXT in tasks


def _keys(table: Any) -> list[str]:
    return list(table) if isinstance(table, Mapping) else []


def _items(value: Any) -> Sequence[Any]:
    return value[:MAX_VALUES] if isinstance(value, list | tuple) else [value]
