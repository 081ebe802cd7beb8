from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmn_bench.escapes import plain
from lmn_bench.plain import one_line, said_at, said_by, user_place


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_can_be_written_and_shown(text):
    cleaned = plain(text)
    cleaned.encode()
    assert "\x1b" not in cleaned
    assert plain(cleaned) == cleaned


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("nul \x00 end", r"nul \x00 end"),
        ("half \udc80", r"half \x80"),
        ("naïve 数", "naïve 数"),
    ],
)
def test_codes_go_and_what_has_no_glyph_is_escaped(text, shown):
    assert plain(text) == shown


def test_a_line_is_one_and_no_longer_than_it_may_be():
    assert one_line("a\n  b\tc") == "a b c"
    assert one_line("x" * 50, most=10) == "x" * 9 + "…"


class UnreadableError(Exception):
    def __str__(self):
        raise ValueError


def test_an_error_whose_message_cannot_be_read_has_its_name():
    assert said_by(UnreadableError()) == "UnreadableError: (its message cannot be read: ValueError)"
    assert said_by(KeyError()) == "KeyError"


def test_an_error_inside_torch_is_placed_where_the_user_called_it():
    import torch

    with pytest.raises(IndexError) as caught:
        torch.nn.functional.softmax(torch.ones(2), dim=7)
    place = user_place(caught.value)
    assert place.startswith("tests/lmn_bench/test_plain.py:")
    assert said_at(caught.value).endswith(f"({place})")


def test_an_error_of_ours_alone_has_no_place_of_the_users():
    assert user_place(ValueError("never raised")) is None
