"""A call that waits for a dead thread is broken off; any other is left alone."""

from __future__ import annotations

import queue
import signal
import threading

import pytest

from lmn_bench.worker.waiting import ThreadDiedError, not_for_the_dead


def fails():
    raise ValueError("no answer from me")


@pytest.fixture(autouse=True)
def silent(monkeypatch):
    """pytest would take a thread's error for a mistake of the test."""
    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)


def test_a_call_that_waits_for_ever_ends_with_what_the_thread_raised():
    @not_for_the_dead(0.01)
    def call():
        threading.Thread(target=fails).start()
        queue.SimpleQueue().get()

    with pytest.raises(ThreadDiedError, match=r"no answer from me .* in a thread of its own"):
        call()


def test_a_call_that_goes_on_after_a_threads_end_is_left_alone():
    with not_for_the_dead(60):
        thread = threading.Thread(target=fails)
        thread.start()
        thread.join()


def test_nothing_is_left_behind():
    before = threading.excepthook, signal.getsignal(signal.SIGUSR2), threading.active_count()
    with not_for_the_dead(60):
        thread = threading.Thread(target=fails)
        thread.start()
        thread.join()
    after = threading.excepthook, signal.getsignal(signal.SIGUSR2), threading.active_count()
    assert after == before
