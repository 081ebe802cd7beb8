"""What a learning process tells reaches its parent whole, or is told to be lost."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lmn_bench.run.installation import PACKAGES
from lmn_bench.run.learning import _event

BEGIN = f"""
import os, sys
sys.path.insert(0, {str(PACKAGES)!r})
from lmn_bench.worker.learning.telling import Answers, LostPipeError
tell = Answers()
os.dup2(2, 1)
tell.be_alone()
"""


def heard(script):
    """The events of a process that runs this."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", BEGIN + script], capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return [_event(line) for line in done.stdout.splitlines() if line.strip()]


def test_a_model_that_writes_into_the_descriptors_it_finds_low_reaches_none_of_ours():
    script = """
for number in range(3, 256):
    try:
        os.write(number, b"half of")
    except OSError:
        pass
tell({"saved": 3})
"""
    assert heard(script) == [("saved", 3)]


def test_forks_tell_nothing():
    script = """
if os.fork() == 0:
    tell({"saved": 1})
    os._exit(0)
os.wait()
tell({"saved": 2})
"""
    assert heard(script) == [("saved", 2)]


@pytest.mark.parametrize("then", ["", "[os.open('/dev/null', os.O_WRONLY) for _ in range(10)]"])
def test_one_who_closes_all_is_told_and_no_file_of_the_models_is_written_into(then):
    script = f"""
os.closerange(3, 65536)
{then}
try:
    tell({{"saved": 1}})
except LostPipeError as error:
    sys.stderr.write(str(error))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", BEGIN + script], capture_output=True, timeout=60
    )
    assert done.stderr == b"its code has closed the pipe by which its process answers"
    assert done.stdout == b""


@pytest.mark.parametrize(
    "line", [b'{"failed": 3}', b'{"ended": []}', b'{"saved": "x"}', b'{"step": 1}']
)
def test_what_has_not_the_form_of_an_answer_is_none(line):
    assert _event(line) is None
