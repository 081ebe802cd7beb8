"""When a series has reached its limit, and what is tried before that is said."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import count

import pytest
from bench_helpers import FakeSpawner, case, death, failed, ok, ok_reply

from lmn_bench.run.backstop import Backstop, Task
from lmn_bench.run.reply import Reply
from lmn_bench.run.schedule import Finished, order_tasks, run_tasks
from lmn_bench.schema import Case, Measuring, Outcome, SeriesLimit

LENGTHS = (64, 128, 256, 512)
GRID = [
    case(subject, mode, length)
    for subject in ("lmn", "gru", "transformer")
    for mode in ("prefill", "decode")
    for length in LENGTHS
]
TIMEOUT = death(-9, timed_out=True)
OUT_OF_MEMORY = Reply({"outcome": "out_of_memory", "reason": "no"}, 0, False, "")


class Scripted:
    """A spawner that answers the replicates of a case with replies in turn, the last for ever."""

    def __init__(self, replies):
        self._replies = replies
        self.tried = []

    def measure(self, job, timeout_s):
        of = Case.from_dict(job["case"])
        self.tried.append((of, job["replicate"]))
        replies = self._replies.get(of, (ok_reply(),))
        times = sum(one == of for one, _ in self.tried)
        return replies[min(times, len(replies)) - 1]


def run(grid, spawner, *, processes=5, earlier=(), **measuring):
    """Records of what is missing of a sweep, in the order in which they came."""
    present = {(record.case_id, record.replicate) for record in earlier}
    tasks = [t for t in order_tasks(grid, processes, 0) if (t.case.id, t.replicate) not in present]
    how = Measuring(processes=processes, **measuring)
    events = run_tasks(tasks, how, 0, spawner, earlier, now=count(0.0).__next__)
    return [event.record for event in events if isinstance(event, Finished)]


def skips(records):
    """Lengths and reasons of what was skipped."""
    return {(r.length, r.reason) for r in records if r.outcome is Outcome.SKIPPED}


ONE_SERIES = [case(length=n) for n in LENGTHS]


def test_one_bad_end_does_not_end_a_series():
    spawner = Scripted({case(length=256): (TIMEOUT, ok_reply())})
    records = run(ONE_SERIES, spawner)
    assert Counter(r.outcome for r in records) == {Outcome.OK: 19, Outcome.TIMEOUT: 1}


def test_a_bad_end_is_confirmed_at_once_by_the_next_replicate():
    spawner = Scripted({case(length=256): (TIMEOUT, ok_reply())})
    records = run(ONE_SERIES, spawner)
    place = spawner.tried.index((case(length=256), 0))
    assert spawner.tried[place + 1] == (case(length=256), 1)
    planned = Counter((one.id, r) for one in ONE_SERIES for r in range(5))
    assert Counter((r.case_id, r.replicate) for r in records) == planned


@pytest.mark.parametrize(
    ("reply", "outcome", "words"),
    [
        (TIMEOUT, Outcome.TIMEOUT, "2 of 2 processes took longer than 60 s at length 256"),
        (death(-9), Outcome.KILLED, "2 of 2 processes were killed at length 256"),
        (OUT_OF_MEMORY, Outcome.OUT_OF_MEMORY,
         "2 of 2 processes ran out of memory at length 256"),
    ],
)  # fmt: skip
def test_two_of_two_end_a_series_with_what_was_seen(reply, outcome, words):
    records = run(ONE_SERIES, Scripted({case(length=256): (reply,)}))
    assert skips(records) == {(256, words), (512, words)}
    limits = {tuple(r.limit.ends.items()) for r in records if r.limit is not None}
    assert limits == {((outcome, 2),)}


def test_two_different_ends_are_told_apart():
    records = run(ONE_SERIES, Scripted({case(length=512): (TIMEOUT, death(-9))}))
    words = "1 of 2 processes took longer than 60 s, 1 of 2 processes was killed at length 512"
    assert skips(records) == {(512, words)}


def test_what_cannot_end_well_is_tried_twice_and_no_longer_length_is():
    spawner = Scripted({case(length=n): (TIMEOUT,) for n in (256, 512)})
    records = run(GRID, spawner, processes=3)
    tried = Counter(of.length for of, _ in spawner.tried if of in ONE_SERIES)
    assert tried == {64: 3, 128: 3, 256: 2}
    assert len(records) == 3 * len(GRID)


def test_other_series_go_on():
    records = run(GRID, Scripted({case(length=64): (TIMEOUT,)}), processes=2)
    ends = Counter(r.outcome for r in records if r.case not in ONE_SERIES)
    assert ends == {Outcome.OK: 2 * (len(GRID) - len(LENGTHS))}


def test_a_length_at_which_any_process_finished_is_no_limit():
    spawner = Scripted({case(length=128): (TIMEOUT, ok_reply(), TIMEOUT)})
    records = run(ONE_SERIES, spawner)
    assert Counter(r.outcome for r in records) == {Outcome.OK: 16, Outcome.TIMEOUT: 4}


def test_a_length_that_has_finished_once_is_tried_on_whatever_a_shorter_one_did():
    tasks = [Task(case(length=n), 1, 0) for n in (256, 512)]
    earlier = [ok(case(length=256)), *(failed(case(length=128), Outcome.KILLED),) * 2]
    backstop = Backstop(tasks, earlier)
    assert backstop.limit(case(length=256)) is None
    assert backstop.limit(case(length=512)) == SeriesLimit(128, {Outcome.KILLED: 2})


def test_with_one_process_one_end_suffices_and_is_told_as_unconfirmed():
    records = run(ONE_SERIES, Scripted({case(length=256): (TIMEOUT,)}), processes=1)
    words = (
        "the only process took longer than 60 s at length 256 "
        "(unconfirmed: no second one was to be tried)"
    )
    assert skips(records) == {(512, words)}


def test_an_error_does_not_spare_longer_lengths():
    records = run(ONE_SERIES, Scripted({case(length=64): (death(1),)}), processes=2)
    assert not skips(records)


def test_an_error_confirms_nothing():
    records = run(ONE_SERIES, Scripted({case(length=64): (TIMEOUT, death(1), ok_reply())}))
    assert not skips(records)


def test_the_shortest_length_that_failed_counts():
    ends = [failed(case(length=n), Outcome.TIMEOUT) for n in (512, 128, 256)]
    backstop = Backstop([], ends)
    assert backstop.limit(case(length=64)) is None
    assert backstop.limit(case(length=256)).length == 128


def test_a_limit_under_a_cap_names_the_cap_and_its_mechanism():
    cap = {"mechanism": "cgroup v2", "floor_bytes": 7, "killed": True}
    grid = [case(length=n, memory_cap_bytes=64 * 2**20) for n in (128, 256)]
    records = run(grid, FakeSpawner(lambda _: replace(death(-9), cap=cap)), processes=2)
    words = "2 of 2 processes were killed at length 128 under 64MiB by cgroup v2"
    assert skips(records) == {(256, words)}


@pytest.mark.parametrize("kept", range(1, 20))
def test_a_resumed_sweep_decides_as_if_never_interrupted(kept):
    replies = {case(length=128): (TIMEOUT, ok_reply()), case(length=256): (TIMEOUT,)}
    whole = run(ONE_SERIES, Scripted(replies))
    earlier = whole[:kept]
    done = {of: sum(r.case == of and r.outcome is not Outcome.SKIPPED for r in earlier)
            for of in ONE_SERIES}  # fmt: skip
    rest = {
        of: tuple(of_case[min(done[of], len(of_case) - 1) :]) for of, of_case in replies.items()
    }
    resumed = run(ONE_SERIES, Scripted(rest), earlier=earlier)
    ends = [{(r.case_id, r.replicate): (r.outcome, r.reason) for r in records}
            for records in (whole, [*earlier, *resumed])]  # fmt: skip
    assert ends[0] == ends[1]


def test_what_an_interrupted_sweep_left_unconfirmed_is_confirmed_first():
    spawner = Scripted({})
    run(ONE_SERIES, spawner, earlier=[failed(case(length=256), Outcome.TIMEOUT)])
    assert spawner.tried[0] == (case(length=256), 1)


def test_what_was_skipped_is_not_said_to_be_measured():
    ended = [failed(case(length=64), Outcome.TIMEOUT)]
    tasks = order_tasks([case(length=128)], 1, 0)
    events = list(run_tasks(tasks, Measuring(), 0, FakeSpawner(), ended))
    assert [event.measured for event in events if isinstance(event, Finished)] == [False]


def test_an_event_tells_what_remains_in_the_order_in_which_it_comes():
    tasks = order_tasks(ONE_SERIES, 2, 0)
    backstop = Backstop(tasks)
    for done, _ in enumerate(backstop.in_turn(), start=1):
        assert list(backstop.waiting) == tasks[done:]
