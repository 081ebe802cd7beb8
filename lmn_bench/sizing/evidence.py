"""What stored runs know: needed memory and latency of every series, along lengths."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from lmn_bench.analysis.results import result_set
from lmn_bench.analysis.sample import Sample, sample_of
from lmn_bench.schema import DEFAULT_MALLOC, Case, Ceiling, Outcome, Record, RunInfo
from lmn_bench.subjects.names import is_user_subject
from lmn_bench.subjects.sizes import parameters
from lmn_bench.units import format_length

_USED, _RESERVED = "needed_bytes", "needed_reserved_bytes"
_WORK = ("flops", "bytes_moved", "operations")


@dataclass(frozen=True, eq=False)
class Evidence:
    """One series of one run; equal to itself alone, so that what is fitted to it can be kept.

    Attributes:
        run_id: of the run.
        here: whether it was measured on this machine.
        machine: where it was, in words.
        series: its case at length 0.
        needed: bytes on top of the loaded model, by length.
        latency: one value per process, by length (s).
        state: bytes, by length.
        loaded_bytes: of the process with the model in it.
        parameter_bytes: of the weights.
        work: FLOPs, bytes moved and operations of a call, by metric and length.
        ceiling: what its device can do, if that was measured.
        malloc: how malloc was set, see `Measuring`.
    """

    run_id: str
    here: bool
    machine: str
    series: Case
    needed: Mapping[int, float]
    latency: Mapping[int, tuple[float, ...]]
    state: Mapping[int, float]
    loaded_bytes: float
    parameter_bytes: float
    work: Mapping[str, Mapping[int, float]]
    ceiling: Ceiling | None
    malloc: str = DEFAULT_MALLOC

    @property
    def longest(self) -> int:
        """The longest length measured."""
        return max(self.needed)

    @cached_property
    def sample(self) -> Sample | None:
        """Latencies for the laws; None without any."""
        found = {float(n): values for n, values in self.latency.items() if values}
        return sample_of(found) if found else None

    @cached_property
    def medians(self) -> dict[int, float]:
        """Median latency by length, rising."""
        return {n: float(np.median(self.latency[n])) for n in sorted(self.latency)}

    @property
    def words(self) -> str:
        """The run and the series: "sizing-2026…: 12 lengths to 262,144, w64-h4-l4-k1-v1"."""
        lengths = sorted(self.needed)
        return (
            f"{self.run_id}: {len(lengths)} lengths to {format_length(lengths[-1])}, "
            f"{self.series.model.label}, batch {self.series.batch}, {self.series.dtype}"
        )


def evidence_of(
    info: RunInfo, records: Sequence[Record], here: tuple[object, ...], counted_by: str = "cgroup"
) -> list[Evidence]:
    """The series of a run that sizes can be foretold from.

    Args:
        info: the run.
        records: its records.
        here: `Environment.machine` of this machine.
        counted_by: "cgroup", memory that is used; "rlimit", that is reserved, for which lengths
            where only the first could be told are left out.
    """
    fitting = [record for record in records if _usable(record)]
    grouped: dict[Case, dict[int, Mapping[str, tuple[float, ...]]]] = {}
    for result in result_set(fitting).cases:
        if result.outcome is Outcome.OK and result.values.get(_USED):
            grouped.setdefault(result.case.series, {})[result.case.length] = result.values
    at_home = info.environment.machine == here
    machine = f"{info.environment.hostname} ({info.environment.cpu_model})"
    return [
        _evidence(info, series, of_length, at_home, machine, counted_by)
        for series, of_length in grouped.items()
    ]


def _usable(record: Record) -> bool:
    return record.memory_cap_bytes is None and not record.compile and not record.cuda_graph


def _evidence(
    info: RunInfo,
    series: Case,
    of_length: Mapping[int, Mapping[str, tuple[float, ...]]],
    here: bool,
    machine: str,
    counted_by: str,
) -> Evidence:
    def middle(key: str) -> dict[int, float]:
        return {n: float(np.median(v[key])) for n, v in of_length.items() if v.get(key)}

    needed, reserved = middle(_USED), middle(_RESERVED)
    if counted_by == "rlimit" and reserved:
        needed = reserved
    every = [value for values in of_length.values() for value in values.get("loaded_bytes", ())]
    weights = middle("parameter_bytes")
    return Evidence(
        run_id=info.run_id,
        here=here,
        machine=machine,
        series=series,
        needed=dict(sorted(needed.items())),
        latency={n: v["latency_s"] for n, v in of_length.items() if v.get("latency_s")},
        state=middle("state_bytes"),
        loaded_bytes=float(np.median(every)),
        parameter_bytes=max(weights.values(), default=0.0),
        work={key: middle(key) for key in _WORK},
        ceiling=info.ceiling(series),
        malloc=info.suite.measuring.malloc,
    )


def nearest(found: Iterable[Evidence], case: Case) -> Evidence | None:
    """What tells most about a case: its own series, else the most similar one of its subject.

    Another dtype has other kernels, and a model of the user's no formula: nothing is scaled from
    the one to the other. This machine's comes before others', one with latencies before one
    without, then the nearest in size and batch, then the faster (of several thread counts), then
    the latest run.
    """
    possible = alike(found, case)
    if not possible:
        return None

    def distance(one: Evidence) -> tuple[float, ...]:
        series = one.series
        fastest = min((min(v) for v in one.latency.values()), default=math.inf)
        return (
            not one.here,
            not one.latency,
            _apart(case, series),
            fastest,
        )

    # `found` has the latest run first, and min() keeps the first of equals.
    return min(possible, key=distance)


def alike(found: Iterable[Evidence], case: Case) -> list[Evidence]:
    """The series that a case could be foretold from: of its subject, mode, device and dtype."""
    return [one for one in found if _same_kind(one.series, case)]


def is_exact(evidence: Evidence, case: Case) -> bool:
    """Whether a series is that of a case, whatever its threads."""
    return evidence.series == replace(case.series, threads=evidence.series.threads)


def _same_kind(series: Case, case: Case) -> bool:
    keys = [(one.subject, one.mode, one.device, one.dtype) for one in (series, case)]
    if is_user_subject(case.subject) and (series.model, series.batch) != (case.model, case.batch):
        return False
    return keys[0] == keys[1] and (case.threads == 0 or series.threads == case.threads)


def _apart(case: Case, series: Case) -> float:
    """How unlike two series are in parameters, layers, width, and batch, on a log scale."""
    pairs = [
        (case.model.width, series.model.width),
        (case.model.layers, series.model.layers),
        (case.model.banks, series.model.banks),
        (case.model.expansion + 1, series.model.expansion + 1),
        (case.model.heads, series.model.heads),
        (case.batch, series.batch),
    ]
    if not is_user_subject(case.subject):
        sizes = [parameters(one.subject, one.model) for one in (case, series)]
        pairs.append((sizes[0], sizes[1]))
    return sum(abs(math.log(a / b)) for a, b in pairs)
