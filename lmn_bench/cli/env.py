"""`lmn-bench env`: facts of the machine, and what would disturb a measurement."""

from __future__ import annotations

from dataclasses import asdict

import click

from lmn_bench.cli.console import print_json, stdout_console
from lmn_bench.cli.options import json_option


@click.command(name="env", short_help="Show the machine and what disturbs it.")
@json_option
def command(as_json: bool) -> None:
    """Show the machine's facts and what would disturb a measurement."""
    from lmn_bench.environment import read_environment
    from lmn_bench.report.facts import environment_rows, warning_lines

    environment = read_environment()
    if as_json:
        print_json(asdict(environment))
        return
    console = stdout_console()
    for name, value in environment_rows(environment):
        console.print(f"{name:<16} {value}", markup=False, soft_wrap=True)
    for line in warning_lines(environment) or ["quiet: nothing found that would disturb"]:
        console.print(line, markup=False, soft_wrap=True)
