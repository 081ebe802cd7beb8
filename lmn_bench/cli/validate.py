"""`lmn-bench validate SUITE`: all mistakes of a suite file at once."""

from __future__ import annotations

import click

from lmn_bench.cli import complete
from lmn_bench.cli.console import print_json, stdout_console
from lmn_bench.cli.options import json_option
from lmn_bench.errors import ExitCode, SuiteError


@click.command(name="validate", short_help="Check a suite file.")
@click.argument("suite", shell_complete=complete.suite)
@json_option
def command(suite: str, as_json: bool) -> int:
    """Check a suite (a name or a TOML file) and say what it would measure.

    All mistakes are told at once, each with its place. Exit code 2 if there are any.
    """
    from lmn_bench.environment import read_environment
    from lmn_bench.plan import left_out, on_this_machine, plan, runnable
    from lmn_bench.report.left_out import left_out_sentences
    from lmn_bench.suite import find_suite, load_suite

    path = find_suite(suite)
    try:
        loaded = load_suite(path)
    except SuiteError as error:
        if not as_json:
            raise
        problems = [vars(problem) for problem in error.problems]
        print_json({"suite": str(path), "valid": False, "problems": problems})
        return ExitCode.USAGE
    everything = plan(loaded, read_environment())
    planned, absent = on_this_machine(everything), left_out(everything)
    cases, replicates = len(runnable(planned)), loaded.replicates
    if as_json:
        print_json(
            {"suite": str(path), "valid": True, "problems": [], "cases": len(planned),
             "runnable": cases, "replicates": replicates, "left_out": absent}
        )  # fmt: skip
    else:
        skipped = len(planned) - cases
        more = f", {skipped} skipped" if skipped else ""
        times = "seeds" if loaded.learning else "processes"
        stdout_console().print(f"{path}: ok, {cases} cases × {replicates} {times}{more}",
                               markup=False, soft_wrap=True)  # fmt: skip
        for line in left_out_sentences(absent):
            stdout_console().print(line, markup=False, soft_wrap=True)
    return ExitCode.OK
