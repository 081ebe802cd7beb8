"""What of a suite was not measured here, and why: cases left out, and cases skipped."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from lmn_bench.plan import NO_GPU, all_cases
from lmn_bench.schema import Outcome, Record, RunInfo

# So many reasons are told; the rest is counted.
_REASONS_TOLD = 4
# The backstop names the length that each series came to, a reason of its own for every series.
_AT_LENGTH = re.compile(r" at length [\d,]+")


def left_out_sentences(left_out: Mapping[str, int]) -> list[str]:
    """Why cases on CUDA are no part of a run, and how many; see `plan.left_out`."""
    return [
        f"CUDA cases left out: {reason} ({count:,} case{'s' * (count != 1)})."
        for reason, count in left_out.items()
    ]


def left_out_of(info: RunInfo, records: Sequence[Record]) -> dict[str, int]:
    """As `plan.left_out`, of a run that is stored.

    Runs of before they were left out have records of them, which are skipped ones.
    """
    reason = info.no_cuda if info.environment.gpus else NO_GPU
    recorded = {record.case for record in records}
    count = sum(case.device == "cuda" and case not in recorded for case in all_cases(info.suite))
    return {reason: count} if reason and count else {}


def skip_reasons(records: Sequence[Record]) -> dict[str, int]:
    """How many processes were skipped for each reason, the most frequent first."""
    counts = Counter(
        _AT_LENGTH.sub(" at this length or a shorter one", record.reason or "no reason is recorded")
        for record in records
        if record.outcome is Outcome.SKIPPED
    )
    return dict(counts.most_common())


def skipped_sentences(records: Sequence[Record]) -> list[str]:
    """How many processes were skipped and why; nothing where none was."""
    reasons = skip_reasons(records)
    told = [f"{count:,} × {reason}" for reason, count in list(reasons.items())[:_REASONS_TOLD]]
    if rest := sum(list(reasons.values())[_REASONS_TOLD:]):
        told.append(f"{rest:,} × other reasons (`lmn-bench show` has them)")
    return [f"Skipped: {'; '.join(told)}."] if told else []
