"""What a stored record or run has to be before anything is reckoned with it.

Types are seen to where they are read. Here are the values: another program, a newer lmn-bench or a
damaged disk may have written numbers that no machine measures, or names that this version does not
know.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from lmn_bench.grid import too_many_in
from lmn_bench.lessons import BUDGET_UNITS, LEARN, Budget, Lesson
from lmn_bench.metrics import METRICS
from lmn_bench.schema import (
    ALL_MODES,
    DEVICES,
    DTYPES,
    LAWS,
    Case,
    ModelSpec,
    Record,
    RunInfo,
    Suite,
    Sweep,
)
from lmn_bench.units import MAX_LENGTH

# What is measured or counted is nothing, or between these, in base units: the most that is counted
# (FLOPs of 2^40 tokens) and the least that is told apart (a share of a nanosecond) are far inside,
# and squares and ratios of such numbers are numbers still.
LEAST, LARGEST = 1e-30, 1e30
# Of settings, as suites bound them: counts as lengths are.
_MOST_COUNT = MAX_LENGTH
_MOST_REPLICATES = 10_000_000


def problem_of_record(record: Record) -> str | None:
    """Why nothing can be reckoned with a record; None if it is sound."""
    return next(_of_record(record), None)


def problem_of_run(info: RunInfo) -> str | None:
    """Why nothing can be reckoned with a run; None if it is sound.

    Names of modes and models are left to whoever plans it: a newer lmn-bench may have more.
    """
    return next(itertools.chain(_of_suite(info.suite), _of_environment(info)), None)


def _of_record(record: Record) -> Iterator[str]:
    problem = _problem_of_case(record.case)
    if problem is not None:
        yield problem
    if not 0 <= record.replicate <= _MOST_REPLICATES:
        yield f"replicate {_told(record.replicate)} is out of range"
    for key, value in record.metrics.items():
        # What is no finite number at all is told by whoever sums up, value by value.
        finite = not isinstance(value, float) or math.isfinite(value)
        if finite and not _is_sound(value):
            yield f"its {key} is {_told(value)}: {_RANGE}"
    for name, values in _rows(record):
        wrong = _unsound(values)
        if wrong is not None:
            yield f"a value of its {name} is {_told(wrong)}: {_RANGE}"


_RANGE = f"expected 0, or from {LEAST:g} to {LARGEST:g}"


def _unsound(values: Sequence[float]) -> float | None:
    """The first value that is out of range; records hold many, and nearly all of them are sound."""
    if not values or (
        min(values) >= LEAST and max(values) <= LARGEST and math.isfinite(sum(values))
    ):
        return None
    return next((value for value in values if not _is_sound(value)), None)


def _rows(record: Record) -> Iterator[tuple[str, Sequence[float]]]:
    """Numbers of a record beside its metrics, by the name of their field."""
    yield "samples_s", record.samples_s
    yield "warmup_samples_s", record.warmup_samples_s
    yield "disturbed_samples_s", record.disturbed_samples_s
    yield "memory_timeline", [value for point in record.memory_timeline for value in point]
    yield "wall_s", (record.wall_s,)
    if record.watched is not None:
        yield "watched", [v for v in vars(record.watched).values() if v is not None]
    if record.limit is not None:
        yield "limit", (record.limit.length, *record.limit.ends.values())
    learned = record.learned
    if learned is not None:
        plain = (learned.seed, learned.steps, learned.chance or 0, learned.vocabulary)
        yield "learned", (*plain, learned.resumptions)
        for points in (learned.training, learned.validation, learned.tests):
            yield "learned", [value for point in points for value in point]


@lru_cache(maxsize=4096)
def _problem_of_case(case: Case) -> str | None:
    """As `problem_of_record`; a case has many records."""
    return next(_of_case(case), None)


def _of_case(case: Case) -> Iterator[str]:
    yield from _unknown("mode", case.mode, ALL_MODES)
    yield from _unknown("device", case.device, DEVICES)
    yield from _unknown("dtype", case.dtype, DTYPES)
    counts = {"length": case.length, "batch": case.batch, "threads": case.threads}
    cap = {} if case.memory_cap_bytes is None else {"memory_cap_bytes": case.memory_cap_bytes}
    yield from _counts({**counts, **cap}, 1)
    yield from _of_model(case.model)
    if (case.mode == LEARN) != (case.lesson is not None):
        yield f"mode {case.mode} {'lacks its' if case.lesson is None else 'has a'} lesson"
    if case.lesson is not None:
        yield from _of_lesson(case.lesson)


def _of_model(model: ModelSpec) -> Iterator[str]:
    sizes = asdict(model)
    yield from _counts({"expansion": sizes.pop("expansion")}, 0)
    yield from _counts(sizes, 1)


def _of_lesson(lesson: Lesson) -> Iterator[str]:
    yield from _of_budget(lesson.budget)
    if lesson.parameters is not None:
        yield from _counts({"parameters": lesson.parameters}, 1)
    yield from _counts({"examples": lesson.examples}, 1)
    rates = (lesson.learning_rate, lesson.weight_decay, lesson.gradient_clip)
    if not all(map(_is_sound, (*rates, lesson.enough_accuracy or 0))):
        yield f"a setting of its lesson is out of range: {_RANGE}"


def _of_budget(budget: Budget) -> Iterator[str]:
    yield from _unknown("unit of a budget", budget.unit, BUDGET_UNITS)
    if not budget.amount > 0 or not _is_sound(budget.amount):
        yield f"a budget of {_told(budget.amount)} is out of range"


def _of_suite(suite: Suite) -> Iterator[str]:
    for sweep in suite.sweeps:
        yield from _of_sweep(sweep)
    measuring = suite.measuring
    yield from _counts({
        "processes": measuring.processes, "decode_window": measuring.decode_window,
        "min_samples": measuring.min_samples, "max_samples": measuring.max_samples,
    }, 1)  # fmt: skip
    waits = (measuring.timeout_s, measuring.time_goal_s, measuring.precision_goal,
             measuring.warmup_limit_s, measuring.quiet_wait_s, measuring.quiet_extra_s)  # fmt: skip
    if not all(map(_is_sound, waits)):
        yield f"a time of its measuring is out of range: {_RANGE}"
    if suite.learning is not None:
        learning = suite.learning
        yield from _of_budget(learning.budget)
        yield from _counts({
            "seeds": learning.seeds, "examples": learning.examples,
            "validate_every": learning.validate_every, "save_every": learning.save_every,
        }, 1)  # fmt: skip
        yield from _counts({"vocabulary": learning.vocabulary}, 0)
    for claim in suite.claims:
        yield from _unknown("metric", claim.metric, METRICS)
        yield from _unknown("law", claim.law, LAWS)
    excess = too_many_in(suite)
    if excess is not None:
        yield excess


def _of_environment(info: RunInfo) -> Iterator[str]:
    facts = info.environment
    yield from _counts({"logical_cores": facts.logical_cores, "seed": info.seed + 1}, 1)
    sizes = (facts.memory_bytes, facts.available_memory_bytes, facts.memory_limit_bytes or 0,
             facts.physical_cores, facts.load_average)  # fmt: skip
    gpus = [value for gpu in facts.gpus for value in (gpu.memory_bytes, gpu.power_limit_w or 0)]
    rates = [v for c in info.ceilings for v in (c.matrix_flops_per_s, c.copy_bytes_per_s)]
    if _unsound([*sizes, *gpus, *rates]) is not None:
        yield f"a fact of its machine is out of range: {_RANGE}"


def _of_sweep(sweep: Sweep) -> Iterator[str]:
    for device in sweep.device:
        yield from _unknown("device", device, DEVICES)
    for dtype in sweep.dtype:
        yield from _unknown("dtype", dtype, DTYPES)
    for axis in ("lengths", "batch", "threads", "width", "heads", "layers", "banks"):
        for value in getattr(sweep, axis):
            yield from _counts({axis: value}, 1)
    for value in sweep.expansion:
        yield from _counts({"expansion": value}, 0)
    for cap in sweep.memory_cap:
        if cap is not None:
            yield from _counts({"memory_cap": cap}, 1)
    if not all(map(_is_sound, sweep.learning_rate)):
        yield f"a learning rate is out of range: {_RANGE}"


def _unknown(what: str, name: str, known: Iterable[str]) -> Iterator[str]:
    if name not in known:
        yield f"unknown {what} {_told(name)} (of a newer lmn-bench?)"


def _counts(values: Mapping[str, int], least: int) -> Iterator[str]:
    for name, value in values.items():
        most = 2**63 - 1 if "cap" in name else _MOST_COUNT
        if not least <= value <= most:
            yield f"{name} {_told(value)} is out of range: from {least} to {most:,}"


def _is_sound(value: float) -> bool:
    return value == 0 or LEAST <= value <= LARGEST


def _told(value: Any) -> str:
    text = f"{value:.3g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
