"""Processes of ours are found and ended, however often they fork, and nobody else's is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lmn_bench.offspring import end_marked
from lmn_bench.run.installation import PACKAGES

# What a family does, in a process of its own: this one is not to adopt anybody.
BEGIN = f"""
import os, signal, sys, time
sys.path.insert(0, {str(PACKAGES)!r})
from lmn_bench.offspring import *

def forked(act):
    if pid := os.fork():
        return pid
    act()
    os._exit(0)

def waits():
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(60)

def daemon(act=waits):
    def between():
        os.setsid()
        forked(act)
    os.waitpid(forked(between), 0)

def comet():
    while not os.fork():
        pass
"""


def told(script):
    """What a script has printed, in words."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", BEGIN + script],
        capture_output=True, text=True, timeout=60, start_new_session=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_children_daemons_and_their_children_are_ended_and_counted():
    assert told(
        """
adopt_orphans()
forked(waits), daemon(), daemon(lambda: (forked(waits), waits()))
time.sleep(0.05)
print(end_relatives(), len(relatives()), has_children())
"""
    ) == ["4", "0", "False"]


def test_one_that_lives_on_in_its_children_is_caught_between_two_of_them():
    (_, left) = told("adopt_orphans(); daemon(comet); print(end_relatives(), len(relatives()))")
    assert left == "0"


def test_a_child_that_has_ended_by_itself_is_no_leftover():
    assert told(
        "os.waitid(os.P_PID, forked(lambda: None), os.WEXITED | os.WNOWAIT); print(end_relatives())"
    ) == ["0"]


def test_those_spared_stay_to_be_waited_for():
    assert told(
        """
adopt_orphans()
mine = forked(waits)
before = frozenset(relatives())
daemon()
print(end_relatives(spared=before), is_running(mine))
os.kill(mine, signal.SIGKILL)
print(os.waitpid(mine, 0)[0] == mine, is_running(mine))
"""
    ) == ["1", "True", "True", "False"]


def test_a_child_whose_parent_went_before_it_could_ask_ends_by_itself():
    assert told(
        """
forked(lambda: (die_with_parent(1), print("alive")))
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    ) == ["1"]


def test_a_child_is_killed_with_its_parent():
    assert told(
        """
adopt_orphans()
reading, writing = os.pipe()
def parent():
    me = os.getpid()
    def child():
        die_with_parent(me)
        os.write(writing, b".")
        waits()
    forked(child)
    os.read(reading, 1)
os.waitpid(forked(parent), 0)
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    ) == ["-9"]


@pytest.fixture
def marked():
    process = subprocess.Popen(["sleep", "60"], env={**os.environ, "MARK": "one"})
    # Until then it is a copy of this process.
    while b"MARK=one" not in Path(f"/proc/{process.pid}/environ").read_bytes():
        time.sleep(0.001)
    yield process
    process.kill()
    process.wait()


def test_what_was_started_with_a_mark_is_found_by_it(marked):
    assert end_marked("MARK=on") == 0
    assert marked.poll() is None
    assert end_marked("MARK=one") == 1
    assert marked.wait() == -9
