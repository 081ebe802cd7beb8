"""What a child tells through shared memory is whole, and its own."""

from __future__ import annotations

import os

import pytest

from lmn_bench.shared import Shared, TooLongError


@pytest.fixture
def shared():
    made = Shared(100)
    yield made
    made.close()


def in_child(act):
    pid = os.fork()
    if pid == 0:
        try:
            act()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def test_a_child_is_heard_and_those_that_it_forks_are_not(shared):
    def child():
        shared.take()
        shared.write(b"one ")
        in_child(lambda: shared.write(b"other"))
        shared.write(b"two")

    in_child(child)
    assert shared.read() == b"one two"


def test_a_child_that_has_closed_all_its_descriptors_is_heard(shared):
    in_child(lambda: (shared.take(), os.closerange(0, 4096), shared.write(b"still here")))
    assert shared.read() == b"still here"


def test_what_does_not_fit_is_not_written_in_part(shared):
    shared.take()
    shared.write(b"x" * 90)
    with pytest.raises(TooLongError):
        shared.write(b"y" * 11)
    assert shared.read() == b"x" * 90
