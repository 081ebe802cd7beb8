"""The charts of trainings: accuracy against state, and scores in the course of a training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lmn_bench.analysis.learned import LOSS, LearnedSetting
from lmn_bench.analysis.learning_curves import CurvePoint, What, learning_curve
from lmn_bench.lessons import TEXT
from lmn_bench.report.chart import Chart, Panel, Score, Series
from lmn_bench.report.learned.words import (
    interval_words,
    percent,
    place_words,
    score_words,
    seeds_words,
)
from lmn_bench.schema import Case, ModelSpec
from lmn_bench.units import format_bytes, format_seconds


@dataclass(frozen=True)
class LearnedSource:
    """What was learned in one setting.

    Attributes:
        found: the trainings.
        every: all settings of the report, which a panel's name has to tell this one from.
        series: of every subject of the report, its own colour and shape in all charts.
    """

    found: LearnedSetting
    every: tuple[LearnedSetting, ...]
    series: Mapping[str, Series]


def state_chart(sources: Sequence[LearnedSource], key: str) -> Chart | None:
    """Accuracy against the bytes of the state, a panel per task.

    Sizes of one model in the same task stand in one panel, joined by a line.
    """
    panels: dict[Case, list[LearnedSource]] = {}
    for source in sources:
        if source.found.lesson.task != TEXT:
            panels.setdefault(_sizeless(source.found.setting), []).append(source)
    drawn = []
    for found in panels.values():
        scores = tuple(score for source in found for score in _state_scores(source))
        if scores:
            chance = found[0].found.chance
            drawn.append(Panel(_panel_title(found), scores=scores, chance=chance,
                               chance_words=_chance_words(chance)))  # fmt: skip
    if not drawn:
        return None
    return Chart(
        key=key,
        title="Accuracy against state",
        reading="Up and to the left is better: more right answers with less memory of the text. "
        "Marks are means over seeds at the best learning rate with 95 % intervals, where there are "
        "several seeds; dashed is chance.",
        kind="scores",
        x_title="state kept per sequence",
        y_title="accuracy",
        unit="share",
        series=_series(sources, {score.series for panel in drawn for score in panel.scores}),
        panels=tuple(drawn),
    )


def curve_charts(source: LearnedSource, key: str, *, by_time: bool) -> tuple[Chart, ...]:
    """Scores of one setting against steps, and against the time of steps where `by_time`."""
    what: What = "loss" if source.found.metric == LOSS else "accuracy"
    if not _tells(source, what):
        # Validated once, at the end: the course is told by the training itself.
        what = "training"
        if not _tells(source, what):
            return ()
    title = {"loss": "Validation loss", "accuracy": "Accuracy", "training": "Training loss"}[what]
    better = "Higher" if what == "accuracy" else "Lower"
    reading = (
        f"{better} is better; the mean over seeds of every model at its best learning rate, and "
        "around it the range from the worst seed to the best."
    )
    if what == "training":
        reading += " It was validated once, at the end: these are the batches learned from."
    chance = source.found.chance if what == "accuracy" else None
    found = []
    axes = {"steps": "steps", **({"time": "time spent on steps"} if by_time else {})}
    for x, axis in axes.items():
        scores = tuple(_curve(source, what, x))
        if not scores:
            continue
        panel = Panel("", scores=scores, chance=chance, chance_words=_chance_words(chance))
        found.append(
            Chart(
                key=f"{key}-{what}-{x}",
                title=f"{title} against {x} · {place_words(source.found, source.every)}",
                reading=reading,
                kind="curves",
                x_title=axis,
                y_title=title.lower() + ("" if what == "accuracy" else ", nats per token"),
                unit="share" if what == "accuracy" else "nat/token",
                series=_series([source], {score.series for score in scores}),
                panels=(panel,),
            )
        )
    return tuple(found)


def _state_scores(source: LearnedSource) -> Iterator[Score]:
    one = source.found
    for subject in one.subjects:
        best = one.best(subject)
        state = None if best is None else best.metric_mean("state_bytes")
        if best is None or not state:
            continue
        value = one.interval(best)
        ends = [None if end is None else min(max(end, 0.0), 1.0) for end in (value.low, value.high)]
        hint = f"{interval_words(value, one.metric)}, {seeds_words(best.seeds)}"
        yield Score(subject, state, value.estimate, ends[0], ends[1],
                    format_bytes(state), hint)  # fmt: skip


def _curve(source: LearnedSource, what: What, x: str) -> Iterator[Score]:
    metric = "accuracy" if what == "accuracy" else LOSS
    for subject in source.found.subjects:
        for point in _points(source, subject, what):
            place = float(point.step) if x == "steps" else point.seconds
            if place is None:
                continue
            at = f"{point.step:,} steps"
            if point.seconds is not None:
                at += f", {format_seconds(point.seconds)}"
            ends = f"{score_words(point.low, metric)} to {score_words(point.high, metric)}"
            several = point.seeds > 1
            yield Score(
                subject, place, point.mean, point.low if several else None,
                point.high if several else None, at,
                f"{ends}, {seeds_words(point.seeds)}" if several else seeds_words(1),
            )  # fmt: skip


def _points(source: LearnedSource, subject: str, what: What) -> list[CurvePoint]:
    best = source.found.best(subject)
    return [] if best is None else learning_curve(best, what)


def _tells(source: LearnedSource, what: What) -> bool:
    """Whether any curve has two points."""
    return any(len(_points(source, subject, what)) > 1 for subject in source.found.subjects)


def _chance_words(chance: float | None) -> str:
    return "" if chance is None else percent(chance)


def _sizeless(setting: Case) -> Case:
    """A setting without the sizes of its models."""
    assert setting.lesson is not None
    return replace(setting, model=ModelSpec(), lesson=replace(setting.lesson, parameters=None))


def _panel_title(sources: Sequence[LearnedSource]) -> str:
    """The task, with what tells it from the same task under other settings."""
    first = sources[0]
    here = _sizeless(first.found.setting)
    others = [one for one in first.every if _sizeless(one.setting) != here]
    return place_words(first.found, [first.found, *others])


def _series(sources: Sequence[LearnedSource], shown: set[str]) -> tuple[Series, ...]:
    found = (source.series[subject] for source in sources for subject in source.found.subjects)
    return tuple(dict.fromkeys(one for one in found if one.name in shown))
