"""The words that reports of trainings share: lessons, scores, differences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields

from lmn_bench.analysis.intervals import Interval, exponential
from lmn_bench.analysis.learned import LOSS, Attempt, Difference, LearnedSetting
from lmn_bench.lessons import TEXT, Budget, Lesson
from lmn_bench.report.words import OWN_SUBJECT, SHORT_OUTCOME, model_words
from lmn_bench.schema import Case, ModelSpec
from lmn_bench.subjects.names import is_user_subject
from lmn_bench.units import format_change, format_duration, format_number, format_ratio

# The section of trainings without a score.
NOT_WELL = "Trainings that did not end well"
# Models are built to the asked number of parameters within this; a user's own are not.
SIZE_TOLERANCE = 0.01
# From twice the size on, sizes are told as a multiple.
_TIMES = 2.0
# What no report may leave out where nothing was repeated.
ONE_SEED = "one seed: another may come out otherwise"
# A loss is told to this many places, or to what its interval leaves of them.
_PLACES = 3
_MOST_PLACES = 5
# Of a corpus' hash: enough to tell two texts apart.
HASH_DIGITS = 12
# What has words of its own in `unlike`.
_TOLD = {
    "task",
    "corpus",
    "corpus_sha256",
    "tokens",
    "learning_rate",
    "budget",
    "parameters",
    "tie_weights",
}


def material_words(lesson: Lesson) -> str:
    """What is learned, in a name: python-docs, mqar-64."""
    return lesson.corpus or "text" if lesson.task == TEXT else lesson.task


def corpus_words(lesson: Lesson) -> str:
    """A corpus with its hash and its tokens; a task's name."""
    if lesson.task != TEXT:
        return lesson.task
    # Before a run the corpus has not been read.
    digits = lesson.corpus_sha256[:HASH_DIGITS]
    return material_words(lesson) + f" (sha256 {digits}…)" * bool(digits) + f" in {lesson.tokens}"


def budget_words(budget: Budget) -> str:
    """How long is learned: 5,000 steps; 1,000,000 tokens; 10 min of steps."""
    if budget.unit == "s":
        return f"{format_duration(budget.amount)} of steps"
    return f"{budget.amount:,.0f} {budget.unit}"


def size_words(lesson: Lesson) -> str:
    """How large every model is."""
    tied = ", embedding and head tied" * lesson.tie_weights
    if lesson.parameters is None:
        return f"as many parameters as lmn{tied}"
    return f"{lesson.parameters:,} parameters{tied}"


def device_words(setting: Case) -> str:
    """Device and threads: cpu, 2 threads."""
    threads = f", {setting.threads} thread{'s' * (setting.threads != 1)}"
    return setting.device + (threads if setting.device == "cpu" else "")


def setting_title(setting: Case) -> str:
    """A setting as a heading: what is learned comes first."""
    lesson = _lesson(setting)
    return (
        f"Learning {material_words(lesson)}, {budget_words(lesson.budget)} of "
        f"{setting.batch} × {setting.length:,} tokens, {device_words(setting)}, "
        f"{model_words(setting.model)}"
    )


def place_words(one: LearnedSetting, every: Sequence[LearnedSetting]) -> str:
    """The name of a setting among all of a run: what tells it from others of the same material."""
    lesson = one.lesson
    name = material_words(lesson)
    same = [other for other in every if material_words(other.lesson) == name]
    found = [
        words
        for other in same
        if other.setting != one.setting
        for words in unlike(one.setting, other.setting)
    ]
    return f"{name} ({', '.join(dict.fromkeys(found))})" if found else name


def score_words(value: float, metric: str, half: float | None = None) -> str:
    """A score: 2.296, 97.3%; to what its interval leaves of it."""
    if metric == LOSS:
        return f"{value:.{_places(half)}f}"
    return percent(value)


def percent(share: float) -> str:
    """A share: 97.3%, 0.024%."""
    if 0 < share < 0.001:
        return f"{format_number(share * 100, 2)}%"
    return f"{share * 100:.1f}%"


def interval_words(value: Interval, metric: str) -> str:
    """A score with half its interval: 2.296 ± 0.006, 97.3% ± 0.4."""
    half = half_width(value)
    text = score_words(value.estimate, metric, half)
    return text if half is None else f"{text} ± {_half(half, metric)}"


def difference_cell(found: Difference, metric: str) -> str:
    """A difference with its sign and verdict: +0.046 ± 0.010 worse."""
    half = half_width(found.value)
    if found.same:
        return "the same"
    if metric == LOSS:
        text = f"{found.value.estimate:+.{_places(half)}f}"
    else:
        text = f"{found.value.estimate * 100:+.1f}"
    return (text if half is None else f"{text} ± {_half(half, metric)}") + f" {found.verdict}"


def difference_words(found: Difference, metric: str) -> str:
    """How far a subject is from another: 0.046 ± 0.010 nats per token worse (perplexity +4.7 %)."""
    value, half = found.value.estimate, half_width(found.value)
    less = "less" if value < 0 else "more"
    if metric == LOSS:
        size = f"{abs(value):.{_places(half)}f}"
        unit = f"nats per token {less} (perplexity {format_change(exponential(value))})"
    else:
        size, unit = f"{abs(value) * 100:.1f}", f"percentage points {less}"
    within = "" if half is None else f" ± {_half(half, metric)}"
    return f"{size}{within} {unit}"


