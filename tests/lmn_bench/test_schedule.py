from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import count, pairwise

import pytest
from bench_helpers import FakeSpawner, case, death, failed, ok_reply
from hypothesis import given
from hypothesis import strategies as st

from lmn_bench.errors import SubjectError
from lmn_bench.run.reply import Reply
from lmn_bench.run.schedule import Finished, Started, order_tasks, run_tasks
from lmn_bench.schema import Measuring, Outcome, Watched

LENGTHS = (64, 128, 256, 512)
GRID = [
    case(subject, mode, length)
    for subject in ("lmn", "gru", "transformer")
    for mode in ("prefill", "decode")
    for length in LENGTHS
]


def run(grid, spawner, *, processes=2, seed=0, earlier=(), tasks=None, now=None, **measuring):
    """Records of a whole sweep; by default the clock ticks whenever it is read."""
    tasks = order_tasks(grid, processes, seed) if tasks is None else tasks
    events = run_tasks(
        tasks, Measuring(processes=processes, **measuring), seed, spawner, earlier,
        now=now or count(0.0).__next__,
    )  # fmt: skip
    return [event.record for event in events if isinstance(event, Finished)]


def record_of(reply, of=None, **measuring):
    """The record of one child that ended with this reply."""
    (record,) = run([of or case()], FakeSpawner(lambda _: reply), processes=1, **measuring)
    return record


# ------------------------------------------------------------------------------- order


@given(st.integers(1, 6), st.integers(0, 2**32), st.sets(st.sampled_from(GRID)))
def test_every_case_runs_exactly_once_per_replicate(processes, seed, grid):
    tasks = order_tasks(sorted(grid), processes, seed)
    counted = Counter((task.case, task.replicate) for task in tasks)
    assert counted == Counter({(one, r): 1 for one in grid for r in range(processes)})
    assert [task.order for task in tasks] == list(range(len(tasks)))


@given(st.integers(0, 2**32))
def test_a_round_is_whole_before_the_next_begins(seed):
    replicates = [task.replicate for task in order_tasks(GRID, 3, seed)]
    assert replicates == sorted(replicates)


@given(st.integers(0, 2**32))
def test_in_the_first_round_the_lengths_of_a_series_rise(seed):
    first = [task.case for task in order_tasks(GRID, 2, seed) if task.replicate == 0]
    for series in {one.series for one in GRID}:
        assert [one.length for one in first if one.series == series] == list(LENGTHS)


def test_series_are_interleaved():
    first = [task.case.series for task in order_tasks(GRID, 1, 3)]
    changes = sum(a != b for a, b in pairwise(first))
    assert changes > len(GRID) / 2


def test_the_same_seed_gives_the_same_order_and_another_another():
    assert order_tasks(GRID, 3, 5) == order_tasks(GRID, 3, 5)
    assert order_tasks(GRID, 3, 5) != order_tasks(GRID, 3, 6)


def test_later_rounds_are_shuffled_anew():
    rounds = [[t.case for t in order_tasks(GRID, 3, 1) if t.replicate == r] for r in (1, 2)]
    assert rounds[0] != rounds[1]


# ------------------------------------------------------------------------------- the sweep


def test_a_job_tells_the_child_all_it_needs():
    spawner = FakeSpawner()
    run([case()], spawner, processes=1, seed=9, decode_window=5)
    (job,) = spawner.jobs
    assert spawner.cases == [(case(), 0)]
    assert job["seed"] == 9
    assert job["measuring"]["decode_window"] == 5


def test_each_case_is_announced_before_it_ends():
    events = list(run_tasks(order_tasks(GRID, 1, 0), Measuring(), 0, FakeSpawner()))
    assert [type(event) for event in events] == [Started, Finished] * len(GRID)
    assert [event.done for event in events[::2]] == list(range(len(GRID)))
    assert all(event.record.case == event.task.case for event in events[1::2])


def test_a_record_says_where_in_the_sweep_it_stood_and_how_long_it_took():
    records = run(GRID, FakeSpawner())
    assert [record.order for record in records] == list(range(2 * len(GRID)))
    assert {record.wall_s for record in records} == {1.0}
    assert all(record.started_at for record in records)


