"""One side of a comparison: the runs of one version, their processes pooled per case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from lmn_bench.differences import machine_differences
from lmn_bench.samples import with_low_latency
from lmn_bench.schema import Case, Environment, Outcome, Record, RunInfo


@dataclass(frozen=True)
class StoredSide:
    """The runs of one version.

    Attributes:
        name: in words.
        runs: what each run knows about itself, and its records.
    """

    name: str
    runs: tuple[tuple[RunInfo, tuple[Record, ...]], ...]

    @cached_property
    def per_run(self) -> tuple[Mapping[Case, tuple[Record, ...]], ...]:
        """The records of each case by run; metrics complete."""
        return tuple(_grouped(info, records) for info, records in self.runs)

    @cached_property
    def records(self) -> Mapping[Case, tuple[Record, ...]]:
        """All records of each case, in the order of runs."""
        cases = dict.fromkeys(case for run in self.per_run for case in run)
        return {case: tuple(r for run in self.per_run for r in run.get(case, ())) for case in cases}

    @property
    def measured(self) -> Mapping[Case, tuple[Record, ...]]:
        """The cases that were tried at all."""
        return {
            case: records
            for case, records in self.records.items()
            if any(record.outcome is not Outcome.SKIPPED for record in records)
        }

    @property
    def environments(self) -> list[Environment]:
        """The machine of each run."""
        return [info.environment for info, _ in self.runs]

    @property
    def decode_windows(self) -> frozenset[int]:
        """Over how many steps decode was averaged."""
        return frozenset(info.suite.measuring.decode_window for info, _ in self.runs)


def values_of(records: Iterable[Record], metric: str) -> tuple[float, ...]:
    """One value per ok process that has the metric."""
    return tuple(
        float(record.metrics[metric])
        for record in records
        if record.outcome is Outcome.OK and metric in record.metrics
    )


def any_ok(records: Iterable[Record]) -> bool:
    """Whether any of them ended well."""
    return any(record.outcome is Outcome.OK for record in records)


def unlike(first: StoredSide, second: StoredSide) -> list[str]:
    """In what the machines of all their runs differ, each difference once."""
    one, *others = [*first.environments, *second.environments]
    told = (text for other in others for text in machine_differences(one, other))
    return list(dict.fromkeys(told))


def _grouped(info: RunInfo, records: Iterable[Record]) -> dict[Case, tuple[Record, ...]]:
    found: dict[Case, list[Record]] = {}
    for record in records:
        complete = with_low_latency(record, info.suite.measuring.decode_window)
        found.setdefault(record.case, []).append(complete)
    return {case: tuple(grouped) for case, grouped in found.items()}
