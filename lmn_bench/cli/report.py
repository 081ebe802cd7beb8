"""`lmn-bench report RUN...`: results of one run or of several, in the terminal or as a file."""

from __future__ import annotations

from pathlib import Path

import click

from lmn_bench.cli import complete
from lmn_bench.cli.console import stderr_console, stdout_console
from lmn_bench.cli.options import results_option

FORMATS = ("text", "html", "md", "csv", "json")


@click.command(name="report", short_help="Report a run's results, or those of several.")
@click.argument("runs", metavar="[RUN]...", nargs=-1, shell_complete=complete.run)
@click.option("--format", "form", type=click.Choice(FORMATS),
              help="[default: text, or what the name given to -o ends in]")  # fmt: skip
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path),
              help="Write to this file instead of stdout.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--charts", type=click.Choice(("svg", "png")),
              help="With --format md -o FILE: charts too, as pictures beside FILE.")  # fmt: skip
@click.option("--claims", metavar="SUITE",
              help="Judge this suite's claims in place of the run's own.",
              shell_complete=complete.suite)  # fmt: skip
@results_option
def command(
    runs: tuple[str, ...], form: str | None, output: Path | None, as_json: bool,
    charts: str | None, claims: str | None, results: Path,
) -> None:  # fmt: skip
    """Report a run (a folder, a name, or the beginning of one; default: the latest).

    Several runs are laid over each other, each as a series of its own: machines are never pooled.
    Trainings of one lesson are put together, each model with its seeds of all runs.
    """
    from lmn_bench.cli.reports import read_runs, save_pictures
    from lmn_bench.errors import UsageError
    from lmn_bench.report.markdown import render_markdown
    from lmn_bench.report.page import csv_of, document_of, json_of, page_of
    from lmn_bench.report.text import render_document
    from lmn_bench.store import save

    form = "json" if as_json else form or _form_of(output)
    if charts is not None and (form != "md" or output is None):
        raise UsageError(
            "--charts writes pictures beside a Markdown file", "give --format md and -o FILE too"
        )
    found = read_runs(runs or (None,), results, claims)
    console = stdout_console()
    if form == "text" and output is None:
        console.print(render_document(document_of(found), console))
        return
    if form == "html":
        text = page_of(found)
    elif form == "csv":
        text = csv_of(found)
    elif form == "json":
        text = json_of(found)
    elif form == "md":
        document = document_of(found)
        pictures = save_pictures(document, output, charts) if output and charts else {}
        text = render_markdown(document, pictures)
    else:
        with console.capture() as captured:
            console.print(render_document(document_of(found), console))
        text = captured.get()
    if output is None:
        console.out(text, end="")
        return
    save(output, text)
    stderr_console().print(f"wrote {output}", markup=False, soft_wrap=True)


def _form_of(output: Path | None) -> str:
    suffix = output.suffix.lstrip(".").lower() if output is not None else ""
    suffix = {"htm": "html", "markdown": "md"}.get(suffix, suffix)
    return suffix if suffix in FORMATS else "text"
