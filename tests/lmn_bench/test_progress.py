from __future__ import annotations

import io
from dataclasses import replace

import pytest
from bench_helpers import case, environment, failed, ok, suite, sweep
from rich.console import Console

from lmn_bench.cli.progress import Progress, TimeLeft
from lmn_bench.plan import plan
from lmn_bench.run.backstop import Task
from lmn_bench.run.schedule import Finished, Started
from lmn_bench.schema import Measuring, Outcome

SUITE = suite(sweep(subjects=("lmn",)), processes=2)
PLANNED = plan(SUITE, environment())
CASES = [item.case for item in PLANNED]


def tasks(*cases):
    return [Task(one, 0, order) for order, one in enumerate(cases)]


def forecast(of):
    (item,) = [item for item in PLANNED if item.case == of]
    return item.seconds / SUITE.measuring.processes


def test_before_anything_ran_the_time_left_is_the_forecast():
    left = TimeLeft(PLANNED, [], 2)
    assert left.seconds(tasks(*CASES)) == pytest.approx(sum(map(forecast, CASES)))


def test_a_case_that_ran_takes_as_long_as_it_did():
    left = TimeLeft(PLANNED, [replace(ok(CASES[0]), wall_s=5.0)], 2)
    assert left.seconds(tasks(CASES[0])) == 5.0


def test_the_others_take_as_much_longer_as_forecasts_have_been_off():
    left = TimeLeft(PLANNED, [replace(ok(CASES[0]), wall_s=3 * forecast(CASES[0]))], 2)
    assert left.seconds(tasks(CASES[1])) == pytest.approx(3 * forecast(CASES[1]))


def test_nothing_left_takes_no_time():
    assert TimeLeft(PLANNED, [], 2).seconds([]) == 0


def drawn(*, terminal=True, enabled=True):
    """What two cases, one failed, draw on a console."""
    console = Console(file=io.StringIO(), force_terminal=terminal, width=80, color_system=None)
    todo = tasks(case(length=64), case(length=128))
    progress = Progress(
        console, PLANNED, [], Measuring(), enabled=enabled, now=iter([0.0, 1.0, 65.0]).__next__
    )
    with progress:
        progress.started(Started(todo[0], 0, 2), todo)
        record = failed(todo[0].case, Outcome.ERROR)
        progress.finished(Finished(todo[0], record, measured=True))
        progress.started(Started(todo[1], 1, 2), todo[1:])
    return console.file.getvalue()


def test_progress_tells_case_count_failures_and_time():
    text = drawn()
    assert "0/2" in text
    assert "1/2, 1 failed" in text
    assert "1 min 5 s so far" in text
    assert "now:  lmn prefill 128 on cpu" in text
    assert "last: lmn prefill 64 on cpu: error" in text


@pytest.mark.parametrize("how", [{"terminal": False}, {"enabled": False}])
def test_progress_is_silent_where_nobody_looks_or_wants_it(how):
    assert drawn(**how) == ""
