"""Several runs as one: what they must have in common, and their processes side by side.

More processes make an interval narrower only where all of them measured the same thing in the same
way on the same machine; what differs is told, never averaged over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from lmn_bench.differences import machine_differences, suite_differences
from lmn_bench.errors import StoreError
from lmn_bench.schema import Environment, Record
from lmn_bench.store import StoredRun

# More differences than this are those of another suite altogether.
_MOST_TOLD = 7


def pool(runs: Sequence[StoredRun]) -> StoredRun:
    """Several runs as one, the replicates of every case numbered through in the order given.

    Facts of the machine are those of the first run; a commit on which not all agree is left out.
    One run alone comes back as it is.

    Raises:
        StoreError: the same run twice, other machines, or suites that measure differently.
    """
    first, *rest = runs
    if not rest:
        return first
    _refuse_twice(runs)
    for other in rest:
        _refuse_unlike(first, other)
    infos = [run.info for run in runs]
    finished = [info.finished_at for info in infos]
    info = replace(
        first.info,
        created_at=min(info.created_at for info in infos),
        finished_at=None if None in finished else max(map(str, finished)),
        environment=_common_environment([info.environment for info in infos]),
        sources=tuple(name for info in infos for name in info.origins),
    )
    bad_lines = tuple(bad for run in runs for bad in run.bad_lines)
    return StoredRun(first.folder, info, tuple(_renumbered(runs)), bad_lines)


def _listed(differences: Sequence[str]) -> str:
    more = len(differences) - _MOST_TOLD
    told = "; ".join(differences[:_MOST_TOLD])
    return told + (f"; and {more} more" if more > 0 else "")


def _refuse_twice(runs: Sequence[StoredRun]) -> None:
    seen: dict[str, str] = {}
    for run in runs:
        for name in run.info.origins:
            if name in seen:
                raise StoreError(
                    f"{seen[name]} and {run.folder} are, or hold, the same run {name}",
                    "its processes would count twice: name every run once",
                )
            seen[name] = str(run.folder)


def _refuse_unlike(first: StoredRun, other: StoredRun) -> None:
    names = f"{first.folder.name} and {other.folder.name}"
    apart = machine_differences(first.info.environment, other.info.environment)
    if apart:
        raise StoreError(
            f"{names} cannot be pooled, they are of different machines: {_listed(apart)}",
            "keep a baseline per machine",
        )
    apart = suite_differences(first.info.suite, other.info.suite)
    if apart:
        raise StoreError(
            f"{names} cannot be pooled, they were measured differently: {_listed(apart)}",
            "pool runs of one suite with the same options",
        )


def _common_environment(environments: Sequence[Environment]) -> Environment:
    first = environments[0]
    if any(one.git_commit != other.git_commit for one, other in pairwise(environments)):
        return replace(first, git_commit=None, git_dirty=None)
    dirty = any(one.git_dirty for one in environments)
    return replace(first, git_dirty=dirty or first.git_dirty)


def _renumbered(runs: Sequence[StoredRun]) -> Iterator[Record]:
    counts: dict[str, int] = {}
    orders = 0
    for run in runs:
        ordered = sorted(run.records, key=lambda record: record.replicate)
        for record in ordered:
            number = counts.get(record.case_id, 0)
            counts[record.case_id] = number + 1
            yield replace(record, replicate=number, order=orders + record.order)
        orders += max((record.order for record in ordered), default=-1) + 1
