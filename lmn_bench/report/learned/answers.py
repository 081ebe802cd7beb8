"""What trainings say in sentences, above all tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lmn_bench.analysis.learned import LearnedSetting
from lmn_bench.lessons import TEXT
from lmn_bench.report.learned.recall import recall_answers
from lmn_bench.report.learned.words import (
    NOT_WELL,
    ONE_SEED,
    budget_words,
    compared_words,
    difference_words,
    interval_words,
    listed,
    own_of,
    place_words,
    scoreless,
    seeds_words,
    size_gap_words,
)

# Whom the model is set against first, in words; the others follow in one sentence each.
_RIVALS = {
    "transformer": "the transformer with rotary positions",
    "transformer-learned": "the transformer with learned positions",
}
_VERDICT = {"better": "learned better than", "worse": "learned worse than"}


def learned_answers(settings: Sequence[LearnedSetting]) -> Iterator[str]:
    """Who learned each text best and how far apart they are; which tasks are solved and failed."""
    if not any(one.finished for one in settings):
        yield _nothing_finished(settings)
        return
    for one in settings:
        if one.lesson.task == TEXT and one.finished:
            yield from _text_answers(one, settings)
    yield from recall_answers(settings)
    for one in settings:
        missing = scoreless(one)
        if missing:
            ended = "no score of" if one.finished else "no training ended well:"
            yield f"{place_words(one, settings)}: {ended} {listed(missing)}."
    if not any(one.repeated for one in settings):
        yield f"No score has an interval ({ONE_SEED})."
    yield from _diverged(settings)


def _nothing_finished(settings: Sequence[LearnedSetting]) -> str:
    if not settings:
        return "Nothing was learned yet: no training of this run has ended."
    ends = dict.fromkeys(r.outcome.value for one in settings for a in one.attempts
                         for r in a.records)  # fmt: skip
    said = ", ".join(ends).replace("_", " ")
    return f"No training ended well ({said}): there is no score (see “{NOT_WELL}” in the report)."


def _text_answers(one: LearnedSetting, every: Sequence[LearnedSetting]) -> Iterator[str]:
    place = place_words(one, every)
    own = own_of(one)
    yield f"{place}: {_best_words(one, own)} after {budget_words(one.lesson.budget)}."
    others = [name for name in one.subjects if name in one.finished and name != own]
    for other in sorted(others, key=lambda name: list(_RIVALS).index(name) if name in _RIVALS
                        else len(_RIVALS)):  # fmt: skip
        found = one.difference(own, other)
        assert found is not None
        against = _RIVALS.get(other, other)
        gap = size_gap_words(one, own, other)
        how = ", ".join(
            filter(None, (difference_words(found, one.metric), compared_words(found), gap))
        )
        if found.same:
            yield f"{place}: {own} and {against} came out the same, {compared_words(found)}."
        elif found.verdict in _VERDICT:
            yield f"{place}: {own} {_VERDICT[found.verdict]} {against}: {how}."
        else:
            why = "no interval" if found.value.low is None else "the interval holds 0"
            yield (
                f"{place}: whether {own} learned better or worse than {against} cannot be told "
                f"({why}): {how}."
            )


def _best_words(one: LearnedSetting, own: str) -> str:
    """For example: lmn has the lowest validation loss, 2.296 ± 0.006 nats per token (3 seeds)."""
    first = one.finished[0]
    score, best = one.score(first), one.best(first)
    assert score is not None
    assert best is not None
    said = f"{interval_words(score, one.metric)} nats per token ({seeds_words(best.seeds)})"
    if len(one.finished) == 1:
        return f"{first} has a validation loss of {said}"
    text = f"{first} has the lowest validation loss, {said}"
    own_score = one.score(own)
    if first != own and own_score is not None:
        text += f", {own} {interval_words(own_score, one.metric)}"
    return text


def _diverged(settings: Sequence[LearnedSetting]) -> Iterator[str]:
    """For example: Diverged: gru at learning rate 0.01 (2 of 3 seeds)."""
    found: dict[tuple[str, float], list[int]] = {}
    for one in settings:
        for attempt in one.attempts:
            if attempt.diverged:
                counts = found.setdefault((attempt.subject, attempt.learning_rate), [0, 0])
                counts[0] += attempt.diverged
                counts[1] += len(attempt.records)
    if found:
        said = [
            f"{subject} at learning rate {rate:g} ({some} of {all_} trainings)"
            for (subject, rate), (some, all_) in found.items()
        ]
        yield f"Diverged: {listed(said)}."