def own_of(one: LearnedSetting) -> str:
    """The model that the others are set against: ours, its first version, or the best one."""
    own = next((name for name in one.subjects if _is_own(one, name) and name in one.finished), None)
    return own or one.finished[0]


def _is_own(one: LearnedSetting, name: str) -> bool:
    return one.of(name)[0].model == OWN_SUBJECT


def size_gap_words(one: LearnedSetting, subject: str, other: str) -> str:
    """How much larger a model is, where that is more than sizes may differ: " with 12 % more …"."""
    mine, its = _parameters(one, subject), _parameters(one, other)
    if not mine or not its or abs(mine / its - 1) <= SIZE_TOLERANCE:
        return ""
    ratio = mine / its
    if ratio >= _TIMES:
        return f"with {format_ratio(ratio)} the parameters"
    change = format_change(ratio)
    return f"with {change.lstrip('+-')} {'more' if ratio > 1 else 'fewer'} parameters"


def _parameters(one: LearnedSetting, subject: str) -> float | None:
    best = one.best(subject)
    return None if best is None else best.metric_mean("parameters")


def exception_words(subjects: Iterable[str]) -> str:
    """Whose size is not ours to set: ", but mine:make, as large as it was built"; else empty."""
    own = list(dict.fromkeys(name for name in subjects if is_user_subject(name)))
    built = "it was" if len(own) == 1 else "they were"
    return f", but {listed(own)}, as large as {built} built" if own else ""


def ends_words(attempts: Sequence[Attempt]) -> str:
    """How trainings without a score ended: OOM, diverged."""
    ends = (
        SHORT_OUTCOME.get(record.outcome, "no score")
        for attempt in attempts
        for record in attempt.records
    )
    return ", ".join(dict.fromkeys(ends))


def scoreless(one: LearnedSetting) -> list[str]:
    """The models of which no training has a score, with how they ended: lmn (OOM)."""
    return [
        f"{name} ({ends_words(one.of(name))})" for name in one.subjects if name not in one.finished
    ]


def half_width(value: Interval) -> float | None:
    """Half an interval that lies evenly around its estimate; None without one."""
    return None if value.high is None else value.high - value.estimate


def compared_words(found: Difference) -> str:
    """How many seeds a difference comes from: over 3 paired seeds; 3 seeds against 2."""
    one, other = found.seeds
    if found.paired:
        return f"over {one} paired seeds"
    return f"{seeds_words(one)} against {other}" if max(one, other) > 1 else ""


def seeds_words(count: int) -> str:
    """A number of seeds: 1 seed, 3 seeds."""
    return f"{count} seed{'s' * (count != 1)}"


def how_words(one: LearnedSetting, found: Difference) -> str:
    """All of a difference: how far, over which seeds, with sizes and seeds that are unlike."""
    said = [
        difference_words(found, one.metric),
        compared_words(found),
        size_gap_words(one, found.subject, found.other),
        *(lost_words(one, name) for name in (found.subject, found.other)),
    ]
    return ", ".join(filter(None, said))


def lost_words(one: LearnedSetting, subject: str) -> str:
    """That not all seeds of a score ended well: "of gru 2 of 3 seeds ended well"; else empty."""
    best = one.best(subject)
    if best is None or best.seeds == len(best.records):
        return ""
    return f"of {subject} {best.seeds} of {len(best.records)} seeds ended well"


def open_words(found: Difference) -> str:
    """Why a difference tells nothing."""
    return "no interval" if found.value.low is None else "the interval holds 0"


def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them: a, b and c."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def unlike(one: Case, other: Case) -> list[str]:
    """What a setting says where it differs from another; the other says as much the other way."""
    mine, its = _lesson(one), _lesson(other)
    said = []
    if (mine.corpus_sha256, mine.tokens) != (its.corpus_sha256, its.tokens):
        said.append(f"{mine.corpus_sha256[:HASH_DIGITS]}…, {mine.tokens}")
    if mine.budget != its.budget:
        said.append(budget_words(mine.budget))
    if (one.batch, one.length) != (other.batch, other.length):
        said.append(f"{one.batch} × {one.length:,} tokens")
    if (one.device, one.threads) != (other.device, other.threads):
        said.append(device_words(one))
    said += [
        f"{f.name} {getattr(one.model, f.name)}"
        for f in fields(ModelSpec)
        if getattr(one.model, f.name) != getattr(other.model, f.name)
    ]
    if size_words(mine) != size_words(its):
        said.append(size_words(mine))
    for name in (f.name for f in fields(Lesson) if f.name not in _TOLD):
        if getattr(mine, name) != getattr(its, name):
            said.append(f"{name.replace('_', ' ')} {getattr(mine, name)}")
    return said


def _half(half: float, metric: str) -> str:
    return f"{half:.{_places(half)}f}" if metric == LOSS else f"{half * 100:.1f}"


def _places(half: float | None) -> int:
    """Places of a loss: more where its interval is so narrow that they tell something."""
    places = _PLACES
    while half and half < 2 * 10**-places and places < _MOST_PLACES:
        places += 1
    return places


def _lesson(setting: Case) -> Lesson:
    assert setting.lesson is not None
    return setting.lesson
