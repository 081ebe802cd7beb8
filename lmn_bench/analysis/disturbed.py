"""Settings whose times the machine disturbed so much that nothing is to be said of them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lmn_bench.disturbance import ENOUGH, LOST, WAITED, has_waited, lost_share
from lmn_bench.schema import Case, Outcome, Record

# Of the processes of a setting: where half of them are beside other work, no median escapes it.
_MOST = 0.5
# Of the cores, taken by others: beside four busy loops that the kernel kept on one of two cores, so
# that nothing waited, a prefill took 1.4 times as long (others had 0.5 to 0.7 of the cores); alone
# they had less than 0.01.
_CROWDED = 0.4
# Of the cases of a setting: so many without enough quiet processes bend a curve, or hold its ends.
_LACKING = 0.1
# Slowest process over fastest, in a quarter of the cases; the slowest of `_SPARED` is left out, as
# medians bear one. In the 17 settings of the reference runs, which were measured on a shared
# machine, a quarter of the cases reaches 1.03 to 1.8; by turns on one core, processes differ by 10.
_WILD = 2.5
_SPARED = 5
_QUARTER = 0.25
# Less of a core is what any system does beside.
_NAMED_CORES = 0.05
_LATENCY = "latency_s"


@dataclass(frozen=True)
class Disturbance:
    """Why the times of a setting carry no claim.

    Attributes:
        processes: that were timed.
        beside: of these, how many had to wait for a core, or had most of the machine taken.
        lost_share: of their timed rounds those had no core for, the median; None without any.
        others_cores: cores that other processes and a hypervisor took meanwhile, the median.
        cores: that the processes could use.
        cases: with times.
        lacking: of these, how many have too few processes with rounds that did not wait.
        spread: slowest process over fastest, of the case that a quarter exceeds, but for one of
            five or more processes; None where that is as usual.
    """

    processes: int
    beside: int
    lost_share: float | None
    others_cores: float
    cores: int
    cases: int
    lacking: int
    spread: float | None

    @property
    def by_machine(self) -> bool:
        """Whether other work was seen; a spread alone may be the model's own."""
        return bool(self.beside or self.lacking)

    @property
    def words(self) -> str:
        """What was seen: other processes took 1.9 of 2 cores during 34 of 40 processes, …."""
        said = []
        if self.beside and self.lost_share is not None:
            of = f"{self.beside:,} of {self.processes:,} processes"
            waited = f"waited for a core {self.lost_share:.0%} of the time"
            if self.others_cores > _NAMED_CORES:
                taken = f"{self.others_cores:.1f} of {self.cores} cores"
                which = f", which {waited}" if self.lost_share > WAITED else ""
                said.append(f"other processes took {taken} during {of}{which}")
            else:
                said.append(f"{of} {waited}")
        if self.lacking:
            said.append(
                f"{self.lacking:,} of {self.cases:,} cases have too few processes that had their "
                "cores to themselves"
            )
        if self.spread is not None:
            said.append(
                "in a quarter of the cases processes differ by a factor of "
                f"{self.spread:.2g} or more"
            )
        return "; ".join(said)


def disturbances(
    records: Iterable[Record], counted: Mapping[Case, Sequence[float]]
) -> dict[Case, Disturbance]:
    """The settings of which no time is to be said, and what was seen there.

    Args:
        records: of a run.
        counted: of every case the latencies that count (s).
    """
    timed: dict[Case, list[Record]] = {}
    for record in records:
        if record.outcome is Outcome.OK and _LATENCY in record.metrics:
            timed.setdefault(record.case.setting, []).append(record)
    latencies: dict[Case, list[Sequence[float]]] = {}
    for case, values in counted.items():
        latencies.setdefault(case.setting, []).append(values)
    found = ((s, _disturbance(of, latencies.get(s, []))) for s, of in timed.items())
    return {setting: one for setting, one in found if one is not None}


def _disturbance(
    records: Sequence[Record], latencies: Sequence[Sequence[float]]
) -> Disturbance | None:
    beside = [record for record in records if _is_beside(record)]
    free: dict[Case, list[bool]] = {}
    for record in records:
        free.setdefault(record.case, []).append(not has_waited(record))
    lacking = sum(sum(of_case) < min(ENOUGH, len(of_case)) for of_case in free.values())
    spread = _spread(latencies)
    busy = len(beside) >= _MOST * len(records)
    short = lacking > _LACKING * len(free)
    if not (busy or short or spread > _WILD):
        return None
    shares = [share for record in beside if (share := lost_share(record)) is not None]
    return Disturbance(
        processes=len(records),
        beside=len(beside),
        lost_share=statistics.median(shares) if shares else None,
        others_cores=statistics.median(map(_others_cores, beside)) if beside else 0.0,
        cores=max((r.watched.cores for r in beside if r.watched is not None), default=0),
        cases=len(free),
        lacking=lacking,
        spread=spread if spread > _WILD else None,
    )


def _is_beside(record: Record) -> bool:
    """Whether others kept a core from it, or had so many that caches and clocks were shared."""
    share = lost_share(record)
    if share is None or record.watched is None:
        return False
    return share > LOST or _others_cores(record) > _CROWDED * record.watched.cores


def _others_cores(record: Record) -> float:
    watched = record.watched
    if watched is None or not watched.wall_s:
        return 0.0
    return (watched.others_cpu_s + watched.stolen_s) / watched.wall_s


def _spread(latencies: Sequence[Sequence[float]]) -> float:
    """Slowest over fastest process, of the case that a quarter of the cases exceeds."""
    spreads = []
    for values in latencies:
        if len(values) >= ENOUGH and min(values) > 0:
            ordered = sorted(values)
            spreads.append(ordered[-2 if len(ordered) >= _SPARED else -1] / ordered[0])
    spreads.sort(reverse=True)
    return spreads[int(_QUARTER * len(spreads))] if spreads else 1.0
