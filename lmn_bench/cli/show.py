"""`lmn-bench show RUN`: what a run is made of, and every replicate of a case."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import click

from lmn_bench.cli import complete
from lmn_bench.cli.console import print_json, stdout_console
from lmn_bench.cli.options import json_option, results_option


@click.command(name="show", short_help="Show a run as it was recorded.")
@click.argument("run", required=False, shell_complete=complete.run)
@click.option("--case", "case", metavar="TEXT",
              help="Every replicate of the cases whose id contains TEXT.")  # fmt: skip
@results_option
@json_option
def command(run: str | None, case: str | None, results: Path, as_json: bool) -> None:
    """Show a run's suite, machine, outcomes and failures, or its cases one by one."""
    from lmn_bench.errors import UnknownNameError
    from lmn_bench.report.inspect import inspect_cases, inspect_run
    from lmn_bench.report.text import render_document
    from lmn_bench.store import find_run, read_run

    stored = read_run(find_run(run, results))
    records = [record for record in stored.records if case is None or case in record.case_id]
    if not records and case is not None:
        raise UnknownNameError("case", case, {record.case_id for record in stored.records})
    if as_json:
        outcomes = Counter(record.outcome.value for record in stored.records)
        bad = [{"line": line.number, "reason": line.reason} for line in stored.bad_lines]
        print_json({"run": asdict(stored.info), "folder": str(stored.folder), "outcomes": outcomes,
                    "bad_lines": bad,
                    "records": [r.to_dict() for r in records] if case else []})  # fmt: skip
        return
    console = stdout_console()
    document = (
        inspect_run(stored.info, stored.folder, stored.records, stored.bad_lines)
        if case is None
        else inspect_cases(stored.info, records)
    )
    console.print(render_document(document, console))