# ------------------------------------------------------------------------------- outcomes


def test_what_a_child_measured_becomes_the_record():
    record = record_of(ok_reply())
    assert record.outcome is Outcome.OK
    assert record.metrics == {"latency_s": 1e-3}
    assert (record.samples_s, record.warmup_samples_s) == ((1e-3,), (2e-3,))


WATCHED = {
    "wall_s": 1.0, "cores": 2, "own_cpu_s": 0.5, "others_cpu_s": 1.4, "stolen_s": 0.1,
    "switches": 3, "load_average": 4.0, "timed_s": 0.2, "waited_s": 0.1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (WATCHED, Watched(**WATCHED)),
        # Another revision of lmn-bench, in `ab`.
        ({**WATCHED, "weather": "fine"}, Watched(**WATCHED)),
        ({"wall_s": 1.0}, None),
        (None, None),
    ],
)
def test_what_a_child_saw_of_the_machine_is_in_the_record(told, expected):
    reply = ok_reply()
    assert record_of(replace(reply, result={**reply.result, "watched": told})).watched == expected


CAPPED = case(memory_cap_bytes=64 * 2**20)


@pytest.mark.parametrize(
    ("reply", "of", "outcome", "words"),
    [
        (death(-9, timed_out=True), case(), Outcome.TIMEOUT, "longer than 30 s"),
        (death(-9), case(), Outcome.KILLED, "signal 9: most likely the kernel, short of memory"),
        (death(-11, output="Segmentation"), case(), Outcome.ERROR, "SIGSEGV: Segmentation"),
        (death(-15), case(), Outcome.KILLED, "signal 15"),
        (death(3, output="a\nlast line\n"), case(), Outcome.ERROR, "exit code 3: last line"),
        (death(0), case(), Outcome.ERROR, "exit code 0: no last words"),
        (death(-6, output="what():  std::bad_alloc"), CAPPED, Outcome.OUT_OF_MEMORY,
         "bad_alloc"),
        (death(1, output="libgomp: Thread creation failed"), CAPPED, Outcome.OUT_OF_MEMORY,
         "failed"),
        (death(-6, output="std::bad_alloc"), case(), Outcome.ERROR, "SIGABRT"),
        (death(-9, output="bad_alloc", timed_out=True), CAPPED, Outcome.TIMEOUT, "30 s"),
    ],
)  # fmt: skip
def test_a_death_is_an_outcome_with_its_reason(reply, of, outcome, words):
    record = record_of(reply, of, timeout_s=30)
    assert record.outcome is outcome
    assert words in record.reason


BY_GROUP = {"mechanism": "cgroup v2", "floor_bytes": 7, "peak_bytes": 9, "killed": True}


def under_cap(reply, **cap):
    """The same end of a child that was under a memory cap."""
    return replace(reply, cap={**BY_GROUP, **cap})


@pytest.mark.parametrize(
    ("reply", "outcome", "words"),
    [
        (under_cap(death(-9)), Outcome.KILLED,
         "killed by the kernel at memory.max = 64MiB (cgroup v2)"),
        (under_cap(death(-9), mechanism="cgroup v1"), Outcome.KILLED,
         "killed by the kernel at memory.limit_in_bytes = 64MiB (cgroup v1)"),
        (under_cap(death(1, output="bad_alloc")), Outcome.KILLED, "by the kernel at memory.max"),
        (under_cap(death(-9), killed=False), Outcome.KILLED, "most likely the kernel"),
        (under_cap(death(-9, timed_out=True)), Outcome.TIMEOUT, "longer than 60 s"),
    ],
)  # fmt: skip
def test_a_death_at_the_limit_of_a_group_names_mechanism_and_budget(reply, outcome, words):
    record = record_of(reply, CAPPED)
    assert record.outcome is outcome
    assert words in record.reason


@pytest.mark.parametrize("reply", [ok_reply(), death(-9), death(-9, timed_out=True)])
def test_however_a_child_ends_its_record_tells_its_cap(reply):
    record = record_of(under_cap(reply), CAPPED)
    assert record.cap_mechanism == "cgroup v2"
    assert (record.metrics["cap_floor_bytes"], record.metrics["cap_peak_bytes"]) == (7, 9)


