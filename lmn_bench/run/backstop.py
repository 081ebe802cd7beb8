"""Where a series runs out of memory or time, longer lengths are not worth trying."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from lmn_bench.schema import BACKSTOP_OUTCOMES, Case, Outcome, Record, SeriesLimit
from lmn_bench.units import format_cap, format_length

# One end may be a neighbour's doing (a busy machine, its memory taken); two in a row hardly.
_CONFIRMED = 2
_ENDED = {Outcome.OUT_OF_MEMORY: "ran out of memory", Outcome.TIMEOUT: "ran out of time"}


@dataclass(frozen=True)
class Task:
    """One replicate of one case, at its place in the order."""

    case: Case
    replicate: int
    order: int


class Backstop:
    """The tasks of a sweep in turn, and which of them are not worth trying any more.

    A length is the limit of its series once `_CONFIRMED` processes ran out of memory or time at it,
    and none finished; the second one is the next replicate of the same case, tried at once. Where
    no replicate is left to confirm it, one end suffices.

    Args:
        tasks: what is still to be done, in order.
        records: of the same sweep, from before: a resumed one decides as if never interrupted.
    """

    def __init__(self, tasks: Sequence[Task], records: Iterable[Record] = ()) -> None:
        self._queue = deque(tasks)
        self._left = Counter(task.case for task in tasks)
        self._ends: dict[Case, Counter[Outcome]] = {}
        self._first: dict[Case, Record] = {}
        # Of every series the cases that ended before their time, whether they are limits or not.
        self._suspects: dict[Case, set[Case]] = {}
        self._unconfirmed: set[Case] = set()
        for record in records:
            self.learn(record)

    @property
    def waiting(self) -> Sequence[Task]:
        """What comes after the task in hand, in the order as planned."""
        return tuple(self._queue)

    def in_turn(self) -> Iterator[Task]:
        """The tasks one after the other: those first that confirm a limit."""
        while self._queue:
            task = self._queue[0]
            if self._unconfirmed:
                task = next((t for t in self._queue if t.case in self._unconfirmed), task)
            self._queue.remove(task)
            yield task
            # Not before: while it runs, it is what is left to confirm an end.
            self._left[task.case] -= 1
            if not self._left[task.case]:
                self._unconfirmed.discard(task.case)

    def learn(self, record: Record) -> None:
        """Take note of how a replicate ended."""
        if record.outcome is Outcome.SKIPPED:
            return
        case = record.case
        ends = self._ends.setdefault(case, Counter())
        ends[record.outcome] += 1
        if record.outcome in BACKSTOP_OUTCOMES:
            self._first.setdefault(case, record)
            self._suspects.setdefault(case.series, set()).add(case)
        undecided = ends.total() < _CONFIRMED and not ends[Outcome.OK]
        if case in self._first and undecided and self._left[case]:
            self._unconfirmed.add(case)
        else:
            self._unconfirmed.discard(case)

    def _is_limit(self, case: Case) -> bool:
        ends = self._ends[case]
        bad = sum(ends[outcome] for outcome in BACKSTOP_OUTCOMES)
        enough = bad >= _CONFIRMED or not self._left[case]
        return enough and not ends[Outcome.OK]

    def limit(self, case: Case) -> SeriesLimit | None:
        """Why this case isn't worth running, or None."""
        if self._ends.get(case, Counter())[Outcome.OK]:
            return None
        limits = [one for one in self._suspects.get(case.series, ()) if self._is_limit(one)]
        shortest = min(limits, key=lambda one: one.length, default=None)
        if shortest is None or case.length < shortest.length:
            return None
        return SeriesLimit(shortest.length, dict(self._ends[shortest]))

    def leaves_out(self, task: Task) -> Record | None:
        """The record of a task that isn't worth running, or None."""
        limit = self.limit(task.case)
        if limit is None:
            return None
        first = self._first[replace(task.case, length=limit.length)]
        return skipped(task.case, task.replicate, _reason(limit, first), task.order, limit)


def skipped(
    case: Case, replicate: int, reason: str, order: int = 0, limit: SeriesLimit | None = None
) -> Record:
    """The record of a case that wasn't run, and why."""
    return Record.of(case, replicate, Outcome.SKIPPED, reason=reason, order=order, limit=limit)


def _reason(limit: SeriesLimit, first: Record) -> str:
    """For example: 2 of 2 processes took longer than 60 s at length 4,096."""
    tried = sum(limit.ends.values())
    bad = {outcome: n for outcome, n in limit.ends.items() if outcome in BACKSTOP_OUTCOMES}
    said = [_counted(outcome, n, tried, first) for outcome, n in bad.items()]
    reason = f"{', '.join(said)} at length {format_length(limit.length)}"
    if first.cap_mechanism is not None:
        reason += f" under {format_cap(first.memory_cap_bytes)} by {first.cap_mechanism}"
    return reason + (" (unconfirmed: no second one was to be tried)" if tried == 1 else "")


def _counted(outcome: Outcome, count: int, tried: int, first: Record) -> str:
    of = f"{count} of {tried} processes" if tried > 1 else "the only process"
    if outcome is Outcome.KILLED:
        return f"{of} {'was' if count == 1 else 'were'} killed"
    if outcome is Outcome.TIMEOUT and first.outcome is outcome and first.reason:
        # The time limit is in the record alone.
        return f"{of} {first.reason}"
    return f"{of} {_ENDED[outcome]}"
