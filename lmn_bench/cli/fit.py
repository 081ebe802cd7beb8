"""`lmn-bench fit FILE`: how anyone's measurements grow."""

from __future__ import annotations

from pathlib import Path

import click

from lmn_bench.cli.console import print_json, stderr_console, stdout_console
from lmn_bench.cli.options import json_option


@click.command(name="fit", short_help="Find the growth laws of measurements in a CSV file.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--x", required=True, metavar="COLUMN", help="What grows: length, size, n.")
@click.option("--y", required=True, metavar="COLUMN", help="What was measured: time, memory.")
@click.option("--group", metavar="COLUMN", help="One fit per value of this column.")
@click.option("--process", metavar="COLUMN",
              help="The process that a row was measured in: the unit of noise.")  # fmt: skip
@json_option
def command(
    file: Path, x: str, y: str, group: str | None, process: str | None, as_json: bool
) -> None:
    """Say which growth laws the measurements of a CSV file allow, and whether that is decided.

    Laws are a + b g(n) with g constant, log n, log^2 n, sqrt n, n, n log n, n log^2 n, n^2. Measure
    each length in three processes or more, and best every length in each: what the noise between
    them can't tell apart is said to be so. FILE may be a pipe; - is stdin.
    """
    from lmn_bench.analysis.observed import observed_sample
    from lmn_bench.analysis.scaling import MIN_LENGTHS, scaling
    from lmn_bench.cli.columns import Columns, groups, read_columns
    from lmn_bench.errors import UsageError
    from lmn_bench.report.fitted import FittedGroup, fitted_document, fitted_json, warning_lines
    from lmn_bench.report.text import render_document

    found, general = read_columns(file, Columns(x, y, group, process))
    fitted = []
    for name, rows in groups(found, y):
        observed = observed_sample(rows.x, rows.y, rows.processes)
        warnings = observed.warnings
        scaled = scaling(observed.sample)
        if scaled is None:
            count = len(observed.sample.lengths)
            warnings = (f"{count} distinct value{'s' * (count != 1)} of {x}: {MIN_LENGTHS} needed",)
        fitted.append(FittedGroup(name, observed.design, scaled, (*general, *warnings)))
    if all(one.scaling is None for one in fitted):
        raise UsageError(
            f"nothing can be fitted: no group has {MIN_LENGTHS} distinct values of {x}",
            "measure at more lengths, best in octaves: 128, 256, 512, …",
        )
    if as_json:
        print_json(fitted_json(x, y, fitted))
        return
    for text in warning_lines(fitted):
        stderr_console().print(f"warning: {text}", markup=False, soft_wrap=True)
    console = stdout_console()
    console.print(render_document(fitted_document(x, y, fitted), console))
