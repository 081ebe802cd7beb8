"""How answers about hardware are said."""

from __future__ import annotations

from lmn_bench.schema import Case
from lmn_bench.sizing.find import DeviceAnswer
from lmn_bench.sizing.question import (
    Basis,
    Latency,
    Limits,
    MemoryNeed,
    Most,
    Question,
    SubjectAnswer,
)
from lmn_bench.sizing.trial import Found
from lmn_bench.units import (
    format_bytes,
    format_count,
    format_length,
    format_seconds,
)

NOTHING = "–"
FITS = {True: "fits", False: "does not fit", None: "cannot tell"}


def question_sentence(question: Question) -> str:
    """The question in one sentence."""
    case = question.case
    model = case.model
    what = "decoding at a context of" if case.mode == "decode" else f"{case.mode} of"
    size = f"width {model.width}, {model.layers} layer{'s' * (model.layers != 1)}"
    batch = f", batch {case.batch}" if case.batch > 1 else ""
    place = f" on {question.profile.title}" if question.profile else ""
    return (
        f"{case.subject} ({size}, {case.dtype}): {what} {format_length(case.length)} tokens"
        f"{batch}{place}{limits_words(question)}"
    )


def device_words(one: DeviceAnswer) -> str:
    """Whether a device is enough; "likely" where an estimate of its speed says so."""
    answer, limits = one.answer, one.answer.limits
    if answer.fits is not None or answer.memory is None or answer.latency is None:
        return FITS[answer.fits]
    if answer.latency.basis is not Basis.ROOFLINE or not _keeps(answer.memory.high, limits):
        return FITS[None]
    seconds, tokens = answer.latency.seconds.estimate, answer.tokens_per_s or 0.0
    quick = limits.latency_s is None or seconds <= limits.latency_s
    return "likely" if quick and tokens >= (limits.tokens_per_s or 0.0) else FITS[None]


def _keeps(memory: float, limits: Limits) -> bool:
    return limits.memory_bytes is None or memory <= limits.memory_bytes


def limits_words(question: Question) -> str:
    """The limits as they are asked for; empty without any."""
    limits, said = question.limits, []
    if limits.memory_bytes is not None:
        said.append(f"{format_bytes(limits.memory_bytes)} of memory")
    if limits.latency_s is not None:
        said.append(f"{format_seconds(limits.latency_s)} a {unit_of(question.case)}")
    if limits.tokens_per_s is not None:
        said.append(f"{format_count(limits.tokens_per_s)} token/s")
    return f", within {', '.join(said)}" if said else ""


def unit_of(case: Case) -> str:
    """What a latency is of."""
    return "token" if case.mode == "decode" else "sequence"


def verdict_sentence(one: SubjectAnswer) -> str:
    """Whether a subject fits, and what it takes."""
    name = one.name
    if one.memory is None:
        verdict = f"{name}: {FITS[None]}" if one.fits is None else f"{name} {FITS[one.fits]}"
        return f"{verdict}: {'; '.join(one.reasons)}."
    took = f"{format_bytes(one.memory.total)}"
    if one.latency is not None:
        took += f", {latency_words(one.latency)} a {unit_of(one.case)}"
    because = f" ({'; '.join(one.reasons)})" if one.reasons else ""
    where = f", as measured on {one.elsewhere}, not on this machine" if one.elsewhere else ""
    return f"{name} {FITS[one.fits]}: {took}{because}{where}."


def latency_words(latency: Latency) -> str:
    """A latency with the word for how sure it is."""
    value = format_seconds(latency.seconds.estimate)
    if latency.basis is Basis.BOUND:
        return f"at least {value}"
    return f"~{value}" if latency.basis in (Basis.SCALED, Basis.ROOFLINE) else value


def interval_words(low: float | None, high: float | None, unit: str) -> str:
    """Both ends in brackets, or a dash where there are none."""
    write = format_bytes if unit == "B" else format_seconds
    if low is None and high is None:
        return NOTHING
    if high is None:
        return f"≥ {write(low or 0.0)}"
    return f"[{write(low or 0.0)}, {write(high)}]"


def found_sentence(one: Found) -> str:
    """What a bisection found, beside what was foretold."""
    if one.error is None:
        return f"{one.subject}: nothing that was tried fitted, from {one.foretold:,} tokens down."
    return (
        f"{one.subject}: {one.found:,} tokens are the longest that fitted; {one.foretold:,} were "
        f"foretold ({100 * one.error:+.1f} %)."
    )


def most_words(most: Most | None, case: Case) -> str:
    """The most of something, and what stops it."""
    if most is None:
        return NOTHING
    if most.stopped_by in ("validated range", "search"):
        return f"≥ {most.value:,}"
    about = "~" if most.scaled and most.value else ""
    return f"{about}{most.value:,} ({most.stopped_by})"


def time_left_words(latency: Latency, limit_s: float | None) -> str:
    """What is left of the time."""
    if limit_s is None:
        return NOTHING
    left = limit_s - latency.seconds.estimate
    return format_seconds(left) if left >= 0 else f"-{format_seconds(-left)}"


def margin_words(need: MemoryNeed, limit: int | None) -> str:
    """What is left of the memory."""
    if limit is None:
        return NOTHING
    left = limit - need.total
    return format_bytes(left) if left >= 0 else f"-{format_bytes(-left)}"
