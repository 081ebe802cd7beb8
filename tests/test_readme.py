"""What the README shows is what the program does."""

from __future__ import annotations

import importlib
import re
import shlex
import tomllib
from pathlib import Path
from types import ModuleType

import click
import pytest

from lmn_bench.cli import lmn_bench
from lmn_bench.suite import parse_suite

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


COMMANDS = [
    line.split("#")[0].strip()
    for block in blocks("sh")
    for line in block.splitlines()
    if line.startswith("lmn-bench")
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_in_the_readme_is_understood(command):
    name, *arguments = shlex.split(command)[1:]
    with click.Context(lmn_bench) as context:
        subcommand = lmn_bench.get_command(context, name)
        assert subcommand is not None
        subcommand.make_context(name, arguments, parent=context)


@pytest.mark.parametrize("text", blocks("toml"))
def test_the_example_suites_are_valid(text):
    assert parse_suite(tomllib.loads(text), "README.md").sweeps


def test_the_example_of_the_model_runs(capsys):
    (text,) = [block for block in blocks("python") if "LMNBlock" in block]
    scope = {}
    exec(text, scope)
    whole, steps = scope["y"], scope["y3"]
    assert (whole[:, 999] - steps).abs().max() < 1e-5


def test_the_make_targets_in_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", "\n".join(blocks("sh")), flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def script(name: str) -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "tests" / "scripts")
        return importlib.import_module(name)


def test_the_speed_table_in_the_readme_is_that_of_its_run():
    speed = script("speed_table")
    assert speed.with_speed(README, lambda: speed.speed_table(ROOT / speed.RUN)) == README


def test_the_figures_in_the_readme_are_those_of_the_reference_run():
    assert script("readme_result").with_result(README) == README


def test_what_was_learned_is_in_the_readme_as_the_reference_runs_say():
    assert script("learned_result").with_learned(README) == README
