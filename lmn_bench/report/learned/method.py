"""How models learned and how that was measured, for the section on method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lmn_bench.analysis.learned import LearnedSetting
from lmn_bench.lessons import TEXT, Learning
from lmn_bench.report.document import Section, Table
from lmn_bench.report.learned.published import published_setting
from lmn_bench.report.learned.words import (
    SIZE_TOLERANCE,
    budget_words,
    corpus_words,
    device_words,
    exception_words,
    listed,
    size_words,
)
from lmn_bench.report.left_out import left_out_of, left_out_sentences, skipped_sentences
from lmn_bench.report.method import (
    METHOD,
    printed_sentences,
    recorded_sentence,
    warning_sentences,
)
from lmn_bench.report.words import model_words
from lmn_bench.schema import Record, RunInfo

# What is said of sizes, by the tolerance that models are built to.
_TOLERANCE = f"within {SIZE_TOLERANCE:.0%}".replace("%", " %")
# How scores and differences get their intervals, in one run or over several.
STATISTICS = (
    "Intervals hold 95 %, by Student's t. A score's comes from the seeds of that model at its best "
    "learning rate alone. A difference is taken seed by seed over the seeds that both models have, "
    "as equal seeds bring equal examples in equal order; with fewer than two in common, from both "
    "models' seeds apart (Welch). Neither other models nor other rates lend their spread, and "
    "nothing is corrected for the number of comparisons."
)


def learned_method(
    info: RunInfo, settings: Sequence[LearnedSetting], records: Sequence[Record], planned: int
) -> Section:
    """Material, budget, optimizer, seeds, and how time and memory are taken.

    Args:
        info: what the run knows about itself.
        settings: what it learned.
        records: its records.
        planned: trainings that the suite asks for.
    """
    sentences = [
        *_material(settings),
        *_how(info, settings),
        *([STATISTICS] if any(one.repeated for one in settings) else []),
        "The trainings of a run go one after the other. Time: the sum over all steps; "
        "evaluating and saving are not counted. Throughput: from the median step. Peak memory: the "
        "highest resident memory from before the model is built to its last step, Python and its "
        "libraries included; CUDA: of torch's allocations.",
        "State: bytes to keep to go on after as many tokens as are learned at a time; counted, not "
        "measured.",
        recorded_sentence(info, len(records), planned, "trainings"),
        *left_out_sentences(left_out_of(info, records)),
        *skipped_sentences(records),
        *warning_sentences(info, records),
        *printed_sentences(records),
    ]
    table = _published_table(settings)
    return Section(METHOD, tuple(sentences), () if table is None else (table,))


def _material(settings: Sequence[LearnedSetting]) -> Iterator[str]:
    texts = dict.fromkeys(
        (corpus_words(one.lesson), one.lesson.examples) for one in settings
        if one.lesson.task == TEXT
    )  # fmt: skip
    for corpus, examples in texts:
        yield (
            f"Text: {corpus}. Models learn from windows at random places of its first 90 % and are "
            f"scored on at most {examples:,} windows of the last 10 %, the same for all."
        )
    tasks = dict.fromkeys(one.lesson.task for one in settings if one.lesson.task != TEXT)
    if tasks:
        counts = {one.lesson.examples for one in settings if one.lesson.task != TEXT}
        said = listed([f"{count:,}" for count in sorted(counts)])
        yield (
            f"Tasks: {listed(list(tasks))}. Examples are drawn afresh at every step; scores are "
            f"over {said} others made for the test alone, the same for all."
        )


def _how(info: RunInfo, settings: Sequence[LearnedSetting]) -> Iterator[str]:
    learning = info.suite.learning
    budgets = dict.fromkeys(budget_words(one.lesson.budget) for one in settings)
    if not budgets and learning is not None:
        budgets = {budget_words(learning.budget): None}
    shapes = dict.fromkeys(
        f"{one.setting.batch} × {one.setting.length:,} tokens" for one in settings
    )
    among = f", {listed(list(shapes))} a step" if shapes else ""
    enough = (one.lesson.enough_accuracy for one in settings)
    until = [accuracy for accuracy in enough if accuracy is not None]
    early = f"; a task ends early at an accuracy of {max(until):.0%}" if until else ""
    yield f"Budget: {listed(list(budgets))}{among}{early}."
    yield from _optimizer(settings, learning)
    if learning is not None:
        last = info.seed + learning.seeds - 1
        seeds = f"seed {info.seed}" if learning.seeds == 1 else f"seeds {info.seed} to {last}"
        yield (
            f"{learning.seeds} training{'s' * (learning.seeds != 1)} of every case, {seeds}: a "
            "seed draws the weights and the order of examples, which is the same for all models."
        )
    sizes = dict.fromkeys(size_words(one.lesson) for one in settings)
    models = dict.fromkeys(model_words(one.setting.model) for one in settings)
    own = exception_words(a.model for one in settings for a in one.attempts)
    if sizes:
        yield (
            f"Every model{own}: {listed(list(sizes))}, {_TOLERANCE}; lmn has {'; '.join(models)}, "
            "and the others the width that comes nearest."
        )
    devices = dict.fromkeys(device_words(one.setting) for one in settings)
    if devices:
        yield f"Computed on {listed(list(devices))}, float32."


def _optimizer(settings: Sequence[LearnedSetting], learning: Learning | None) -> Iterator[str]:
    known = [(one.lesson.weight_decay, one.lesson.gradient_clip) for one in settings]
    if not known and learning is not None:
        known = [(learning.weight_decay, learning.gradient_clip)]
    rates = sorted({attempt.learning_rate for one in settings for attempt in one.attempts})
    said = f" of {listed([f'{rate:g}' for rate in rates])}" if rates else ""
    for decay, clip in dict.fromkeys(known):
        clipped = f"gradients clipped to {clip:g}" if clip else "gradients not clipped"
        yield (
            f"AdamW, constant learning rate{said}, no warm-up, weight decay {decay:g}, {clipped}."
        )


def _published_table(settings: Sequence[LearnedSetting]) -> Table | None:
    rows = []
    for one in settings:
        published = published_setting(one.lesson.task)
        if published:
            rates = sorted({attempt.learning_rate for attempt in one.attempts})
            setting = one.setting
            tied = ", tied weights" * one.lesson.tie_weights
            ours = (
                f"{setting.length:,} tokens, {budget_words(one.lesson.budget)}, batch "
                f"{setting.batch}, {model_words(setting.model)}{tied}, AdamW, weight decay "
                f"{one.lesson.weight_decay:g}, learning rate {listed([f'{r:g}' for r in rates])}"
            )
            rows.append((one.lesson.task, published, ours))
    if not rows:
        return None
    note = "What fails here within our budget may be learned within theirs."
    columns = ("task", "published", "here")
    return Table("Published settings and ours", columns, tuple(rows), note, wraps=True)
