"""What a record says of how its child ended, beside what it measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bench_helpers import case

from lmn_bench.run.backstop import Task
from lmn_bench.run.oom import OomKills
from lmn_bench.run.reply import Reply
from lmn_bench.run.schedule import measure_task
from lmn_bench.schema import Measuring, Outcome

OK = Reply({"outcome": "ok", "metrics": {}, "warnings": ["one"]}, 0, False, "")
KILLED = Reply(None, -9, False, "")
CAP = {"mechanism": "cgroup v1", "floor_bytes": 1, "killed": True}


def record_of(reply):
    class Spawner:
        def measure(self, job, timeout_s):
            return reply

    task = Task(case(memory_cap_bytes=2**20), 0, 0)
    return measure_task(task, Measuring(), 0, Spawner(), lambda: 0.0)


def test_helpers_that_had_to_be_ended_are_told_however_the_case_ended():
    for reply in (OK, KILLED, replace(KILLED, timed_out=True)):
        assert "2 processes that it had started" in record_of(replace(reply, left=2)).warnings[-1]


def test_of_what_was_printed_only_a_cut_is_told():
    assert record_of(replace(OK, printed={"stdout": 2**17, "stderr": 9})).warnings == ("one",)
    (_, told) = record_of(replace(OK, printed={"stdout": 3 * 2**30, "stderr": 0})).warnings
    assert told == (
        "it printed 3.00 GiB to stdout, of which the first 64.0 KiB and the last 64.0 KiB were kept"
    )


def test_a_process_of_its_own_that_was_killed_at_the_limit_is_no_ok():
    record = record_of(replace(OK, cap=CAP))
    assert record.outcome is Outcome.KILLED
    assert record.reason == (
        "a process that it had started was killed by the kernel at memory.limit_in_bytes = 1MiB "
        "(cgroup v1)"
    )


@pytest.mark.parametrize(
    ("kills", "words"),
    [(0, "not by the kernel"), (1, "most likely the kernel"), (None, "most likely the kernel")],
)
def test_a_kill_is_not_the_kernels_where_the_kernel_has_killed_nobody(kills, words):
    assert words in record_of(replace(KILLED, oom_kills=kills)).reason


def test_the_kernel_counts_its_kills(tmp_path):
    file = tmp_path / "vmstat"
    file.write_text("nr_free_pages 7\noom_kill 3\n")
    kills = OomKills(file)
    assert kills.since() == 0
    file.write_text("nr_free_pages 7\noom_kill 5\n")
    assert kills.since() == 2
    file.write_text("nr_free_pages 7\n")
    assert kills.since() is None


def test_a_message_of_megabytes_becomes_a_page():
    result = {"outcome": "error", "reason": "x" * 10**6, "warnings": ["y" * 10**6]}
    record = record_of(replace(OK, result=result))
    for text in (record.reason, *record.warnings):
        assert len(text) < 5000
        assert "996,000 characters were cut out here" in text
