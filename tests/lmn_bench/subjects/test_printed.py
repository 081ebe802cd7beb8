"""Standard error is read back in a bounded size; each different line is kept once."""

from __future__ import annotations

import os

import pytest

from lmn_bench.subjects.printed import MOST_CHARACTERS, MOST_LINES, Printed


@pytest.fixture(autouse=True)
def standard_error(tmp_path):
    """Descriptor 2 is a file that can be read back, as in a worker."""
    before = os.dup(2)
    file = os.open(tmp_path / "errors", os.O_RDWR | os.O_CREAT)
    os.dup2(file, 2)
    yield
    os.dup2(before, 2)
    os.close(before)
    os.close(file)


def say(text):
    os.write(2, text.encode())


def test_lines_from_before_are_not_told():
    say("before\n")
    printed = Printed()
    say("after\n")
    assert printed.lines() == ["after"]


def test_a_line_that_comes_again_is_told_once():
    printed = Printed()
    say("one\ntwo\none\n" * 50)
    assert printed.lines() == ["one", "two"]


def test_more_lines_than_are_kept_are_counted():
    printed = Printed()
    say("".join(f"line {n}\n" for n in range(MOST_LINES + 3)))
    assert len(printed.lines()) == MOST_LINES + 1
    assert printed.lines()[-1] == "… and 3 more lines"


def test_a_long_line_is_cut_and_shows_it():
    printed = Printed()
    say("x" * 5000 + "\n")
    assert printed.lines() == ["x" * (MOST_CHARACTERS - 1) + "…"]


def test_of_very_much_the_first_and_the_last_part_are_read_and_the_rest_is_told():
    printed = Printed()
    say("early\n" + "noise\n" * 20_000)
    say("middle\n" + "noise\n" * 40_000 + "last\n")
    assert printed.lines() == ["early", "noise", "last", "… 224 KiB in the middle were not kept"]


def test_the_source_line_below_a_warning_is_left_out():
    printed = Printed()
    say("models.py:3: UserWarning: slow path\n  warnings.warn('slow path')\n")
    assert printed.lines() == ["models.py:3: UserWarning: slow path"]


def test_terminal_codes_and_what_is_no_text_are_made_printable():
    printed = Printed()
    os.write(2, b"\x1b[31mred\x1b[0m \xff\n")
    assert printed.lines() == [r"red \xff"]


def test_the_last_words_are_the_last_line_that_says_something():
    printed = Printed()
    assert printed.last_words() == ""
    say("one\nno licence\n\n")
    assert printed.last_words() == " (it printed: no licence)"


def test_where_it_cannot_be_read_back_there_is_nothing():
    reading, writing = os.pipe()
    os.dup2(writing, 2)
    printed = Printed()
    say("gone\n")
    assert printed.lines() == []
    os.close(reading)
    os.close(writing)
