"""What `fit` reads: every way to write a table is read right, or refused with its row."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmn_bench.cli import run_command_line
from lmn_bench.cli.columns import Columns, read_columns
from lmn_bench.cli.delimited import number
from lmn_bench.errors import UsageError

PLAIN = "n,t\n64,0.5\n128,1\n256,2e0\n512,4.0\n"
X, Y = [64.0, 128.0, 256.0, 512.0], [0.5, 1.0, 2.0, 4.0]


@pytest.fixture
def read(tmp_path):
    """Columns of a file of this content, and warnings."""

    def of(content, x="n", y="t", **columns):
        path = tmp_path / "data.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_columns(path, Columns(x, y, **columns))

    return of


@pytest.fixture
def refused(read):
    """The error and the hint that content ends in."""

    def of(content, **columns):
        with pytest.raises(UsageError) as caught:
            read(content, **columns)
        return f"{caught.value.message}\n{caught.value.hint}"

    return of


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", "|"),
        PLAIN.replace(",", "   "),
        PLAIN.replace(",", " \t "),
        PLAIN.replace(",", ", "),
        "\n".join("  " + line + "  " for line in PLAIN.replace(",", "  ").splitlines()),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.rstrip("\n"),
        PLAIN.replace("256", "\n,\n256"),
        "\n\n" + PLAIN,
        "\ufeff" + PLAIN,
        "sep=;\n" + PLAIN.replace(",", ";"),
        PLAIN.replace("64", '"64"').replace("n,", '"n",'),
        "\n".join(line + ',"a, b"' for line in PLAIN.splitlines()),
        "\n".join('"x\ny",' + line for line in PLAIN.splitlines()),
        "\n".join(line + ',"say ""so"""' for line in PLAIN.splitlines()),
    ],
)
def test_one_table_is_read_the_same_however_it_is_written(read, content):
    found, warnings = read(content)
    assert (found.x, found.y, warnings) == (X, Y, [])


@pytest.mark.parametrize(
    ("header", "y"), [('n;"time, s"', "time, s"), ("n;time, s", "time, s"), ("n;time s", "time s"),
                      ('n;"a; ""b"""', 'a; "b"')]
)  # fmt: skip
def test_names_hold_commas_spaces_and_quotes(read, header, y):
    found, _ = read(PLAIN.replace(",", ";").replace("n;t", header), y=y)
    assert found.y == Y


def test_names_in_quotes_that_are_parted_by_spaces(read):
    assert read(PLAIN.replace(",", " ").replace("n t", 'n "time s"'), y="time s")[0].y == Y


def test_comments_are_passed_over_and_that_is_said(read):
    found, warnings = read("# made by hand\n" + PLAIN.replace("256", "# 99,9\n256"))
    assert found.x == X
    assert warnings == ["passed over as comments (#): rows 1, 5"]


def test_a_quoted_sign_begins_no_comment(read):
    found, warnings = read('id,n,t\n"#1",64,0.5\n"#2",128,1\n')
    assert (found.x, warnings) == ([64.0, 128.0], [])


