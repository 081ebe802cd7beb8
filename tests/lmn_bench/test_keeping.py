"""What is printed is kept as head and tail, in bounded size, and read back as it was."""

from __future__ import annotations

import os
import select

import pytest

from lmn_bench.keeping import HEAD_BYTES, TAIL_BYTES, Kept, end_of, make_file, shortened
from lmn_bench.worker.ending import wait_for

MIB = 2**20
# What the kernel keeps in pages, of which the first and the last may be cut.
MOST_BYTES = HEAD_BYTES + TAIL_BYTES + 2 * 4096


@pytest.fixture
def file():
    made = make_file("printed")
    yield made
    os.close(made)


def stored(file):
    return os.fstat(file).st_blocks * 512


def test_the_middle_goes_and_head_and_tail_stay(file):
    kept = Kept([file])
    os.write(file, b"first" + bytes(16 * MIB) + b"last")
    kept.cut()
    kept.close()
    assert stored(file) <= MOST_BYTES
    assert os.pread(file, 5, 0) == b"first"
    assert end_of(file, 4) == "last"


def test_little_stays_whole(file):
    kept = Kept([file])
    os.write(file, b"x" * (HEAD_BYTES + TAIL_BYTES))
    kept.cut()
    kept.close()
    assert os.pread(file, MIB, 0) == b"x" * (HEAD_BYTES + TAIL_BYTES)


def test_who_prints_nothing_wakes_nobody(file):
    kept = Kept([file])
    assert select.select([kept.changes], [], [], 0)[0] == []
    os.write(file, b".")
    assert select.select([kept.changes], [], [], 10)[0] == [kept.changes]
    kept.cut()
    assert select.select([kept.changes], [], [], 0)[0] == []
    kept.close()


def test_what_a_child_has_printed_is_short_when_it_ends(file):
    pid = os.fork()
    if pid == 0:
        for _ in range(64):
            os.write(file, b"." * MIB)
        os._exit(7)
    assert os.waitstatus_to_exitcode(wait_for(pid, Kept([file]))) == 7
    assert os.fstat(file).st_size == 64 * MIB
    assert stored(file) <= MOST_BYTES


@pytest.mark.parametrize("length", [0, 9, 10, 11, 1000])
def test_a_shortened_text_has_the_begin_and_the_end_and_says_how_much_is_gone(length):
    text = ("0123456789" * 100)[:length]
    if length <= 10:
        assert shortened(text, 10) == text
    else:
        gone = f"({length - 10} characters were cut out here)"
        assert shortened(text, 10) == f"{text[:5]} … {gone} … {text[-5:]}"
