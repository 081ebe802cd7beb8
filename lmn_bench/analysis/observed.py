"""Measurements that anyone brings: rows of x, y and perhaps a process."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmn_bench.analysis.sample import Sample, crossed_sample, sample_of
from lmn_bench.disturbance import ENOUGH


def observed_sample(
    x: Sequence[float], y: Sequence[float], processes: Sequence[str] | None
) -> tuple[Sample, list[str]]:
    """A sample of rows, and what about them makes its verdicts less sure.

    Several rows of one process at one x count as their median. Without processes, every row counts
    as one of its own.
    """
    warnings = []
    if processes is None:
        values: dict[float, list[float]] = {}
        for n, value in zip(x, y, strict=True):
            values.setdefault(n, []).append(value)
        sample = sample_of(values)
        if sample.counts.max() > 1:
            warnings.append(
                "rows at the same x are taken for independent processes; if they are repeats "
                "inside one process, the intervals are too narrow: name its column with --process"
            )
    else:
        sample = _of_processes(x, y, processes)
    least = int(sample.counts.min())
    if least == 1 and sample.counts.max() == 1:
        warnings.append(
            "one process at every x: no noise to judge by, so nothing is decided; measure in "
            f"{ENOUGH} processes at least"
        )
    elif least < ENOUGH:
        warnings.append(
            f"fewer than {ENOUGH} processes at some x: no intervals, and nothing is decided"
        )
    return sample, warnings


def _of_processes(x: Sequence[float], y: Sequence[float], processes: Sequence[str]) -> Sample:
    cells: dict[tuple[str, float], list[float]] = {}
    for n, value, process in zip(x, y, processes, strict=True):
        cells.setdefault((process, n), []).append(value)
    medians = {key: float(np.median(values)) for key, values in cells.items()}
    names = list(dict.fromkeys(process for process, _ in medians))
    lengths = sorted({n for _, n in medians})
    if len(medians) == len(names):  # every process stays at one x
        values: dict[float, list[float]] = {}
        for (_, n), value in medians.items():
            values.setdefault(n, []).append(value)
        return sample_of(values)
    table = np.full((len(names), len(lengths)), np.nan)
    for (process, n), value in medians.items():
        table[names.index(process), lengths.index(n)] = np.log(value)
    return crossed_sample(lengths, table)
