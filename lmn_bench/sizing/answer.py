"""The answer to a question: does it fit, how fast, and how far one could go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from lmn_bench.errors import SubjectError
from lmn_bench.malloc import LEAN_VARIABLES
from lmn_bench.schema import DEFAULT_MALLOC, LEAN_MALLOC, Case
from lmn_bench.sizing.checks import checks_of
from lmn_bench.sizing.evidence import Evidence, is_exact
from lmn_bench.sizing.memory import measured_total
from lmn_bench.sizing.predictor import CUDA_CONTEXT_BYTES, Predictor, predictor
from lmn_bench.sizing.question import (
    Answer,
    CurvePoint,
    Doubt,
    Limits,
    Most,
    Question,
    SubjectAnswer,
)
from lmn_bench.subjects.names import BUILTIN
from lmn_bench.subjects.sizes import feedforward_width
from lmn_bench.units import format_bytes, format_length

LARGEST_BATCH = 2**16


def answer(question: Question, found: Sequence[Evidence], counted: str = "") -> Answer:
    """Answer a question for all of its subjects.

    Args:
        question: what is asked.
        found: series of stored runs, the latest run first.
        counted: how memory is counted in them, in words.
    """
    answers, curves = [], {}
    for subject in question.subjects:
        case = replace(question.case, subject=subject)
        try:
            if subject in BUILTIN:
                feedforward_width(subject, case.model)
        except SubjectError as error:
            answers.append(_unknown(case, question.limits, error.message))
            continue
        known = predictor(subject, question, found)
        if known is None:
            answers.append(_unknown(case, question.limits, why_none(found, case)))
            continue
        answers.append(subject_answer(known, case))
        curves[subject] = tuple(_curve(known, case))
    malloc = found[0].malloc if found else DEFAULT_MALLOC
    native = question.profile is not None and not question.profile.runs_python
    how = [counted] if counted and not native else []
    assumptions = (*how, *_assumptions(question, answers, malloc))
    return Answer(question, tuple(answers), assumptions, curves)


def subject_answer(known: Predictor, case: Case) -> SubjectAnswer:
    """What is known of one subject at one case."""
    limits = known.question.limits
    inside = case.length <= known.longest
    memory = known.memory(case) if inside else None
    latency = known.latency(case) if inside else None
    checks = list(checks_of(case, memory, latency, known))
    fits = _together([check.fits for check in checks])
    deciding = [check for check in checks if check.fits is fits]
    return SubjectAnswer(
        name=case.subject,
        case=case,
        limits=limits,
        fits=fits,
        memory=memory,
        latency=latency,
        longest_context=longest_context(known, case),
        largest_batch=largest_batch(known, case) if inside else None,
        reasons=tuple(check.reason for check in checks if check.reason),
        evidence=known.evidence.words
        + ("" if known.evidence.here else f", measured on {known.evidence.machine}"),
        elsewhere=None if known.evidence.here else known.evidence.machine,
        doubts=tuple(dict.fromkeys(check.doubt for check in checks if check.doubt)),
        # It fits if every limit is kept; it does not if a single one isn't.
        sure=any(c.sure for c in deciding) if fits is False else all(c.sure for c in deciding),
        no_latency=None if latency is not None or not inside else known.why_not(case),
    )


def _together(told: Sequence[bool | None]) -> bool | None:
    if False in told:
        return False
    return None if None in told else True


def longest_context(known: Predictor, case: Case) -> Most | None:
    """The longest context that keeps all limits; None without any evidence that bears on it."""
    most = _most(
        lambda n: stopped_by(known, replace(case, length=n)), known.longest, "validated range"
    )
    return replace(most, scaled=_is_estimate(known, replace(case, length=max(1, most.value))))


def largest_batch(known: Predictor, case: Case) -> Most | None:
    """The largest batch likewise, at the context asked for."""
    most = _most(lambda n: stopped_by(known, replace(case, batch=n)), LARGEST_BATCH, "search")
    return replace(most, scaled=_is_estimate(known, replace(case, batch=max(1, most.value))))


def _is_estimate(known: Predictor, case: Case) -> bool:
    """Whether what keeps the limits at a case is an estimate, or has no upper end."""
    limits, latency = known.question.limits, known.latency(case)
    if known.memory(case).basis.is_estimate:
        return True
    timed = (limits.latency_s, limits.tokens_per_s) != (None, None)
    return timed and latency is not None and latency.seconds.high is None


def stopped_by(known: Predictor, case: Case) -> str | None:
    """The limit that a case exceeds, or may exceed; None if it keeps all of them."""
    limits = known.question.limits
    if limits.memory_bytes is not None and known.memory(case).high > limits.memory_bytes:
        return "memory"
    if limits.latency_s is None and limits.tokens_per_s is None:
        return None
    latency = known.latency(case)
    shortest = min(known.evidence.needed)
    if latency is None and case.length < shortest:
        # Quicker than the shortest that was measured, but nobody knows by how much.
        case = replace(case, length=shortest)
        latency = known.latency(case)
    if latency is None:
        return "validated range"
    seconds = latency.seconds.high or latency.seconds.estimate
    if limits.latency_s is not None and seconds > limits.latency_s:
        return "latency"
    tokens = case.batch * (1 if case.mode == "decode" else case.length)
    if limits.tokens_per_s is not None and tokens / seconds < limits.tokens_per_s:
        return "throughput"
    return None


def _most(stop: Callable[[int], str | None], limit: int, at_limit: str) -> Most:
    """The largest number up to `limit` that nothing stops, by bisection."""
    first = stop(1)
    if first is not None:
        return Most(0, first)
    if stop(limit) is None:
        return Most(limit, at_limit)
    low, high = 1, limit
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if stop(middle) is None else (low, middle)
    return Most(low, stop(high) or at_limit)


def _curve(known: Predictor, case: Case) -> Iterator[CurvePoint]:
    """What the charts show: octaves to the end of what is promised, and the context itself."""
    lengths = {case.length} if case.length <= known.longest else set()
    lengths.update(known.evidence.needed)
    octave = known.evidence.longest
    while octave <= known.longest:
        lengths.add(octave)
        octave *= 2
    exact = is_exact(known.evidence, case)
    for length in sorted(lengths):
        there = replace(case, length=length)
        total = measured_total(known.evidence, there, known.question.floor_bytes)
        took = known.evidence.medians.get(length) if exact else None
        if known.question.profile is not None:
            # What was measured here is no mark of another device.
            total = took = None
        yield CurvePoint(length, known.memory(there), known.latency(there), total, took)


def _unknown(case: Case, limits: Limits, reason: str) -> SubjectAnswer:
    return SubjectAnswer(
        case.subject, case, limits, None, None, None, None, None, (reason,), "",
        doubts=(Doubt.NOT_MEASURED,),
    )  # fmt: skip


def why_none(found: Sequence[Evidence], case: Case) -> str:
    """Why no run tells anything of a case."""
    own = [one.series for one in found if (one.series.subject, one.series.mode) == (
        case.subject, case.mode)]  # fmt: skip
    if not own:
        return f"no run measured it in {case.mode}"
    for key, asked in (("device", case.device), ("dtype", case.dtype)):
        measured = sorted({str(getattr(one, key)) for one in own})
        if asked not in measured:
            return f"measured in {', '.join(measured)}: another {key} is not foretold from it"
    if case.threads and case.threads not in {one.threads for one in own}:
        threads = ", ".join(str(count) for count in sorted({one.threads for one in own}))
        return f"measured with {threads} threads: others are not foretold from it"
    sizes = "; ".join(dict.fromkeys(f"{one.model.label}, batch {one.batch}" for one in own))
    return (
        f"measured at {sizes}: a model of your own has no formula, and is foretold in the sizes "
        "that were measured alone"
    )


def _assumptions(
    question: Question, answers: Sequence[SubjectAnswer], malloc: str
) -> Iterator[str]:
    case = question.case
    if question.floor_bytes is not None:
        yield f"the process itself is taken to hold {format_bytes(question.floor_bytes)}"
    elif question.profile is not None and question.profile.kind == "gpu":
        yield (
            f"a GPU's floor is taken to be {format_bytes(CUDA_CONTEXT_BYTES)}, its context, and "
            "the model to need what it needs on a CPU"
        )
    elif question.profile is not None and not question.profile.runs_python:
        yield (
            f"{question.profile.title} runs no Python: counted are weights, state and a buffer of "
            "one layer's activations; the program's code may stay in flash"
        )
    else:
        yield "the floor is Python and PyTorch as measured; --floor takes another in its place"
    if question.profile is not None and question.profile.system_bytes:
        yield (
            f"of the {format_bytes(question.profile.memory_bytes)} of {question.profile.title}, "
            f"{format_bytes(question.profile.system_bytes)} are left to its operating system, an "
            "allowance"
        )
    if case.mode == "decode":
        yield (
            f"the context of {format_length(case.length)} tokens has been read; a parallel prefill "
            "of it needs more, see --mode prefill"
        )
    native = question.profile is not None and not question.profile.runs_python
    yield (
        "intervals reach from weights and state alone to all that is counted, stack and tables too"
        if native
        else "intervals are of 95 %; the longest context and largest batch keep their upper ends"
    )
    if malloc == LEAN_MALLOC and not native:
        yield (
            f"malloc is set lean, as {LEAN_VARIABLES} in the environment does; as glibc comes, it "
            "is faster and takes more memory"
        )
    if any(one.memory is not None and one.case.subject not in BUILTIN for one in answers):
        yield "models of your own have no formula: their memory is foretold by what was measured"
