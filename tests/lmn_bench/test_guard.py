"""A command and its warden: it ends as the command does, and nothing outlives the two."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lmn_bench.errors import ServerKilledError
from lmn_bench.run.guard import GuardedProcess
from lmn_bench.run.installation import PACKAGES, Installation
from lmn_bench.run.process import ForkServer

PYTHON = (sys.executable, "-I", "-S", "-c")
# Two processes that nobody else would end: one by its parent alone, one that has none.
FAMILY = """
import os, signal, sys, time
def waits():
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)
def daemon():
    if os.fork() == 0:
        if os.fork() == 0:
            waits()
        os._exit(0)
    os.wait()
    if os.fork() == 0:
        waits()
    print("begun", flush=True)
"""


def guarded(script, mark=""):
    return GuardedProcess([*PYTHON, FAMILY + script], {**os.environ, "OF_TEST": mark}, None)


def marked(mark):
    """The processes that were started by a test, but for those that have ended."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"OF_TEST={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def is_true_in_time(condition):
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@pytest.fixture
def mark(request):
    return f"{os.getpid()} {request.node.name}"


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("sys.exit(7)", 7),
        ("os.kill(os.getpid(), signal.SIGKILL)", -9),
        ("os.kill(os.getpid(), signal.SIGTERM)", -15),
    ],
)
def test_it_ends_as_the_command_does(script, code):
    process = guarded(script)
    assert process.stdout.read() == b""
    assert process.wait() == code
    assert process.end() == code
    process.communicate()


def test_what_the_command_has_started_is_gone_once_it_has_ended_itself(mark):
    process = guarded("daemon()", mark)
    # Its end is not that of a pipe that others hold open.
    assert process.stdout.read() == b"begun\n"
    assert process.wait() == 0
    assert marked(mark) == []
    process.communicate()
    process.end()


def test_a_command_that_still_runs_is_ended_with_all_of_its_own(mark):
    process = guarded("daemon(); waits()", mark)
    assert process.stdout.readline() == b"begun\n"
    assert process.end() == -9
    assert marked(mark) == []
    process.communicate()


def test_what_is_left_by_a_command_that_kills_its_warden_is_ended(mark):
    process = guarded("daemon(); os.kill(os.getppid(), signal.SIGKILL); waits()", mark)
    assert process.stdout.readline() == b"begun\n"
    assert process.end() == -9
    assert is_true_in_time(lambda: marked(mark) == [])
    process.communicate()


def test_ctrl_c_is_handed_on():
    process = guarded("signal.signal(signal.SIGINT, lambda *_: sys.exit(3)); daemon(); waits()")
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(signal.SIGINT)
    assert process.wait() == 3
    process.communicate()
    process.end()


# Starts one, says so, and is killed.
PARENT = f"""
import os, sys, time
sys.path.insert(0, {str(PACKAGES)!r})
from lmn_bench.run.guard import GuardedProcess
process = GuardedProcess(sys.argv[1:], os.environ, None)
print("started", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("waiting_s", [0, 0.02, 0.1, 0.3])
def test_nothing_outlives_a_parent_that_is_killed_however_soon(mark, waiting_s):
    script = FAMILY + "daemon(); waits()"
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, *PYTHON, script], stdout=subprocess.PIPE,
        env={**os.environ, "OF_TEST": mark},
    ) as parent:  # fmt: skip
        assert parent.stdout.readline() == b"started\n"
        time.sleep(waiting_s)
        parent.kill()
    assert is_true_in_time(lambda: marked(mark) == [])


# ------------------------------------------------------------------------------- servers


def server_of(folder, script):
    """A server whose worker is this script, and needs no torch."""
    for name in ("__init__", "worker/__init__", "worker/__main__"):
        path = folder / f"lmn_bench/{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(script if "main" in name else "")
    return ForkServer({**os.environ, "COUNT": str(folder / "count")}, Installation(packages=folder))


STARTED = """
import json, os, signal, sys, time
def say(message):
    print(json.dumps(message), flush=True)
with open(os.environ["COUNT"], "a") as file:
    file.write(".")
starts = os.path.getsize(os.environ["COUNT"])
"""


def test_a_server_that_is_killed_while_it_starts_is_started_once_more(tmp_path):
    killed_once = f"{STARTED}if starts == 1: os.kill(os.getpid(), 9)\n"
    serving = "say({'ready': True, 'torch': 'mine'}); sys.stdin.read()"
    with server_of(tmp_path, killed_once + serving) as server:
        assert server.software == {"torch": "mine"}


def test_a_server_that_is_killed_whenever_it_starts_is_told_and_is_no_internal_error(tmp_path):
    with (
        server_of(tmp_path, f"{STARTED}os.kill(os.getpid(), 9)") as server,
        pytest.raises(ServerKilledError, match="killed by signal 9 while it started") as caught,
    ):
        server.has_cuda()
    assert caught.value.exit_code == 1
    assert (tmp_path / "count").read_text() == ".."


def test_a_case_is_over_in_time_when_its_server_does_not_answer_any_more(tmp_path):
    # What a model does that stops the server: the case's process is killed, and nobody says so.
    stopped = """
say({"ready": True})
sys.stdin.readline()
if (pid := os.fork()) == 0:
    time.sleep(60)
say({"pid": pid})
os.waitid(os.P_PID, pid, os.WEXITED)
os.kill(os.getpid(), signal.SIGSTOP)
"""
    with server_of(tmp_path, STARTED + stopped) as server:
        reply = server._run({"probe": {}}, 0.1)
    assert reply.timed_out
    assert reply.result is None
