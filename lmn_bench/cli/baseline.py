"""`lmn-bench baseline save|list|show|rm`: runs kept to compare others with."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmn_bench.cli import complete
from lmn_bench.cli.console import print_json, stderr_console, stdout_console
from lmn_bench.cli.options import json_option, results_option

if TYPE_CHECKING:
    from lmn_bench.store import StoredRun


class _Group(click.Group):
    """A group that offers the nearest command for one that does not exist."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from lmn_bench.errors import UnknownNameError

        completing = ctx.resilient_parsing
        if args and not args[0].startswith("-") and args[0] not in self.commands and not completing:
            raise UnknownNameError("command of baseline", args[0], self.commands)
        return super().resolve_command(ctx, args)


@click.group(name="baseline", cls=_Group, short_help="Keep runs to compare others with.")
def command() -> None:
    """Keep runs under a name, without their raw samples: small enough to commit.

    Baselines are in results/baselines/; `lmn-bench compare` takes their names.
    """


@command.command("save", short_help="Keep one or more runs under a name.")
@click.argument("name")
@click.argument("runs", metavar="[RUN]...", nargs=-1, shell_complete=complete.side)
@click.option("--force", is_flag=True, help="Replace a baseline of that name.")
@results_option
def save(name: str, runs: tuple[str, ...], force: bool, results: Path) -> None:
    """Keep the latest run, or those named, as baseline NAME; several runs are pooled."""
    from lmn_bench.baselines import find_runs, save_baseline
    from lmn_bench.cli.results_place import tell_place
    from lmn_bench.store import find_run, read_run

    folders = [folder for text in runs for folder in find_runs(text, results)]
    folders = folders or [find_run(None, results)]
    tell_place(results, kept=True)
    saved = save_baseline(name, [read_run(folder) for folder in folders], results, force=force)
    for note in saved.notes:
        stderr_console().print(f"warning: {note}", markup=False, soft_wrap=True)
    facts = _facts(saved.run, saved.size_bytes)
    cases = facts["cases"]
    stdout_console().print(
        f"{saved.folder}: {cases} case{'s' * (cases != 1)}, {_processes(facts)} each, "
        f"{_size(facts)}; from {', '.join(facts['sources'])}",
        markup=False, soft_wrap=True,
    )  # fmt: skip


@command.command("list", short_help="List all baselines.")
@results_option
@json_option
def list_all(results: Path, as_json: bool) -> None:
    """List all baselines."""
    from lmn_bench.baselines import list_baselines, size_of
    from lmn_bench.errors import StoreError
    from lmn_bench.report.document import Table
    from lmn_bench.report.text import render_table
    from lmn_bench.store import read_run

    facts, cells = [], []
    for folder in list_baselines(results):
        try:
            row = _facts(read_run(folder), size_of(folder))
        except StoreError as error:
            facts.append({"name": folder.name, "folder": str(folder), "unreadable": error.message})
            cells.append((folder.name, f"unreadable: {error.message}", *"????"))
            continue
        facts.append(row)
        cells.append((row["name"], row["suite"], row["created_at"][:10], str(row["cases"]),
                      _processes(row), row["machine"]["cpu_model"]))  # fmt: skip
    if as_json:
        print_json(facts)
        return
    console = stdout_console()
    if not cells:
        console.print(f"no baselines in {results}")
        return
    columns = ("name", "suite", "created", "cases", "each", "machine")
    for part in render_table(Table("", columns, tuple(cells), wraps=True)):
        console.print(part)


@command.command("show", short_help="Show what a baseline is made of.")
@click.argument("name", shell_complete=complete.baseline)
@results_option
@json_option
def show(name: str, results: Path, as_json: bool) -> None:
    """Show a baseline's suite, machine, cases and how they ended."""
    from lmn_bench.baselines import find_baseline, size_of
    from lmn_bench.cli.outputs import warn_of_bad_lines
    from lmn_bench.report.document import Table
    from lmn_bench.report.facts import environment_rows, warning_lines
    from lmn_bench.report.text import render_table
    from lmn_bench.store import read_run

    run = read_run(find_baseline(name, results))
    facts = _facts(run, size_of(run.folder))
    if as_json:
        print_json(facts)
        return
    outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in facts["outcomes"].items())
    rows = (
        ("suite", f"{run.info.suite.name}: {run.info.suite.description}"),
        ("created", run.info.created_at),
        ("finished", run.info.finished_at or "no: cases may lack processes"),
        ("runs", ", ".join(run.info.sources)),
        ("cases", f"{facts['cases']:,}"),
        ("each case", _processes(facts)),
        ("outcomes", outcomes),
        *environment_rows(run.info.environment),
        ("folder", f"{run.folder}, {_size(facts)}"),
    )
    console = stdout_console()
    for part in render_table(Table("", (name, ""), rows, wraps=True)):
        console.print(part)
    for text in warning_lines(run.info.environment):
        stderr_console().print(text, markup=False, soft_wrap=True)
    warn_of_bad_lines(run)


@command.command("rm", short_help="Delete a baseline.")
@click.argument("name", shell_complete=complete.baseline)
@results_option
def remove(name: str, results: Path) -> None:
    """Delete a baseline."""
    from lmn_bench.baselines import remove_baseline

    folder = remove_baseline(name, results)
    stdout_console().print(f"removed {folder}", markup=False, soft_wrap=True)


def _facts(run: StoredRun, size_bytes: int) -> dict[str, Any]:
    """What a baseline is, as plain data."""
    from dataclasses import asdict

    counts = Counter(record.case_id for record in run.records).values()
    return {
        "name": run.folder.name,
        "folder": str(run.folder),
        "suite": run.info.suite.name,
        "created_at": run.info.created_at,
        "finished_at": run.info.finished_at,
        "sources": list(run.info.sources),
        "cases": len(counts),
        "processes": {"least": min(counts, default=0), "most": max(counts, default=0)},
        "outcomes": dict(Counter(record.outcome.value for record in run.records)),
        "size_bytes": size_bytes,
        "machine": asdict(run.info.environment),
    }


def _processes(facts: dict[str, Any]) -> str:
    least, most = facts["processes"]["least"], facts["processes"]["most"]
    if least == most:
        return f"{least} process{'es' * (least != 1)}"
    return f"{least} to {most} processes"


def _size(facts: dict[str, Any]) -> str:
    from lmn_bench.units import format_bytes

    return format_bytes(facts["size_bytes"])
