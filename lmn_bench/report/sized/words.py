"""How answers about hardware are said."""

from __future__ import annotations

from collections.abc import Sequence

from lmn_bench.schema import Case
from lmn_bench.sizing.find import DeviceAnswer, smallest_enough
from lmn_bench.sizing.question import (
    Basis,
    Latency,
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
    format_times,
)

NOTHING = "–"
FITS = {True: "fits", False: "does not fit", None: "cannot tell"}
NO_LIMIT = "no limit"
# What stops a number from being larger; all else is the end of what was looked at.
LIMITS = ("memory", "latency", "throughput")
# Known to more than this share of itself, an amount makes a factor of two digits at most.
_ROUGH = 0.10


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


def verdict_words(one: SubjectAnswer) -> str:
    """Whether the limits are kept; "likely" where that rests on an estimate."""
    if one.fits is None:
        return FITS[None]
    if one.fits and one.memory is not None and not one.limits.any:
        return NO_LIMIT
    if one.fits and one.memory is not None and one.memory.basis is Basis.COUNTED:
        return "fits by count"
    return FITS[one.fits] if one.sure else f"likely {FITS[one.fits]}"


def device_words(one: DeviceAnswer) -> str:
    """Whether a device is enough; "likely" where an estimate of its speed says so."""
    return "likely fits" if one.answer.fits is None and one.enough else verdict_words(one.answer)


def smallest_sentence(devices: Sequence[DeviceAnswer]) -> str:
    """Which device is the first that is enough, and what is known of the smaller ones."""
    first = smallest_enough(devices)
    if first is None:
        untold = [one.profile.title for one in devices if one.enough is None]
        if untold:
            return (
                f"No device of {len(devices)} is shown to be enough; it cannot be told of "
                f"{', '.join(untold)}."
            )
        return f"No device of {len(devices)} is enough."
    smaller = devices[: devices.index(first)]
    need = first.answer.memory
    assert need is not None  # it is enough
    took = f"{need_words(need)} of {format_bytes(first.answer.limits.memory_bytes or 0)}"
    if first.answer.latency is not None:
        took += f", {latency_words(first.answer.latency)} a {unit_of(first.answer.case)}"
    untold = [one.profile.title for one in smaller if one.enough is None]
    doubt = f"; of {', '.join(untold)}, smaller, it cannot be told" if untold else ""
    short = len(smaller) - len(untold)
    less = f"; {short} smaller of {len(devices)} devices {'is' if short == 1 else 'are'} not"
    return (
        f"The smallest device that is enough: {first.profile.title} ({device_words(first)}: "
        f"{took}){less * (short > 0)}{doubt}."
    )


def limits_words(question: Question) -> str:
    """The limits as they are asked for; empty without any."""
    limits, said = question.limits, []
    if limits.memory_bytes is not None:
        profile = question.profile
        left = profile is not None and limits.memory_bytes == profile.usable_bytes
        system = profile.system_bytes if left and profile is not None else 0
        less = f" ({format_bytes(system)} are left to its system)" if system else ""
        said.append(f"{format_bytes(limits.memory_bytes)} of memory{less}")
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
    name, verdict = one.name, verdict_words(one)
    if one.memory is None:
        told = f"{name}: {verdict}" if one.fits is None else f"{name} {verdict}"
        return f"{told}: {'; '.join(one.reasons)}."
    took = need_words(one.memory)
    if one.latency is not None:
        took += f", {latency_words(one.latency)} a {unit_of(one.case)}"
    because = f" ({'; '.join(one.reasons)})" if one.reasons else ""
    # What one machine did is no promise for another.
    where = f" on {one.elsewhere}, where it was measured, not here" if one.elsewhere else ""
    if verdict == NO_LIMIT:
        return f"{name} takes {took}{where}{because}."
    told = f": {verdict}{where}" if one.fits is None else f" {verdict}{where}"
    return f"{name}{told}: {took}{because}."


def saving_sentence(one: SubjectAnswer, other: SubjectAnswer) -> str | None:
    """What the choice of model saves; None where memory is not known, or nothing is taken."""
    if one.memory is None or other.memory is None:
        return None
    mine, theirs = (need.state + need.working for need in (one.memory, other.memory))
    if mine <= 0:
        return None
    said = f"On top of program and weights, {other.name} takes {_held_words(other.memory)}"
    if theirs <= 0:
        return f"{said}, {one.name} {_held_words(one.memory)}."
    ratio, about = theirs / mine, ""
    if _is_rough(one.memory) or _is_rough(other.memory):
        ratio, about = _two_digits(ratio), "about "
    times = format_times(ratio)
    return f"{said}, {about}{times} what {one.name} takes ({_held_words(one.memory)})."


def _two_digits(ratio: float) -> float:
    rounded = float(f"{max(ratio, 1 / ratio):.2g}")
    return rounded if ratio >= 1 else 1 / rounded


def _held_words(need: MemoryNeed) -> str:
    rough = f" ± {format_bytes(need.high - need.total)}" if _is_rough(need) else ""
    return f"{format_bytes(need.state + need.working)}{rough}"


def _is_rough(need: MemoryNeed) -> bool:
    """Whether what is held is known too roughly for a factor of three digits."""
    return need.high - need.total > _ROUGH * (need.state + need.working)


def need_words(need: MemoryNeed) -> str:
    """A whole need with the sign for an estimate."""
    return f"{'~' * need.basis.is_estimate}{format_bytes(need.total)}"


def latency_words(latency: Latency) -> str:
    """A latency with the word for how sure it is."""
    value = format_seconds(latency.seconds.estimate)
    if latency.basis is Basis.BOUND:
        return f"at least {value}"
    return f"~{value}" if latency.basis.is_estimate else value


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


def most_words(most: Most | None) -> str:
    """The most of something, and what stops it."""
    if most is None or (most.value == 0 and most.stopped_by not in LIMITS):
        return NOTHING
    about = "~" if most.scaled and most.value else ""
    open_end = "" if most.stopped_by in LIMITS else "≥ "
    why = f" ({most.stopped_by})" if most.stopped_by in LIMITS else ""
    return f"{open_end}{about}{most.value:,}{why}{', not measured' * bool(most.beyond)}"


def sought_sentence(name: str, what: str, most: Most) -> str | None:
    """What a size that was found rests on; None where it was measured."""
    if not most.scaled or most.value == 0:
        return None
    if most.beyond:
        place = f"not measured: beyond {most.beyond}, which were"
    else:
        place = "between sizes that were measured"
    return f"{name}: {what} {most.value:,} is an estimate, {place}"


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
