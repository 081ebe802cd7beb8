"""Runs that end too early, and what `run --resume` makes of them: real processes, real signals."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter

import psutil
import pytest
from forked_commands import Command

from lmn_bench.store import RECORDS_FILE, REJECTED_FILE, list_runs, read_run

PROCESSES = 4
# 16 tasks of about 0.2 s: a test that wakes up late still meets the run halfway.
SUITE = f"""
name = "tiny"
[measuring]
processes = {PROCESSES}
time_goal_s = 1.0
warmup_limit_s = 0.01
precision_goal = 0.000001
max_samples = 20
counters = false
[[sweep]]
subjects = ["gru", "rnn"]
modes = ["prefill"]
lengths = [1024, 2048]
width = 16
heads = 1
"""
CASES = 4
# What a child sets before it starts, so that its disk is full after a few records.
LITTLE_ROOM = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000))"


@pytest.fixture
def start(tmp_path):
    """Start lmn-bench in a process and a session of its own."""
    (tmp_path / "tiny.toml").write_text(SUITE)
    started = []

    def start_one(*arguments, before=""):
        process = Command(arguments, tmp_path, before=before)
        started.append(process)
        return process

    yield start_one
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def finish(start):
    """Run lmn-bench to its end: (exit code, stdout, stderr)."""

    def finish_one(*arguments, **how):
        process = start(*arguments, **how)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    return finish_one


@pytest.fixture
def begun(start, tmp_path):
    """A run of 16 tasks of which a few are recorded."""
    process = start("run", "--suite", "tiny.toml")
    deadline = time.monotonic() + 120
    while lines_in(tmp_path) < 2:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def lines_in(place):
    return sum(path.read_bytes().count(b"\n") for path in place.glob(f"results/*/{RECORDS_FILE}"))


def only_run(place):
    (folder,) = list_runs(place / "results")
    return read_run(folder)


def counted(run):
    """How often each (case, replicate) stands in the file itself."""
    lines = (run.folder / RECORDS_FILE).read_text().splitlines()
    assert len(lines) == len(run.records)
    return Counter((record.case_id, record.replicate) for record in run.records)


def test_kill_9_loses_nothing_and_resume_measures_only_what_is_missing(begun, finish, tmp_path):
    begun.send_signal(signal.SIGKILL)
    begun.communicate()
    before = only_run(tmp_path)
    assert 2 <= len(before.records) < CASES * PROCESSES
    assert not before.info.finished_at
    # A kill in the middle of a write leaves half a line.
    with (before.folder / RECORDS_FILE).open("a") as file:
        file.write('{"schema":1,"case_id":"gru/pref')

    code, _, err = finish("run", "--resume")

    assert code == 0, err
    assert "set aside: not JSON" in err
    after = only_run(tmp_path)
    assert after.records[: len(before.records)] == before.records
    assert set(counted(after).values()) == {1}
    assert len(after.records) == CASES * PROCESSES
    assert (after.folder / REJECTED_FILE).read_text() == '{"schema":1,"case_id":"gru/pref\n'
    assert after.info.finished_at


def test_no_process_outlives_a_run_that_was_killed(begun):
    family = psutil.Process(begun.pid).children(recursive=True)
    assert family
    begun.send_signal(signal.SIGKILL)
    begun.communicate()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]


def test_a_run_that_is_being_measured_is_not_resumed_beside_it(begun, finish, tmp_path):
    begun.send_signal(signal.SIGSTOP)
    before = only_run(tmp_path).records
    code, _, err = finish("run", "--resume")
    begun.send_signal(signal.SIGCONT)
    assert code == 2
    assert "another lmn-bench is measuring into results/tiny-" in err
    assert only_run(tmp_path).records[: len(before)] == before
    begun.communicate(timeout=120)
    assert begun.returncode == 0
    assert set(counted(only_run(tmp_path)).values()) == {1}


def test_ctrl_c_ends_in_130_keeps_the_records_and_says_how_to_go_on(begun, tmp_path):
    begun.send_signal(signal.SIGINT)
    _, err = begun.communicate(timeout=60)
    assert begun.returncode == 130
    assert "records are safe" in err
    assert f"next: lmn-bench run --resume {only_run(tmp_path).folder.relative_to(tmp_path)}" in err
    assert "Traceback" not in err
    assert not only_run(tmp_path).bad_lines


def test_a_disk_that_fills_up_ends_in_2_and_the_run_can_go_on_later(finish, tmp_path):
    code, _, err = finish("run", "--suite", "tiny.toml", before=LITTLE_ROOM)
    assert code == 2
    assert "records before this one are safe" in err
    assert "lmn-bench run --resume" in err
    safe = only_run(tmp_path).records
    assert 0 < len(safe) < CASES * PROCESSES

    code, _, err = finish("run", "--resume")
    assert code == 0, err
    assert len(counted(only_run(tmp_path))) == CASES * PROCESSES


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_terminal_that_is_closed_and_a_polite_end_keep_what_was_measured(begun, tmp_path, number):
    begun.send_signal(number)
    _, err = begun.communicate(timeout=60)
    assert begun.returncode == 130, err
    run = only_run(tmp_path)
    assert 2 <= len(run.records) < CASES * PROCESSES
    assert not run.info.finished_at
    assert (run.folder / "report.md").read_text(encoding="utf-8").startswith("# tiny")
    assert "lmn-bench run --resume" in err


def test_a_terminal_that_dies_ends_no_run(tmp_path):
    (tmp_path / "tiny.toml").write_text(SUITE.replace(f"{PROCESSES}\n", "1\n"))
    leader, follower = os.openpty()
    terminal = dict.fromkeys(("stdin", "stdout", "stderr"), os.ttyname(follower))
    process = Command(["run", "--suite", "tiny.toml"], tmp_path, **terminal)
    assert os.read(leader, 1)  # it has begun to talk
    os.close(follower)
    os.close(leader)
    # Nothing can be said any more: lost output is all that the exit code has left to tell.
    assert process.wait(timeout=120) == 2
    run = only_run(tmp_path)
    assert len(run.records) == CASES
    assert run.info.finished_at
    assert (run.folder / "report.html").is_file()
