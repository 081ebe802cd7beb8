from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmn_bench.devices import load_devices
from lmn_bench.errors import FileError, UsageError
from lmn_bench.learning.corpora import load_corpus
from lmn_bench.learning.settings_file import read_settings_file
from lmn_bench.suite import load_suite
from lmn_bench.texts import decode_text, read_text

SUITE = 'name = "a"\n[[sweep]]\nsubjects = "lmn"\nmodes = "train"\nlengths = 64\n'
DEVICE = """[board]
title = "Board"
kind = "board"
memory = "1GiB"
bandwidth = "1GB/s"
peak = { float32 = 1e9 }
runs_python = true
source = "https://example.org/board"
note = "made up"
"""
# A reader of a user's file each, with content that it takes.
READERS = [
    (lambda path: load_suite(path).name, SUITE),
    (lambda path: read_settings_file(path)["width"], "width = 64"),
    (lambda path: load_devices(path)["board"].title, DEVICE),
    (lambda path: load_corpus(path).sha256, "the cat sat"),
]


def mistakes(call):
    """All that is said of what is wrong."""
    with pytest.raises((UsageError, FileError)) as caught:
        call()
    error = caught.value
    problems = error.problems if isinstance(error, FileError) else [error]
    return " ".join(f"{problem.message}; {problem.hint}" for problem in problems)


@given(st.text().filter(lambda text: "\0" not in text and not text.startswith("\ufeff")))
def test_a_text_reads_the_same_with_a_byte_order_mark_and_without(text):
    assert decode_text(text.encode("utf-8-sig"), "x") == decode_text(text.encode(), "x") == text


@pytest.mark.parametrize(("read", "content"), READERS)
def test_every_file_that_people_give_may_begin_with_a_byte_order_mark(tmp_path, read, content):
    plain, marked = tmp_path / "plain.toml", tmp_path / "marked.toml"
    plain.write_bytes(content.encode())
    marked.write_bytes(content.encode("utf-8-sig"))
    assert read(marked) == read(plain)


@pytest.mark.parametrize(("read", "content"), READERS)
@pytest.mark.parametrize("encoding", ["UTF-16", "UTF-32", "UTF-16LE", "UTF-16BE"])
def test_other_encodings_are_named_with_the_command_that_converts(
    tmp_path, read, content, encoding
):
    path = tmp_path / "odd name.txt"
    path.write_bytes(content.encode(encoding))
    said = mistakes(lambda: read(path))
    assert f"is {encoding} " in said
    assert f"`iconv -f {encoding} -t UTF-8 '{path}' > utf8.txt`" in said


@pytest.mark.parametrize("order", ["utf-16-be", "utf-32-be"])
def test_a_mark_of_the_other_byte_order_is_known_too(order):
    content = "\ufeffthe cat".encode(order)
    assert f"is {order[:6].upper()} with a byte order mark" in mistakes(
        lambda: decode_text(content, "x")
    )


def test_a_byte_that_is_no_utf8_is_told_with_its_line(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes("one\ntwo\ncafé".encode("latin1"))
    said = mistakes(lambda: read_text(path))
    assert "is not UTF-8: byte 0xe9 at 11, in line 3" in said
    assert f"`iconv -f latin1 -t UTF-8 {path} > utf8.txt`" in said


def test_what_came_through_a_pipe_is_converted_in_the_pipe():
    said = mistakes(lambda: decode_text("the cat".encode("utf-16"), "<stdin>"))
    assert "send it through `iconv -f UTF-16 -t UTF-8` first" in said


def test_a_zero_byte_does_not_make_a_text_another_encoding():
    assert decode_text(b"a\0b", "x") == "a\0b"
