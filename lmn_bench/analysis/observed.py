"""Measurements that anyone brings: rows of x, y and perhaps a process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

import numpy as np

from lmn_bench.analysis.effects import connected_parts
from lmn_bench.analysis.growth import end_errors
from lmn_bench.analysis.laws import Array
from lmn_bench.analysis.sample import Sample, crossed_sample, sample_of
from lmn_bench.disturbance import ENOUGH

Kind = Literal["rows", "nested", "crossed", "connected", "disconnected"]
# Twice the variance of processes that measured both ends: their links are then what limits.
_WEAK_LINKS = 2.0


@dataclass(frozen=True)
class Design:
    """Which processes measured which x.

    Attributes:
        kind: "rows" without processes: each row counts as one; "nested": each process at one x;
            "crossed": each at every x; "connected": at some, and processes lead from each x to
            every other; "disconnected": they don't.
        processes: how many there are.
        parts: values of x that processes lead between; more than one if disconnected.
    """

    kind: Kind
    processes: int
    parts: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class Observed:
    """A sample of rows.

    Attributes:
        sample: a value per process and x.
        design: which processes measured which x.
        warnings: what makes verdicts on it less sure.
    """

    sample: Sample
    design: Design
    warnings: tuple[str, ...]


def observed_sample(
    x: Sequence[float], y: Sequence[float], processes: Sequence[str] | None
) -> Observed:
    """A sample of rows: several of one process at one x count as their median."""
    if processes is None:
        sample, design = _nested(x, y), Design("rows", len(x))
    else:
        sample, design = _of_processes(x, y, processes)
    return Observed(sample, design, tuple(_warnings(sample, design)))


def _nested(x: Sequence[float], y: Sequence[float]) -> Sample:
    values: dict[float, list[float]] = {}
    for n, value in zip(x, y, strict=True):
        values.setdefault(n, []).append(value)
    return sample_of(values)


def _of_processes(
    x: Sequence[float], y: Sequence[float], processes: Sequence[str]
) -> tuple[Sample, Design]:
    cells: dict[tuple[str, float], list[float]] = {}
    for n, value, process in zip(x, y, processes, strict=True):
        cells.setdefault((process, n), []).append(value)
    names = {name: row for row, name in enumerate(dict.fromkeys(name for name, _ in cells))}
    if len(cells) == len(names):
        medians = [median(values) for values in cells.values()]
        return _nested([n for _, n in cells], medians), Design("nested", len(names))
    table, lengths = _table(cells, names)
    present = np.isfinite(table)
    parts = tuple(tuple(lengths[k] for k in some) for _, some in connected_parts(present))
    kind: Kind = "disconnected" if len(parts) > 1 else "connected"
    if present.all():
        kind = "crossed"
    return crossed_sample(lengths, table), Design(kind, len(names), parts)


def _table(
    cells: Mapping[tuple[str, float], Sequence[float]], rows: Mapping[str, int]
) -> tuple[Array, list[float]]:
    lengths = sorted({n for _, n in cells})
    columns = {n: column for column, n in enumerate(lengths)}
    table = np.full((len(rows), len(lengths)), np.nan)
    for (process, n), values in cells.items():
        table[rows[process], columns[n]] = median(values)
    np.log(table, out=table)
    return table, lengths


def _warnings(sample: Sample, design: Design) -> Iterator[str]:
    least, most = int(sample.counts.min()), int(sample.counts.max())
    if design.kind == "rows" and most > 1:
        yield (
            "rows at the same x are taken for independent processes; if they are repeats "
            "inside one process, the intervals are too narrow: name its column with --process"
        )
    if design.kind == "disconnected":
        yield (
            f"process and x are confounded: no process leads from {_parts_words(design)}, so that "
            "growth between them holds the spread between processes; measure every x in each "
            "process"
        )
    if least == most == 1:
        yield (
            "one process at every x: no noise to judge by, so nothing is decided; measure in "
            f"{ENOUGH} processes at least"
        )
    elif least < ENOUGH:
        yield f"fewer than {ENOUGH} processes at some x: no intervals, and nothing is decided"
    elif not sample.freedom:
        yield (
            "no two processes measured the same x in the same company: no noise to judge by, so "
            "nothing is decided; measure every x in each process"
        )
    elif design.kind == "connected" and end_errors(sample) > _WEAK_LINKS:
        yield (
            "few processes lead from the least x to the largest, by way of others: growth over the "
            "whole range is unsure by the noise of every step; measure every x in each process"
        )


def _parts_words(design: Design) -> str:
    """For example: 64 to 128 on to 256 to 512, 1024."""
    spans = [f"{p[0]:g} to {p[-1]:g}" if len(p) > 1 else f"{p[0]:g}" for p in design.parts]
    shown = ", ".join(spans[1:4]) + (f" and {len(spans) - 4} more" if len(spans) > 4 else "")
    return f"{spans[0]} on to {shown}"


def design_words(design: Design) -> str:
    """What the design is, and what was made of it."""
    count = design.processes
    processes = f"{count:,} process{'es' * (count != 1)}"
    match design.kind:
        case "rows":
            return f"{count:,} rows, each taken for a process of its own"
        case "nested":
            return f"{processes}, each at one x"
        case "crossed" if count == 1:
            return f"{processes}, at every x"
        case "crossed":
            return f"{processes}, each at every x: their own levels are taken out"
        case "connected":
            return (
                f"{processes}, each at some x, which they connect: their own levels are taken out"
            )
        case "disconnected":
            return (
                f"{processes}, each at some x, in {len(design.parts)} parts that nothing connects: "
                "their own levels are taken out inside a part, and are noise between parts"
            )
