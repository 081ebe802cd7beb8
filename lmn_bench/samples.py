"""What the raw samples of one process say: pure arithmetic, for whoever measures or compares."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

from lmn_bench.errors import StoreError
from lmn_bench.schema import Outcome, Record

# What disturbs a process only ever slows it: the quick rounds are the code's own, and a quarter of
# them is still too many to hang on a lucky one. On a shared machine this quantile differed half as
# much between processes as the median did.
QUIET_SHARE = 0.25
_LOW = "latency_low_s"


def low_latency_s(samples_s: Sequence[float], mode: str, decode_window: int) -> float:
    """Lower quartile over the timed rounds of one process (s): its latency when little disturbs it.

    A round is one sample, but in decode a pass: its value is the mean step of the window.

    Args:
        samples_s: all timed samples of the process in order, as a record keeps them; in decode
            `decode_window` + 1 steps per pass, the one before the window first.
        mode: of the case.
        decode_window: of the run.

    Raises:
        ValueError: there are no samples, or in decode no whole number of passes.
    """
    steps = decode_window + 1 if mode == "decode" else 1
    if not samples_s or len(samples_s) % steps:
        raise ValueError(f"{len(samples_s)} samples are no rounds of {steps}")
    passes = (samples_s[start : start + steps] for start in range(0, len(samples_s), steps))
    return quantile([statistics.fmean(one[1:] or one) for one in passes], QUIET_SHARE)


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of `values` lie, interpolated between neighbours.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    return below + (above - below) * (place - math.floor(place))


def with_low_latency(record: Record, decode_window: int) -> Record:
    """The record with its `latency_low_s`: those older than that metric have the samples for it.

    Raises:
        StoreError: its samples are no whole rounds.
    """
    if record.outcome is not Outcome.OK or not record.samples_s or _LOW in record.metrics:
        return record
    try:
        low_s = low_latency_s(record.samples_s, record.mode, decode_window)
    except ValueError as error:
        raise StoreError(
            f"{record.case_id}, process {record.replicate}: {error}, so that its {_LOW} cannot be "
            "worked out",
            "measure anew",
        ) from error
    return replace(record, metrics={**record.metrics, _LOW: low_s})
