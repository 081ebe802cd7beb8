"""`lmn-bench env`: facts of the machine, its memory caps, what would disturb, its ceilings."""

from __future__ import annotations

from dataclasses import asdict

import click

from lmn_bench.cli.console import print_json, stdout_console
from lmn_bench.cli.options import COUNT, json_option
from lmn_bench.errors import UsageError
from lmn_bench.schema import DTYPES, Ceiling, Environment


@click.command(name="env", short_help="Show the machine and what disturbs it.")
@click.option("--ceilings", is_flag=True,
              help="Measure what it can do: matrix product and copy, per dtype.")  # fmt: skip
@click.option("--threads", type=COUNT, metavar="N",
              help="CPU threads for --ceilings.  [default: all cores]")  # fmt: skip
@json_option
def command(ceilings: bool, threads: int | None, as_json: bool) -> None:
    """Show the machine's facts and what would disturb a measurement."""
    from lmn_bench.environment import read_environment
    from lmn_bench.report.facts import cap_rows, ceiling_rows, environment_rows, warning_lines
    from lmn_bench.run.caps import cap_mechanisms

    if threads is not None and not ceilings:
        raise UsageError("--threads is for --ceilings", "lmn-bench env --ceilings --threads 1")
    environment = read_environment()
    found = _measured(environment, threads or environment.logical_cores) if ceilings else ()
    caps = cap_mechanisms(with_cuda=bool(environment.gpus))
    if as_json:
        measured = {"ceilings": [asdict(ceiling) for ceiling in found]} if ceilings else {}
        told = [asdict(cap) for cap in caps]
        print_json({**asdict(environment), "cap_mechanisms": told, **measured})
        return
    console = stdout_console()
    rows = [*environment_rows(environment), *cap_rows(caps), *ceiling_rows(found)]
    for name, value in rows:
        console.print(f"{name:<16} {value}", markup=False, soft_wrap=True)
    for line in warning_lines(environment) or ["quiet: nothing found that would disturb"]:
        console.print(line, markup=False, soft_wrap=True)


def _measured(environment: Environment, threads: int) -> tuple[Ceiling, ...]:
    from lmn_bench.run.process import ForkServer

    if threads > environment.logical_cores:
        raise UsageError(f"{threads} threads asked for, {environment.logical_cores} cores here")
    with ForkServer() as server:
        found = server.ceilings("cpu", threads, DTYPES)
        if environment.gpus and server.has_cuda():
            found += server.ceilings("cuda", 0, DTYPES)
    return found
