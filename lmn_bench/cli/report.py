"""`lmn-bench report RUN...`: results of one run or of several, in the terminal or as a file."""

from __future__ import annotations

from pathlib import Path

import click

from lmn_bench.cli import complete
from lmn_bench.cli.console import stderr_console, stdout_console, write_stdout
from lmn_bench.cli.options import results_option

FORMATS = ("text", "html", "md", "csv", "json")


@click.command(name="report", short_help="Report a run's results, or those of several.")
@click.argument("runs", metavar="[RUN]...", nargs=-1, shell_complete=complete.run)
@click.option("--format", "form", type=click.Choice(FORMATS),
              help="[default: text, or what the name given to -o ends in]")  # fmt: skip
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path),
              help="Write to this file instead of stdout (-).")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--charts", type=click.Choice(("svg", "png")),
              help="With --format md -o FILE: charts too, as pictures beside FILE.")  # fmt: skip
@click.option("--reference", metavar="NAME", shell_complete=complete.model,
              help="Compare the others with this.  [default: the run's own choice]")  # fmt: skip
@click.option("--claims", metavar="SUITE",
              help="Judge this suite's claims in place of the run's own.",
              shell_complete=complete.suite)  # fmt: skip
@results_option
def command(
    runs: tuple[str, ...], form: str | None, output: Path | None, as_json: bool,
    charts: str | None, reference: str | None, claims: str | None, results: Path,
) -> None:  # fmt: skip
    """Report a run (a folder, a name, or the beginning of one; default: the latest).

    Several runs are laid over each other, each as a series of its own: machines are never pooled.
    Trainings of one lesson are put together, each model with its seeds of all runs.
    """
    from lmn_bench.cli.outputs import require_writable
    from lmn_bench.cli.reports import read_runs, save_pictures
    from lmn_bench.errors import UsageError
    from lmn_bench.report.markdown import render_markdown
    from lmn_bench.report.page import csv_of, document_of, json_of, page_of
    from lmn_bench.report.text import render_document
    from lmn_bench.store import save

    output = None if output == Path("-") else output
    form = _form(form, output, as_json=as_json)
    if charts is not None and (form != "md" or output is None):
        raise UsageError(
            "--charts writes pictures beside a Markdown file", "give --format md and -o FILE too"
        )
    if output is not None:
        require_writable("-o", output)
    found = read_runs(runs or (None,), results, claims, reference)
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
        write_stdout(text, utf8=form == "html")
        return
    save(output, text)
    stderr_console().print(f"wrote {output}", markup=False, soft_wrap=True)


def _form(form: str | None, output: Path | None, *, as_json: bool) -> str:
    """The form asked for by option, by the file's ending, or both if they agree."""
    from lmn_bench.cli.outputs import ENDINGS, form_of
    from lmn_bench.errors import UsageError

    if as_json and form not in (None, "json"):
        raise UsageError(f"--json and --format {form} are both given", "leave one of them out")
    form = "json" if as_json else form
    if output is None:
        return form or "text"
    if form is None:
        return form_of("-o", output, FORMATS, "text")
    others = [other for other in FORMATS if output.suffix.lower() in ENDINGS[other]]
    if others and form not in others:
        option = "--json" if as_json else f"--format {form}"
        raise UsageError(
            f"-o {output} and {option} ask for two forms",
            f"let it end in {ENDINGS[form][0]}, or leave {option} out",
        )
    return form
