"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])

DEFAULT_RESULTS = "results"


def results_option(command: _Command) -> _Command:
    """`--results FOLDER`: where run folders are."""
    return click.option(
        "--results",
        type=click.Path(file_okay=False, path_type=Path),
        default=DEFAULT_RESULTS,
        envvar="LMN_BENCH_RESULTS",
        show_default=True,
        show_envvar=True,
        help="Folder of run folders.",
    )(command)


def json_option(command: _Command) -> _Command:
    """`--json`: the same content for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")(command)
