"""A planted slow-down: as long as asked for, in the timing alone."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from bench_helpers import case

torch = pytest.importorskip("torch")

from lmn_bench.errors import UsageError  # noqa: E402
from lmn_bench.run.process import ForkServer  # noqa: E402
from lmn_bench.run.schedule import order_tasks, run_tasks  # noqa: E402
from lmn_bench.schema import Measuring, Outcome  # noqa: E402
from lmn_bench.worker.plant import planted_share, slowed  # noqa: E402

CPU = torch.device("cpu")
TICK_S = 1e-3


class Clock:
    """A clock that moves a little whenever it is read."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        self.now_s += TICK_S
        return self.now_s


class Slow:
    """A subject whose calls take a known time on that clock."""

    def __init__(self, clock):
        self.clock = clock

    def decode(self, x_t, state):
        self.clock.now_s += 2.0
        return x_t, state

    def read(self, x):
        return self.decode(x, "state")


def lasts(clock, call):
    begin = clock.now_s
    call()
    return clock.now_s - begin


@pytest.mark.parametrize("method", ["decode", "read"])
@pytest.mark.parametrize("share", [0.1, 1.0])
def test_every_call_lasts_that_share_longer_once(method, share):
    clock = Clock()
    subject = Slow(clock)
    arguments = ("x", "state") if method == "decode" else ("x",)
    with slowed(subject, share, CPU, clock):
        took_s = lasts(clock, lambda: getattr(subject, method)(*arguments))
    assert 2.0 * (1 + share) <= took_s <= 2.0 * (1 + share) + 5 * TICK_S


def test_a_slowed_call_returns_what_the_subject_does():
    clock = Clock()
    subject = Slow(clock)
    with slowed(subject, 0.1, CPU, clock):
        assert subject.decode("x", "state") == ("x", "state")


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_outside_the_subject_is_as_it_was(share):
    clock = Clock()
    subject = Slow(clock)
    mine = lambda x: x  # noqa: E731
    subject.prefill = mine
    before = dict(vars(subject))
    with slowed(subject, share, CPU, clock):
        pass
    assert vars(subject) == before
    assert lasts(clock, lambda: subject.decode("x", "state")) == pytest.approx(2.0)


@pytest.mark.parametrize(("text", "share"), [(None, 0), ("", 0), ("0", 0), ("0.10", 0.1)])
def test_the_share_is_read_from_the_environment(text, share):
    environ = {} if text is None else {"LMN_BENCH_PLANT_SLOWDOWN": text}
    assert planted_share(environ) == share


@pytest.mark.parametrize("text", ["10%", "ten", "-0.1", "nan", "inf", "10"])
def test_a_share_that_is_none_is_refused_with_an_example(text):
    with pytest.raises(UsageError, match="expected a share") as caught:
        planted_share({"LMN_BENCH_PLANT_SLOWDOWN": text})
    assert "0.10" in caught.value.hint


def test_a_share_that_is_none_is_told_before_anything_is_measured():
    server = ForkServer({**os.environ, "LMN_BENCH_PLANT_SLOWDOWN": "10%"})
    with server, pytest.raises(UsageError, match="'10%'"):
        server.has_cuda()


@pytest.fixture(scope="module")
def records():
    """Train and decode of lmn and gru, plainly and with calls that last three times as long."""
    measuring = Measuring(processes=1, time_goal_s=0.001, warmup_limit_s=0.001, decode_window=4)
    tasks = [
        replace(task, order=0)
        for mode in ("train", "decode", "read", "stream")
        for task in order_tasks([case(mode=mode), case("gru", mode)], 1, 0)
    ]

    def run(**planted):
        with ForkServer({**os.environ, **planted}) as server:
            events = list(run_tasks(tasks, measuring, 0, server))
        found = [event.record for event in events if hasattr(event, "record")]
        return {record.case_id: record for record in found}

    return run(), run(LMN_BENCH_PLANT_SLOWDOWN="2")


def test_a_planted_slow_down_changes_no_count(records):
    plain, planted = records
    assert plain.keys() == planted.keys()
    for case_id, record in plain.items():
        assert record.outcome is planted[case_id].outcome is Outcome.OK
        for key in ("operations", "flops", "allocator_peak_bytes", "state_bytes", "check_error"):
            assert record.metrics.get(key) == planted[case_id].metrics.get(key)


def test_a_record_with_a_planted_slow_down_says_so(records):
    plain, planted = records
    assert not any("planted" in text for r in plain.values() for text in r.warnings)
    for record in planted.values():
        assert "a slow-down of 200% was planted" in record.warnings
