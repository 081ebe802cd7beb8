"""One limit after the other: whether it is kept, how sure that is, and why it can't be told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lmn_bench.schema import Case
from lmn_bench.sizing.predictor import Predictor
from lmn_bench.sizing.question import Doubt, Latency, MemoryNeed
from lmn_bench.units import format_bytes, format_count, format_length, format_seconds

# An estimate this near to a limit is on its edge, however well it is known; one that is further
# away and yet untellable is known too roughly.
NEAR = 0.10
# A value without an interval, from one or two measured lengths, is not trusted nearer than this.
TRUSTED_FACTOR = 2


@dataclass(frozen=True)
class Check:
    """Whether one limit is kept.

    Attributes:
        fits: True or False, or None if it cannot be told.
        reason: why not, or why it can't be told; empty where it is kept.
        sure: whether it rests on what was measured, or on what is counted exactly.
        doubt: what makes it untellable; None where it is told.
    """

    fits: bool | None
    reason: str = ""
    sure: bool = True
    doubt: Doubt | None = None


def checks_of(
    case: Case, memory: MemoryNeed | None, latency: Latency | None, known: Predictor
) -> Iterator[Check]:
    """Every limit of the question that can be looked at; none where there is no limit.

    Args:
        case: what is asked about.
        memory: of it; None where the context is out of reach.
        latency: of it, where there is one.
        known: what they were foretold by.
    """
    limits = known.question.limits
    if memory is None:
        yield _out_of_reach(case, known)
        return
    if limits.memory_bytes is not None:
        yield _memory_check(memory, limits.memory_bytes)
    if limits.latency_s is None and limits.tokens_per_s is None:
        return
    if latency is None:
        yield Check(None, known.why_not(case), doubt=Doubt.NOT_MEASURED)
        return
    tokens = case.batch * (1 if case.mode == "decode" else case.length)
    if limits.latency_s is not None:
        words = f"of {format_seconds(limits.latency_s)} allowed"
        yield _latency_check(latency, limits.latency_s, words)
    if limits.tokens_per_s is not None:
        words = f"for {format_count(limits.tokens_per_s)} token/s"
        yield _latency_check(latency, tokens / limits.tokens_per_s, words)


def _out_of_reach(case: Case, known: Predictor) -> Check:
    """Beyond the range: what is too much within it is too much beyond it, too."""
    limit = known.question.limits.memory_bytes
    need = known.memory(replace(case, length=known.longest))
    if limit is not None and need.low > limit:
        words = (
            f"{format_length(known.longest)} tokens need {format_bytes(need.low)} at least, of "
            f"{format_bytes(limit)}"
        )
        return Check(False, words, sure=not need.basis.is_estimate)
    return Check(None, known.range_words, doubt=Doubt.BEYOND)


def _memory_check(need: MemoryNeed, limit: int) -> Check:
    words = (
        f"needs {format_bytes(need.total)} [{format_bytes(need.low)}, {format_bytes(need.high)}] "
        f"of {format_bytes(limit)}"
    )
    exact = need.parameters + need.state
    sure = not need.basis.is_estimate or exact > limit
    return _within(need.total, need.low, need.high, limit, words, sure=sure)


def _latency_check(latency: Latency, limit_s: float, words: str) -> Check:
    seconds, estimated = latency.seconds, latency.basis.is_estimate
    low = seconds.estimate if seconds.low is None else seconds.low
    took = f"a call takes {'~' * estimated}{format_seconds(seconds.estimate)}"
    if seconds.high is None:
        # A bound, or too few lengths: too slow can be told, quick enough cannot.
        bounded = seconds.low is not None
        if low > (limit_s if bounded else TRUSTED_FACTOR * limit_s):
            return Check(False, f"{took}, {words}", sure=bounded)
        return Check(None, f"{took}, {words}: {Doubt.NO_INTERVAL}", doubt=Doubt.NO_INTERVAL)
    said = f"{took} [{format_seconds(low)}, {format_seconds(seconds.high)}], {words}"
    return _within(seconds.estimate, low, seconds.high, limit_s, said, sure=not estimated)


def _within(
    estimate: float, low: float, high: float, limit: float, words: str, *, sure: bool
) -> Check:
    if high <= limit:
        return Check(True, sure=sure)
    if low > limit:
        return Check(False, words, sure=sure)
    if abs(estimate / limit - 1) <= NEAR:
        return Check(None, f"{words}: too near to tell", doubt=Doubt.NEAR)
    return Check(None, f"{words}: known too roughly to tell", doubt=Doubt.WIDE)
