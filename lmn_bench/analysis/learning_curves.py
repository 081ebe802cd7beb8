"""Learning curves: the mean over seeds at every step that all of them have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lmn_bench.analysis.learned import Attempt
from lmn_bench.schema import Record

What = Literal["loss", "accuracy", "training"]


@dataclass(frozen=True)
class CurvePoint:
    """One step of a curve.

    Attributes:
        step: of the training.
        seconds: spent on steps until then, if all steps took equally long; None if not known.
        mean, low, high: over seeds, of the value; low and high are its whole range.
        seeds: how many.
    """

    step: int
    seconds: float | None
    mean: float
    low: float
    high: float
    seeds: int


def learning_curve(attempt: Attempt, what: What) -> list[CurvePoint]:
    """The curve of an attempt by rising step; steps that a seed lacks are left out.

    `what`: loss or accuracy on what was not learned from, or loss of the training itself.
    """
    curves = [_values(record, what) for record in attempt.finished]
    if not curves:
        return []
    shared = sorted(set.intersection(*(set(curve) for curve in curves)))
    return [
        CurvePoint(step, _seconds(attempt.finished, step), math.fsum(values) / len(values),
                   min(values), max(values), len(values))
        for step in shared
        for values in [[curve[step] for curve in curves]]
    ]  # fmt: skip


def _values(record: Record, what: What) -> dict[int, float]:
    learned = record.learned
    if learned is None:
        return {}
    if what == "training":
        found = {int(step): float(loss) for step, loss in learned.training}
    else:
        place = 1 if what == "loss" else 2
        found = {int(point[0]): float(point[place]) for point in learned.validation}
    return {step: value for step, value in found.items() if math.isfinite(value)}


def _seconds(records: Sequence[Record], step: int) -> float | None:
    """Mean over seeds of the time until a step."""
    found = [
        record.metrics["learning_s"] * step / record.learned.steps
        for record in records
        if record.learned and record.learned.steps and "learning_s" in record.metrics
    ]
    return math.fsum(found) / len(found) if len(found) == len(records) else None
