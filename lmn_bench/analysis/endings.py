"""How far the processes of a case got, as far as that says something of its model.

That a model ran out of time or memory is told of it only where processes enough truly ended so, at
this length or at a shorter one. A case that was skipped, or that failed for another reason, is no
slow one: nothing is known of its time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from lmn_bench.analysis.results import CaseResult, Series
from lmn_bench.outcomes import time_limit_in
from lmn_bench.plain import one_line
from lmn_bench.schema import BACKSTOP_OUTCOMES, Case, Outcome
from lmn_bench.units import format_cap

Kind = Literal["finished", "partly", "ran out", "unproved", "failed", "skipped", "absent"]
Limit = Literal["time", "memory", "time or memory"]

_PARTLY = {
    Outcome.TIMEOUT: "timed out",
    Outcome.OUT_OF_MEMORY: "ran out of memory",
    Outcome.KILLED: "killed",
}
_REASON_LIMIT = 80
# One process may have met a bad moment of the machine; where two ran out and none finished, the
# schedule starts no third.
_CONFIRMED = 2


@dataclass(frozen=True)
class Ending:
    """How a case ended.

    Attributes:
        kind: "finished": it has values, and no process ran out of time or memory; "partly": it has
            values, but some processes ran out, so that those which are left may be the quick ones;
            "ran out": it has none, and two processes or more, all that were started, ran out of
            time or memory, here or at a shorter length; "unproved": the same of one process, or by
            a limit that says nothing of the model; "failed": an error, wrong output, or killed from
            outside; "skipped": never started; "absent": not in the run.
        words: what is said of it behind the model's name: "did not finish within 60 s …"; empty of
            one that finished.
        limit: what ran out.
        at: the shorter length at which it ran out, where this one was skipped for that.
    """

    kind: Kind
    words: str = ""
    limit: Limit | None = None
    at: int | None = None


def ending(series: Series, length: int) -> Ending:
    """How the case of a series at one length ended."""
    result = series.get(length)
    if result is None:
        return Ending("absent", "was not measured")
    if result.outcome is Outcome.OK:
        return _finished(result)
    tried = _tried(result)
    if not tried:
        return _skipped(series, result)
    if set(tried) <= BACKSTOP_OUTCOMES and not _is_outside(result, tried):
        return _ran_out(result, tried)
    word = result.outcome.value.replace("_", " ")
    why = f": {one_line(result.reason, _REASON_LIMIT)}" if result.reason else ""
    if result.outcome is Outcome.KILLED:
        return Ending("failed", f"was killed{why}")
    return Ending("failed", f"failed ({word}{why})")


def _tried(result: CaseResult) -> dict[Outcome, int]:
    """How the processes that were started ended."""
    return {end: count for end, count in result.ends.items() if end is not Outcome.SKIPPED}


def _finished(result: CaseResult) -> Ending:
    tried = _tried(result)
    short = {end: count for end, count in tried.items() if end in _PARTLY}
    if not short:
        return Ending("finished")
    whole = sum(tried.values())
    said = " and ".join(f"{count} {_PARTLY[end]}" for end, count in short.items())
    return Ending("partly", f"finished in {tried.get(Outcome.OK, 0)} of {whole} processes: {said}")


def _is_outside(result: CaseResult, tried: dict[Outcome, int]) -> bool:
    """Whether anything may have killed it: without a cap of ours, a signal tells no limit."""
    return Outcome.KILLED in tried and result.case.memory_cap_bytes is None


def _ran_out(result: CaseResult, tried: dict[Outcome, int]) -> Ending:
    count = sum(tried.values())
    processes = "the one process that was tried" if count == 1 else f"each of {count} processes"
    timed_out = Outcome.TIMEOUT in tried
    limit: Limit = "memory" if not timed_out else "time" if len(tried) == 1 else "time or memory"
    words = f"{_limit_words(result, limit)} in {processes}"
    # Compiling takes of the same time, and says nothing of a call.
    if result.case.compile and timed_out:
        return Ending("unproved", f"{words}, compiling included", limit)
    return Ending("ran out" if count >= _CONFIRMED else "unproved", words, limit)


def _limit_words(result: CaseResult, limit: Limit) -> str:
    if limit == "time":
        told = time_limit_in(result.reason or "")
        return f"did not finish within {told}" if told else "did not finish in time"
    return f"ran out of {limit}{_cap_words(result.case)}"


def _cap_words(case: Case) -> str:
    return "" if case.memory_cap_bytes is None else f" under {format_cap(case.memory_cap_bytes)}"


def _skipped(series: Series, result: CaseResult) -> Ending:
    """By the shorter length that it was skipped for, if it was: if that ran out, this would."""
    limit = result.limit
    if limit is not None and limit.length < result.case.length:
        shorter = ending(series, limit.length)
        if shorter.kind in ("ran out", "unproved"):
            return replace(shorter, at=limit.length)
    why = f" ({one_line(result.reason, _REASON_LIMIT)})" if result.reason else ""
    return Ending("skipped", f"was skipped{why}")