def test_a_mechanism_that_knows_no_peak_tells_none():
    cap = {"mechanism": "rlimit", "floor_bytes": 7}
    record = record_of(replace(ok_reply(), cap=cap), CAPPED)
    assert record.metrics == {"latency_s": 1e-3, "cap_floor_bytes": 7}


def test_a_child_that_came_to_no_cap_tells_of_none():
    assert record_of(death(1), CAPPED).cap_mechanism is None


def test_a_child_that_knows_its_own_outcome_is_believed():
    result = {"outcome": "incorrect", "reason": "outputs are not finite", "metrics": {}}
    record = record_of(Reply(result=result, exit_code=0, timed_out=False, output=""))
    assert (record.outcome, record.reason) == (Outcome.INCORRECT, "outputs are not finite")


def test_a_subject_that_cannot_be_built_is_an_error_with_the_reason():
    def refuse(_):
        raise SubjectError("lmn cannot be built")

    (record,) = run([case()], FakeSpawner(refuse), processes=1)
    assert (record.outcome, record.reason) == (Outcome.ERROR, "lmn cannot be built")


@pytest.mark.parametrize(
    ("outcome", "cap", "expected"),
    [
        (Outcome.OK, None, False), (Outcome.OUT_OF_MEMORY, 2**24, False),
        (Outcome.OUT_OF_MEMORY, None, True), (Outcome.KILLED, 2**24, False),
        (Outcome.KILLED, None, True), (Outcome.TIMEOUT, None, False),
        (Outcome.SKIPPED, None, False), (Outcome.ERROR, 2**24, True),
        (Outcome.INCORRECT, None, True),
    ],
)  # fmt: skip
def test_only_an_end_that_nobody_asked_for_is_a_failure(outcome, cap, expected):
    assert failed(case(memory_cap_bytes=cap), outcome).is_failure is expected


# ------------------------------------------------------------------------------- disturbance


def looping(*loops_s):
    """Answers with these reference loops, one after the other."""
    left = iter(loops_s)

    def answer(_):
        result = {**ok_reply().result, "metrics": {"reference_loop_s": next(left)}}
        return Reply(result=result, exit_code=0, timed_out=False, output="")

    return FakeSpawner(answer)


def test_disturbed_cases_get_further_processes_until_three_were_quiet():
    spawner = looping(70e-6, 115e-6, 70e-6, 115e-6, 70e-6)
    records = run([case()], spawner, processes=3, quiet_extra_s=1000)
    assert [record.replicate for record in records] == [0, 1, 2, 3, 4]


def test_there_are_no_further_processes_without_time_for_them():
    records = run([case()], looping(70e-6, 115e-6, 70e-6), processes=3)
    assert len(records) == 3


def test_a_quiet_sweep_needs_no_further_processes():
    records = run([case()], looping(70e-6, 71e-6, 70e-6), processes=3, quiet_extra_s=1000)
    assert len(records) == 3


def test_a_sweep_that_times_nothing_needs_no_further_processes():
    def answer(_):
        result = {**ok_reply().result, "metrics": {"operations": 3}}
        return Reply(result=result, exit_code=0, timed_out=False, output="")

    records = run([case()], FakeSpawner(answer), processes=3, timing=False, quiet_extra_s=1000)
    assert len(records) == 3


def test_further_time_goes_to_the_setting_that_takes_least_to_complete():
    """A little for every setting would complete none, and then all processes count in each."""
    clock_s, seen = 0.0, Counter()

    def answer(one):
        nonlocal clock_s
        clock_s += 10.0 if one.mode == "train" else 1.0
        seen[one] += 1
        loop_s = 115e-6 if seen[one] in (2, 3) else 70e-6
        result = {**ok_reply().result, "metrics": {"reference_loop_s": loop_s}}
        return Reply(result=result, exit_code=0, timed_out=False, output="")

    records = run(
        [case(mode="train"), case(mode="decode")], FakeSpawner(answer),
        processes=3, now=lambda: clock_s, quiet_extra_s=15,
    )  # fmt: skip
    assert [record.mode for record in records if record.replicate >= 3] == ["decode", "decode"]