@pytest.mark.parametrize("header", ["# n t", "#n t"])
def test_names_may_stand_in_a_comment_above_numbers(read, header):
    found, warnings = read(PLAIN.replace(",", " ").replace("n t", header))
    assert (found.x, found.y, warnings) == (X, Y, [])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("n,t\n64,1,063\n", "row 2: 3 cells ('64' | '1' | '063'), the header has 2 ('n' | 't')"),
        ("n,t\n64,1\n128,2,\n", "row 3: 3 cells"),
        ("n,t,m\n64,1,2\n128,2\n256\n", "the header has 3 ('n' | 't' | 'm') (and 1 more row)"),
        ("n,t\n64,1\n128;2\n", "row 3: 1 cell ('128;2')"),
        ("n\tt\n64\t1\n128 2\n", "row 3: 1 cell"),
        ("n t\n64 1 2\n", "row 2: 3 cells"),
        ("n;t\n64;0,5\n", "t, row 2: '0,5' is not a finite number\nwrite a decimal point"),
        ('n,t\n64,1\n128,"1,063"\n', "t, row 3: '1,063' is not a finite number"),
        ("n;t\n1,024;1\n", "n, row 2: '1,024'"),
        ("n,t\n64,1_000\n", "t, row 2: '1_000'"),
        ("n;t\n64;1 000\n", "t, row 2: '1 000'"),
        ("n,t\n64,12 ms\n", "t, row 2: '12 ms' is not a finite number\nput the unit into the name"),
        ("n,t\n64,12ms\n", "put the unit"),
        ("n,t\n64,3µs\n", "put the unit"),
        ("n,t\n1k,3\n", "n, row 2: '1k'"),
        ("n,t\n64,12%\n", "put the unit"),
        ("n,t\n64,<1\n", "t, row 2: '<1'"),
        ("n,t\n64,0x10\n", "t, row 2: '0x10'"),
        ("n,t\n64,1e400\n", "t, row 2: '1e400' is above 1e+150"),
        ("n,t\n64,1e-400\n", "t, row 2: '1e-400' is not above 0"),
        ("n,t\n64,-inf\n", "t, row 2: '-inf'"),
        ("n;t\n128;1\n512;2\n1.024;3\n", "n, row 4: '1.024' beside whole numbers up to 512"),
        ("64,0.5\n128,1\n", "holds numbers only: 64, 0.5"),
        ("# only\n# comments\n", "comments only"),
        ('n,t\n64,"1\n128,2\n256,4\n', "row 2: unexpected end of data\nis a quotation mark"),
        ('n,t\n64,"1"x\n', "row 2: ',' expected after"),
        (PLAIN.encode("utf-16"), "is UTF-16 with a byte order mark\nto have it in UTF-8"),
        (PLAIN.encode("utf-16-le"), "is UTF-16LE by the look of it"),
        (PLAIN.encode("utf-16-be"), "iconv -f UTF-16BE -t UTF-8"),
        (PLAIN.encode("utf-32"), "is UTF-32 with a byte order mark"),
        ("n,t\n64,1\n128,2µ\n".encode("latin-1"), "is not UTF-8: byte 0xb5 at 14, in line 3"),
        (b"n,t\n64,1\n128,\0\n", "is no text file: a zero byte in row 3"),
        (gzip.compress(PLAIN.encode(), mtime=0), "is gzip, no text\ngzip -dc"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_right_is_refused_with_its_place_and_a_way_out(refused, content, words):
    assert words in refused(content)


def test_a_point_between_thousands_is_not_seen_in_decimals(read):
    assert read("n,t\n1,1.024\n2,2\n4,4.125\n")[0].y == [1.024, 2.0, 4.125]
    assert read("n,t\n1,0.250\n2,125\n4,950\n")[0].y == [0.25, 125.0, 950.0]


def test_a_row_after_a_break_inside_a_cell_is_told_by_row_and_line(refused):
    assert "row 3 (line 4): 1 cell" in refused('n,t\n64,"0.5\n"\n128\n')


def test_rows_without_a_process_are_not_pooled_into_one(refused):
    some = refused("n,t,pid\n64,1,a\n128,2,\n256,4,NA\n", process="pid")
    assert "rows 3, 4 lack a process: the column 'pid' is blank there" in some
    assert "leave --process out" in some
    none = refused("n,t,pid\n64,1,\n128,2, \n", process="pid")
    assert "every row lacks a process" in none


def test_rows_without_a_group_are_no_group(refused, read):
    assert "row 3 lacks a group" in refused("n,t,kind\n64,1,a\n128,2,\n", group="kind")
    assert read("n,t,kind\n64,1,none\n", group="kind")[0].groups == ["none"]


def test_a_row_that_is_left_out_needs_no_process(read):
    found, warnings = read("n,t,pid\n64,1,a\n128,,\n", process="pid")
    assert found.processes == ["a"]
    assert warnings == ["left out, as they lack a value: row 3"]


def test_a_pipe_is_read_once_and_whole(tmp_path):
    rows = "n,t\n" + "".join(f"{2 ** (k % 9 + 6)},{k + 1}\n" for k in range(20_000))
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=(rows,))
    writer.start()
    found, _ = read_columns(path, Columns("n", "t"))
    writer.join()
    assert found.y == [float(k + 1) for k in range(20_000)]


def test_stdin_is_read(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PLAIN.encode())))
    assert run_command_line(["fit", "-", "--x", "n", "--y", "t", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["groups"][0]["range"] == [64, 512]


@given(st.floats(1e-150, 1e150) | st.integers(1, 2**53))
def test_numbers_come_back_as_they_were_written(value):
    assert number(repr(value)) == value


@given(st.text(max_size=12))
def test_what_is_no_number_never_becomes_one(text):
    value = number(text)
    if value is not None:
        assert set(text) <= set("0123456789+-.eE")
        assert value == float(text)
