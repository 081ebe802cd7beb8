"""`lmn-bench report RUN`: a run's results, in the terminal or as a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from lmn_bench.cli.console import stderr_console, stdout_console
from lmn_bench.cli.options import results_option

FORMATS = ("text", "md", "csv", "json")


@click.command(name="report", short_help="Report a run's results.")
@click.argument("run", required=False)
@click.option("--format", "form", type=click.Choice(FORMATS),
              help="[default: text, or what the name given to -o ends in]")  # fmt: skip
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path),
              help="Write to this file instead of stdout.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--claims", metavar="SUITE",
              help="Judge this suite's claims in place of the run's own.")  # fmt: skip
@results_option
def command(
    run: str | None, form: str | None, output: Path | None, as_json: bool, claims: str | None,
    results: Path,
) -> None:  # fmt: skip
    """Report a run (a folder, a name, or the beginning of one; default: the latest)."""
    from lmn_bench.analysis.results import result_set
    from lmn_bench.cli.sweep import run_document
    from lmn_bench.plan import plan
    from lmn_bench.report.markdown import render_markdown
    from lmn_bench.report.tabular import render_csv, render_json
    from lmn_bench.report.text import render_document
    from lmn_bench.store import find_run, read_run, save
    from lmn_bench.suite import find_suite, load_suite

    form = "json" if as_json else form or _form_of(output)
    stored = read_run(find_run(run, results))
    if claims is not None:
        others = load_suite(find_suite(claims)).claims
        suite = replace(stored.info.suite, claims=others)
        stored = replace(stored, info=replace(stored.info, suite=suite))
    for bad in stored.bad_lines:
        stderr_console().print(
            f"warning: {stored.folder.name}/records.jsonl line {bad.number} left out: {bad.reason}",
            markup=False, soft_wrap=True,
        )  # fmt: skip
    planned = plan(stored.info.suite, stored.info.environment)
    found = result_set(stored.records, [item.case for item in planned])
    console = stdout_console()
    if form == "text" and output is None:
        console.print(render_document(run_document(stored, planned), console))
        return
    if form == "csv":
        text = render_csv(found)
    elif form == "json":
        text = render_json(stored.info, found)
    elif form == "md":
        text = render_markdown(run_document(stored, planned))
    else:
        with console.capture() as captured:
            console.print(render_document(run_document(stored, planned), console))
        text = captured.get()
    if output is None:
        console.out(text, end="")
        return
    save(output, text)
    stderr_console().print(f"wrote {output}", markup=False, soft_wrap=True)


def _form_of(output: Path | None) -> str:
    suffix = output.suffix.lstrip(".").lower() if output is not None else ""
    return suffix if suffix in FORMATS else "text"
