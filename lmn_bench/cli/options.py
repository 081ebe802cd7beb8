"""Options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from lmn_bench.cli import complete
from lmn_bench.cli.results_place import default_results
from lmn_bench.learning.limits import MAX_COUNT, MAX_LAYERS, MAX_WIDTH

_Command = TypeVar("_Command", bound=Callable[..., Any])


# Sizes of models, and anything that is counted.
WIDTH = click.IntRange(1, MAX_WIDTH)
LAYERS = click.IntRange(1, MAX_LAYERS)
EXPANSION = click.IntRange(0, MAX_WIDTH)
COUNT = click.IntRange(1, MAX_COUNT)


class FiniteRange(click.FloatRange):
    """A number within a range; NaN, which no comparison finds out of one, is none."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number, within the range."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a valid float: it is no finite number.", param, ctx)
        return number


class SecondsRange(FiniteRange):
    """Seconds from a plain number of them, or from a time with its unit: "90", "2min"."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The seconds, within the range.

        Raises:
            UnitError: neither a number nor a time.
        """
        from lmn_bench.units import parse_seconds

        try:
            seconds = float(value)
        except ValueError:
            seconds = parse_seconds(value)
        return float(super().convert(seconds, param, ctx))


def results_option(command: _Command) -> _Command:
    """`--results FOLDER`: where run folders are."""
    return click.option(
        "--results",
        type=click.Path(file_okay=False, path_type=Path),
        callback=_given_or_found,
        # Known before what is completed from it.
        is_eager=True,
        envvar="LMN_BENCH_RESULTS",
        show_default="results, here or further up in this repository",
        show_envvar=True,
        help="Folder of run folders.",
    )(command)


def _given_or_found(_: click.Context, __: click.Parameter, given: Path | None) -> Path:
    return default_results() if given is None else given


def json_option(command: _Command) -> _Command:
    """`--json`: the same content for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")(command)


def selection_options(command: _Command) -> _Command:
    """What of a suite is measured, and on what."""
    for option in reversed(selection()):
        command = option(command)
    return command


def selection() -> tuple[Callable[[Any], Any], ...]:
    """The options of `selection_options`, in the order of the help."""
    return (
        click.option("--models", "--subjects", metavar="A,B", shell_complete=complete.learner_list,
                     help="Models in place of the suite's own."),
        click.option("--modes", metavar="A,B", shell_complete=complete.mode_list,
                     help="Only these of the suite's modes."),
        click.option("--lengths", metavar="RANGE", help='"2^7..2^15" or "128,1K,4096".'),
        click.option("--device", metavar="A,B", shell_complete=complete.device_list,
                     help="cpu, cuda, or both."),
        click.option("--threads", metavar="N,M", help="CPU threads."),
        click.option("--memory-cap", metavar="A,B", help='Budgets such as "64MiB", or "none".'),
        click.option("--cap-mechanism", metavar="rlimit|cgroup",
                     help="What enforces them: on memory asked for (rlimit), or used (cgroup)."),
        click.option("--set", "settings", multiple=True, metavar="KEY=VALUE",
                     shell_complete=complete.setting,
                     help="Any other key of a sweep or of [measuring], e.g. width=128."),
    )  # fmt: skip
