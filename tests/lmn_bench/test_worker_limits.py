"""Threads and processes that cannot be started: told as such, by whoever reports it."""

from __future__ import annotations

import errno
import os
import threading

import pytest

from lmn_bench.worker.limits import open_words, started_words, what_cannot_be_started


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (RuntimeError("can't start new thread"), "thread"),
        (RuntimeError("std::system_error: Resource temporarily unavailable"), "thread"),
        (RuntimeError("shapes differ"), None),
        # A pipe that is asked not to block.
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), None),
    ],
)
def test_what_an_error_says_cannot_be_started(error, what):
    assert what_cannot_be_started(error) == what


def test_a_fork_that_fails_is_a_process_that_cannot_be_started(monkeypatch):
    def refuse():
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    with pytest.raises(BlockingIOError) as caught:
        os.fork()
    error = caught.value
    # The frame of the system call is C's: the last one is whoever called it.
    assert error.__traceback__.tb_next is not None
    error.__traceback__.tb_next = None
    assert what_cannot_be_started(error) == "process"


def test_the_limits_are_told_in_numbers():
    assert f"{threading.active_count()} threads in this process" in started_words("thread")
    assert "files open" in open_words()
