"""What trainings say in sentences, above all tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lmn_bench.analysis.learned import LearnedSetting
from lmn_bench.lessons import TEXT
from lmn_bench.report.learned.recall import recall_answers
from lmn_bench.report.learned.sayings import Saying
from lmn_bench.report.learned.words import (
    NOT_WELL,
    ONE_SEED,
    budget_words,
    compared_words,
    how_words,
    interval_words,
    listed,
    open_words,
    own_of,
    place_words,
    scoreless,
    seeds_words,
)

# Whom the model is set against first, in words; the others follow in one sentence each.
_RIVALS = {
    "transformer": "the transformer with rotary positions",
    "transformer-learned": "the transformer with learned positions",
}


def learned_answers(settings: Sequence[LearnedSetting]) -> Iterator[str]:
    """Who learned each text best and how far apart they are; which tasks are solved and failed."""
    if not any(one.finished for one in settings):
        yield from _nothing_finished(settings)
        return
    for one in settings:
        if one.lesson.task == TEXT and one.finished:
            yield from _text_answers(one, settings)
    yield from recall_answers(settings)
    for one in settings:
        missing = scoreless(one)
        if missing:
            said = Saying.NO_SCORE_OF if one.finished else Saying.NONE_ENDED_WELL
            yield said(place=place_words(one, settings), models=listed(missing))
    if not any(one.repeated for one in settings):
        yield Saying.NO_INTERVAL(why=_unrepeated(settings))
    yield from _diverged(settings)


def _nothing_finished(settings: Sequence[LearnedSetting]) -> Iterator[str]:
    if not settings:
        yield Saying.NOTHING_YET()
        return
    ends = dict.fromkeys(r.outcome.value for one in settings for a in one.attempts
                         for r in a.records)  # fmt: skip
    said = ", ".join(ends).replace("_", " ")
    yield Saying.NOTHING_ENDED_WELL(ends=said, section=NOT_WELL)


def _unrepeated(settings: Sequence[LearnedSetting]) -> str:
    """Why no score has an interval: one seed each, or seeds that agree to the last digit."""
    seeds = [best.seeds for one in settings for s in one.finished if (best := one.best(s))]
    return ONE_SEED if max(seeds) == 1 else "all seeds of a model came out alike"


def _text_answers(one: LearnedSetting, every: Sequence[LearnedSetting]) -> Iterator[str]:
    place = place_words(one, every)
    own = own_of(one)
    yield from _lowest(one, place, own)
    others = [name for name in one.subjects if name in one.finished and name != own]
    for other in sorted(others, key=lambda name: list(_RIVALS).index(name) if name in _RIVALS
                        else len(_RIVALS)):  # fmt: skip
        found = one.difference(own, other)
        assert found is not None
        names = {"place": place, "model": own, "other": _RIVALS.get(other, other)}
        how = how_words(one, found)
        if found.same:
            yield Saying.TEXT_SAME(**names, how=compared_words(found))
        elif found.verdict == "better":
            yield Saying.TEXT_BETTER(**names, how=how)
        elif found.verdict == "worse":
            yield Saying.TEXT_WORSE(**names, how=how)
        else:
            yield Saying.TEXT_OPEN(**names, how=how, why=open_words(found))


def _lowest(one: LearnedSetting, place: str, own: str) -> Iterator[str]:
    """Whose loss is lowest, as far as the seeds show it."""
    first, *others = one.finished
    score, best = one.score(first), one.best(first)
    assert score is not None
    assert best is not None
    words = {
        "place": place, "model": first, "budget": budget_words(one.lesson.budget),
        "score": f"{interval_words(score, one.metric)} nats per token ({seeds_words(best.seeds)})",
    }  # fmt: skip
    if not others:
        yield Saying.ALONE(**words)
        return
    own_score = one.score(own)
    words["own"] = words["among"] = ""
    if first != own and own_score is not None:
        words["own"] = f", {own} {interval_words(own_score, one.metric)}"
    if scoreless(one):
        words["among"] = " of those with a score"
    unsure = [other for other in others if not _is_better(one, first, other)]
    if unsure:
        every = len(unsure) == len(others) > 1
        yield Saying.LOWEST_MEAN(**words, open="any other" if every else listed(unsure))
    else:
        yield Saying.LOWEST(**words)


def _is_better(one: LearnedSetting, subject: str, other: str) -> bool:
    found = one.difference(subject, other)
    return found is not None and found.verdict == "better"


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
        yield Saying.DIVERGED(rates=listed(said))
