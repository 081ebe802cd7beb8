"""The tables of trainings: how well, at what cost, by length, and every single one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lmn_bench.analysis.learned import LOSS, Attempt, LearnedSetting
from lmn_bench.lessons import TEXT
from lmn_bench.metrics import METRICS
from lmn_bench.report.document import Section, Table
from lmn_bench.report.learned.recall import definitions, ends_of, seeds_cell
from lmn_bench.report.learned.words import (
    NOT_WELL,
    ONE_SEED,
    difference_cell,
    ends_words,
    interval_words,
    material_words,
    own_of,
    percent,
    place_words,
    score_words,
    scoreless,
)
from lmn_bench.report.words import SHORT_OUTCOME
from lmn_bench.schema import Outcome, Record
from lmn_bench.units import format_bytes, format_count, format_seconds, format_value

_NOTHING = "–"
# Accuracies further apart than this are no noise around a mean: seeds end in different places.
_ALL_OR_NOTHING = 0.2
_FEW_SEEDS = (
    "Two seeds leave one degree of freedom: half an interval is then 9 times the deviation of "
    "seeds; with a third it is 2.5 times."
)
_LONGEST_HEADING = 12
_COST_NOTE = (
    "State: what is kept to go on after as many tokens as are learned at a time. tokens/s: by the "
    "median step. Time: of all steps. Peak: of memory, Python and its libraries included. Means "
    "over the same seeds as above."
)


def learned_tables(one: LearnedSetting, *, costs: bool = True) -> tuple[Table, ...]:
    """Quality, accuracy by length where several were tested, and cost; the best model first."""
    tables = [quality_table(one), lengths_table(one), cost_table(one) if costs else None]
    return tuple(table for table in tables if table is not None)


def cost_tables(settings: Sequence[LearnedSetting]) -> tuple[Table, ...]:
    """Size and cost of every setting, each under its name."""
    found = ((one, cost_table(one)) for one in settings)
    return tuple(
        replace(table, caption=place_words(one, settings))
        for one, table in found
        if table is not None
    )


def quality_table(one: LearnedSetting) -> Table | None:
    """Score of every model at its best learning rate, and its difference to ours."""
    if not one.finished:
        return None
    text = one.metric == LOSS
    own = own_of(one)
    chance = f", chance {percent(one.chance)}" if one.chance is not None else ""
    caption = "Validation loss, nats per token" if text else f"Accuracy{chance}"
    rows: list[tuple[str, ...]] = []
    for subject in _ordered(one):
        best = one.best(subject)
        if best is None:
            end = ends_words(one.of(subject))
            rows.append((subject, end, _NOTHING, _seeds(one.of(subject)), _NOTHING, _NOTHING))
            continue
        found = one.difference(subject, own) if subject != own else None
        cell = _NOTHING if found is None else difference_cell(found, one.metric)
        score = interval_words(one.interval(best), one.metric)
        rate = f"{best.learning_rate:g}"
        rows.append((subject, score, rate, _seeds([best]), cell, _state(best)))
    score_title = "loss" if text else "accuracy"
    # A heading is never cut, so that a long name would squeeze all other columns.
    short = len(own) <= _LONGEST_HEADING
    against = f"against {own}" if short else "difference"
    columns: tuple[str, ...] = ("model", score_title, "rate", "n", against, "state")
    if text:
        # What a text takes of memory stands with its cost; a task is about it.
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    note = _quality_note(one) + ("" if short else f" Difference: against {own}.")
    return Table(caption, columns, tuple(rows), note, whole=True)


def cost_table(one: LearnedSetting) -> Table | None:
    """Size, throughput, time and memory of every model at its best learning rate."""
    rows = []
    for subject in _ordered(one):
        best = one.best(subject)
        if best is not None:
            rate = best.metric_mean("tokens_per_s")
            rows.append((
                subject, _count(best, "parameters"), _metric(best, "state_bytes"),
                _NOTHING if rate is None else format_count(rate),
                _metric(best, "learning_s"), _metric(best, "peak_memory_bytes"),
            ))  # fmt: skip
    columns = ("model", "parameters", "state", "tokens/s", "time", "peak")
    return Table("Size and cost", columns, tuple(rows), _COST_NOTE, whole=True) if rows else None


def lengths_table(one: LearnedSetting) -> Table | None:
    """Accuracy at every length that was tested; None where there is one length or none."""
    tested = {s: best.by_length() for s in one.finished if (best := one.best(s)) is not None}
    lengths = sorted({length for found in tested.values() for length in found})
    if len(lengths) < 2:
        return None
    rows = tuple(
        (subject, *(percent(found[n]) if n in found else _NOTHING for n in lengths))
        for subject, found in tested.items()
    )
    note = (
        f"Mean over seeds at the best learning rate; learned at {one.setting.length:,} tokens. "
        f"Each length has {one.lesson.examples:,} examples of its own, made for this last test: "
        f"at {one.setting.length:,} tokens others than those of the score above, which they differ "
        "from by chance."
    )
    return Table("Accuracy by length", ("model", *(f"{n:,}" for n in lengths)), rows, note)


def ends_table(settings: Sequence[LearnedSetting]) -> Table | None:
    """A row per task: who solved it and who failed it in how many seeds, who has no score."""
    rows: list[tuple[str, ...]] = []
    for one in settings:
        if one.lesson.task != TEXT:
            ends = ends_of(one).items()
            groups = [
                [seeds_cell(name, end.solved, end.seeds) for name, end in ends if end.solved],
                [seeds_cell(name, end.failed, end.seeds) for name, end in ends if end.failed],
                scoreless(one),
            ]
            cells = [", ".join(group) or _NOTHING for group in groups]
            rows.append((place_words(one, settings), *cells))
    if not rows:
        return None
    columns: tuple[str, ...] = ("task", "solved by", "failed by", "no score")
    if all(row[-1] == _NOTHING for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return Table("Tasks solved and failed", columns, tuple(rows), definitions(), wraps=True)


def every_training(settings: Sequence[LearnedSetting]) -> Section | None:
    """Every learning rate and seed, one after the other."""
    tables = []
    for one in settings:
        rows = [_training_row(attempt, record, seed, one.metric)
                for subject in _ordered(one)
                for attempt in sorted(one.of(subject), key=lambda a: a.learning_rate)
                for record, seed in zip(attempt.records, attempt.numbers, strict=True)]  # fmt: skip
        score = "loss" if one.metric == LOSS else "accuracy"
        columns = ("model", "rate", "seed", score, "steps", "time", "ended")
        caption = place_words(one, settings)
        tables.append(Table(caption, columns, tuple(rows), whole=True))
    return Section("Every training", tables=tuple(tables), folded=True) if tables else None


def unfinished(settings: Sequence[LearnedSetting]) -> Section | None:
    """Every training without a score, and why; equal ends stand together."""
    grouped: dict[tuple[str, str, str, str], list[int]] = {}
    for one in settings:
        for attempt in one.attempts:
            for record, seed in zip(attempt.records, attempt.numbers, strict=True):
                if record not in attempt.finished:
                    what = f"{material_words(one.lesson)}, rate {attempt.learning_rate:g}"
                    reason = _reason(record, attempt)
                    key = (record.outcome.value, reason, attempt.subject, what)
                    grouped.setdefault(key, []).append(seed)
    if not grouped:
        return None
    rows = tuple(
        (outcome, reason, subject, what, ", ".join(map(str, seeds)))
        for (outcome, reason, subject, what), seeds in grouped.items()
    )
    note = (
        "Diverged is a result: at this learning rate the loss is no number any more."
        if any(outcome == Outcome.DIVERGED.value for outcome, *_ in grouped)
        else ""
    )
    columns = ("outcome", "reason", "model", "what", "seeds")
    table = Table("", columns, rows, note, wraps=True)
    return Section(NOT_WELL, tables=(table,))


def _training_row(attempt: Attempt, record: Record, seed: int, metric: str) -> tuple[str, ...]:
    learned, score = record.learned, record.metrics.get(metric)
    ended = record in attempt.finished
    return (
        attempt.subject, f"{attempt.learning_rate:g}", str(seed),
        score_words(score, metric) if ended and score is not None else _NOTHING,
        f"{learned.steps:,}" if learned else _NOTHING,
        format_seconds(record.metrics["learning_s"]) if "learning_s" in record.metrics
        else _NOTHING,
        "ok" if ended else SHORT_OUTCOME.get(record.outcome, "no score"),
    )  # fmt: skip


def _quality_note(one: LearnedSetting) -> str:
    """How an interval comes about, and what choosing a rate does to a score."""
    said = ["n: seeds."]
    if not one.repeated:
        said.append(f"No interval: {ONE_SEED}.")
    else:
        said.append(
            "±: half of a 95 % interval by Student's t, a score's from the model's own seeds, a "
            "difference's seed by seed where both have two or more in common. Better, worse: that "
            "interval excludes 0; of equal pairs one in twenty does so by chance."
        )
        if min(_counts(one)) < 3:
            said.append(_FEW_SEEDS)
        if one.metric != LOSS and _widest(one) > _ALL_OR_NOTHING:
            said.append(
                "Seeds differ widely, as where some find the solution and others don't: look at "
                "every training, and not at the mean alone."
            )
    tried = {len(one.of(subject)) for subject in one.finished}
    if max(tried) > 1:
        rates = " or ".join(map(str, sorted(tried)))
        said.append(
            f"Rate: the best of {rates} learning rates, chosen by the same validation data: "
            "the score is a little too good for that."
        )
        if any(len({attempt.seeds for attempt in one.of(s)}) > 1 for s in one.finished):
            said.append("Of rates, only those with the most seeds are chosen from.")
    if len(set(_counts(one))) > 1:
        said.append(
            "Models have unequal numbers of seeds: a difference over those in common is not that "
            "of the two scores."
        )
    return " ".join(said)


def _counts(one: LearnedSetting) -> list[int]:
    """How many seeds every score is the mean of."""
    return [best.seeds for s in one.finished if (best := one.best(s)) is not None]


def _widest(one: LearnedSetting) -> float:
    """The most that seeds of one model differ by."""
    scores = [best.scores for s in one.finished if (best := one.best(s)) is not None]
    return max(max(values) - min(values) for values in scores)


def _ordered(one: LearnedSetting) -> list[str]:
    """Models with a score, the best first, then the others."""
    return [*one.finished, *(s for s in one.subjects if s not in one.finished)]


def _seeds(attempts: Sequence[Attempt]) -> str:
    """Seeds that ended well, of all where some did not: 3; 2 of 3."""
    good = sum(attempt.seeds for attempt in attempts)
    every = sum(len(attempt.records) for attempt in attempts)
    return str(good) if good == every else f"{good} of {every}"


def _reason(record: Record, attempt: Attempt) -> str:
    if record.outcome is not Outcome.OK:
        return record.reason or ""
    return f"{METRICS[attempt.metric].title} is no finite number"


def _state(attempt: Attempt) -> str:
    state = attempt.metric_mean("state_bytes")
    return _NOTHING if state is None else format_bytes(state)


def _count(attempt: Attempt, metric: str) -> str:
    value = attempt.metric_mean(metric)
    return _NOTHING if value is None else f"{value:,.0f}"


def _metric(attempt: Attempt, metric: str) -> str:
    return format_value(attempt.metric_mean(metric), METRICS[metric].unit)
