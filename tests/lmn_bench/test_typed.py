"""Commands that users are told to type, collected from sources, help and README: they parse."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmn_bench.cli import lmn_bench
from lmn_bench.safe import terminal_line
from lmn_bench.typed import quoted, typed

ROOT = Path(__file__).resolve().parents[2]
# What stands for a value that only a run knows; a number, as some options take no words.
STAND_IN = "7"
TOLD = re.compile(r"`(lmn-bench [^`]+)`|next: (lmn-bench .+)|^ {2,}(lmn-bench .+)$", re.MULTILINE)


def parse(command):
    """Read a command line as the program would; click's own errors tell what is wrong."""
    name, *arguments = shlex.split(command)[1:]
    with click.Context(lmn_bench) as context:
        subcommand = lmn_bench.get_command(context, name)
        assert subcommand is not None, name
        if isinstance(subcommand, click.Group) and arguments:
            _, subcommand, arguments = subcommand.resolve_command(context, arguments)
        if arguments and arguments != ["--help"]:
            # Left at once, so that files which were opened are closed.
            with subcommand.make_context(name, arguments, parent=context):
                pass


def told_in(text):
    """Commands in a text; an explanation behind one is parted by spaces or a number sign."""
    for found in TOLD.finditer(text):
        command = re.split(r"\s{2,}|\s#", next(group for group in found.groups() if group))[0]
        if "…" not in command and "..." not in command:
            yield command


def _text(node):
    """The text of a string in a source; None if the node is none."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or STAND_IN for part in node.values)
    return None


def _words(node):
    """The words of a call of `typed`; None if the node is none."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "typed":
        first, *rest = node.args
        return ["lmn-bench", _text(first) or "show", *(_text(word) or STAND_IN for word in rest)]
    return None


def _nodes(node):
    """All below a node, but not the parts of strings, nor a module's own docstring."""
    yield node
    if isinstance(node, ast.JoinedStr):
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                yield from _nodes(part.value)
        return
    own = node.body[:1] if isinstance(node, ast.Module) and ast.get_docstring(node) else []
    for child in ast.iter_child_nodes(node):
        if child not in own:
            yield from _nodes(child)


def told_by_sources():
    for path in sorted((ROOT / "lmn_bench").rglob("*.py")):
        for node in _nodes(ast.parse(path.read_text())):
            if words := _words(node):
                yield path.name, shlex.join(words)
            elif (text := _text(node)) is not None:
                yield from ((path.name, command) for command in told_in(text))


COMMANDS = sorted({*told_by_sources(), *(("README.md", one) for one in told_in(
    (ROOT / "README.md").read_text()))})  # fmt: skip


def test_there_are_commands_to_be_tried():
    assert len({where for where, _ in COMMANDS}) > 10


@pytest.mark.parametrize(("where", "command"), COMMANDS)
def test_a_command_that_is_told_can_be_typed(tmp_path, monkeypatch, where, command):
    monkeypatch.chdir(tmp_path)
    # The one file that has to be there when the command line is read.
    Path("book.txt").write_text("The ")
    parse(command)


@given(st.lists(st.text(st.characters(codec="utf-8")).map(terminal_line)))
def test_a_shell_reads_the_words_that_were_meant(words):
    assert shlex.split(typed(*words)) == ["lmn-bench", *words]


def test_words_that_cannot_be_shown_are_told_in_plain_signs_and_read_back_by_bash():
    words = [
        *map(chr, range(1, 0x300)),
        *"\u202e\u200b\ufeff\udcff\U000e0041",
        "it's\n\\x\x1b41\t!",
    ]
    command = typed(*words, program="printf")
    assert terminal_line(command) == command
    said = subprocess.run(
        ["bash", "-c", command.replace("printf", r"printf '%s\0'", 1)],
        capture_output=True,
        check=True,
    ).stdout
    assert said.split(b"\0")[:-1] == [os.fsencode(word) for word in words]


@pytest.mark.parametrize(
    "name", ["my run", "it's", 'a"b', "a=b", "-rf", "--help", "$HOME", "*", "a;b", "späť"]
)
def test_a_path_of_any_name_is_one_word_and_no_option(name):
    command = typed("run", "--resume", Path(name))
    assert Path(shlex.split(command)[-1]) == Path(name)
    parse(command)
    assert shlex.split(quoted(name)) == [shlex.split(command)[-1]]
