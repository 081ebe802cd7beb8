"""Learning curves: the mean over seeds at every step that all of them have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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

    A seed that ended early because it was good enough stays as good as it was.

    `what`: loss or accuracy on what was not learned from, or loss of the training itself.
    """
    curves = [_values(record, what) for record in attempt.finished]
    if not curves or not all(curves):
        return []
    lesson = attempt.finished[0].lesson
    stays = lesson is not None and lesson.enough_accuracy is not None
    found = []
    for step in sorted(set[int]().union(*curves)):
        values = [_value_at(curve, step, stays=stays) for curve in curves]
        known = [value for value in values if value is not None]
        if len(known) == len(curves):
            mean = math.fsum(known) / len(known)
            seconds = _seconds(attempt.finished, step)
            found.append(CurvePoint(step, seconds, mean, min(known), max(known), len(known)))
    return found


def _value_at(curve: Mapping[int, float], step: int, *, stays: bool) -> float | None:
    last = max(curve)
    return curve[last] if stays and step > last else curve.get(step)


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
        record.metrics["learning_s"] * min(step / record.learned.steps, 1.0)
        for record in records
        if record.learned and record.learned.steps and "learning_s" in record.metrics
    ]
    return math.fsum(found) / len(found) if len(found) == len(records) else None
