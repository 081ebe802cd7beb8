"""`lmn-bench list suites|models|modes|tasks|corpora|metrics|devices|runs`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import RenderableType
from rich.text import Text

from lmn_bench.cli.console import print_json, stdout_console
from lmn_bench.cli.options import json_option, results_option
from lmn_bench.units import format_cap, format_value

_SHOWN = {
    "suites": ("name", "cases", "replicates", "description"),
    "models": ("name", "description"),
    "modes": ("name", "description", "not for"),
    "tasks": ("name", "length", "vocabulary", "chance", "description"),
    "corpora": ("name", "description"),
    "metrics": ("name", "unit", "better", "meaning"),
    "devices": ("name", "memory", "bandwidth", "float32", "kind"),
    "runs": ("name", "created", "records", "finished"),
}


@click.command(name="list")
@click.argument("what", type=click.Choice(list(_SHOWN)))
@results_option
@json_option
def command(what: str, results: Path, as_json: bool) -> None:
    """List suites, models, modes, tasks, corpora, metrics, device profiles or runs."""
    listing = {"suites": _suites, "models": _models, "modes": _modes, "tasks": _tasks,
               "corpora": _corpora, "metrics": _metrics,
               "devices": _devices}  # fmt: skip
    rows = _runs(results) if what == "runs" else listing[what]()
    if as_json:
        print_json(rows)
        return
    from lmn_bench.report.document import Table
    from lmn_bench.report.text import render_table

    console = stdout_console()
    if not rows:
        console.print(f"no {what}" + (f" in {results}" if what == "runs" else ""))
        return
    if what == "devices":
        for part in _device_lines(rows, console.width):
            console.print(part)
        return
    columns = _SHOWN[what]
    cells = tuple(tuple(str(row[column]) for column in columns) for row in rows)
    for part in render_table(Table("", columns, cells, wraps=True)):
        console.print(part)


def _suites() -> list[dict[str, Any]]:
    from lmn_bench.plan import all_cases
    from lmn_bench.suite import builtin_suites, load_suite

    rows = []
    for name, path in builtin_suites().items():
        suite = load_suite(path)
        rows.append({"name": name, "description": suite.description, "path": str(path),
                     "cases": len(all_cases(suite)),
                     "replicates": suite.replicates})  # fmt: skip
    return rows


def _models() -> list[dict[str, Any]]:
    from lmn.config import INITS
    from lmn_bench.subjects.names import BUILTIN, LEARNERS

    own = "your own: a factory that takes a ModelSpec, dtype and device"
    inits = ", ".join(init for init in INITS if init != "default")
    named = [{"name": name, "description": text} for name, text in BUILTIN.items()]
    named += [
        {"name": name, "description": f"{text}; mode learn alone"}
        for name, text in LEARNERS.items()
        if name not in BUILTIN
    ]
    named.append({"name": "lmn@INIT", "description": "mode learn alone: lmn, or another of its "
                  f"kind, with its weights drawn as INIT says: {inits}"})  # fmt: skip
    return [*named, {"name": "package.module:factory", "description": own}]


def _modes() -> list[dict[str, Any]]:
    from lmn_bench.schema import ALL_MODES
    from lmn_bench.subjects.names import LACKING

    lacking = {mode: [name for name, of in LACKING if of == mode] for mode in ALL_MODES}
    return [
        {"name": mode, "description": text, "not for": ", ".join(lacking[mode]) or "–"}
        for mode, text in ALL_MODES.items()
    ]


def _tasks() -> list[dict[str, Any]]:
    from lmn_bench.learning.names import TASKS
    from lmn_bench.learning.tasks.presets import task_preset

    text = {"name": "text", "length": "any", "vocabulary": "any", "chance": "–",
            "description": "the next token of a corpus"}  # fmt: skip
    rows = [text]
    for name, description in TASKS.items():
        task = task_preset(name).train
        rows.append({"name": name, "length": f"{task.length:,}",
                     "vocabulary": f"{task.vocabulary_size:,}", "chance": f"{task.chance:.3g}",
                     "description": description})  # fmt: skip
    return rows


def _corpora() -> list[dict[str, Any]]:
    from lmn_bench.learning.names import CORPORA

    own = "your own: a text file, or a folder of them"
    named = [{"name": name, "description": text} for name, text in CORPORA.items()]
    return [*named, {"name": "PATH", "description": own}]


def _metrics() -> list[dict[str, Any]]:
    from lmn_bench.metrics import METRICS

    return [
        {"name": m.key, "unit": m.unit or "count", "better": m.better, "exact": m.exact,
         "meaning": m.meaning, "measured": m.measured}
        for m in METRICS.values()
    ]  # fmt: skip


def _devices() -> list[dict[str, Any]]:
    from lmn_bench.devices import load_devices

    rows = [asdict(profile) for profile in load_devices().values()]
    return [{"name": row.pop("id"), **row} for row in rows]


def _device_lines(rows: Sequence[Mapping[str, Any]], width: int) -> Iterator[RenderableType]:
    """A line of numbers for each device, and below it what it is and where they come from."""
    from lmn_bench.report.document import Table
    from lmn_bench.report.text import Paragraph, TableView

    names = max(len(row["name"]) for row in rows)

    def aligned(name: str, memory: str, bandwidth: str, peak: str, kind: str) -> str:
        return f"{name:<{names}}  {memory:>8}  {bandwidth:>9}  {peak:>12}  {kind}"

    cells = [
        (row["name"], format_cap(row["memory_bytes"]),
         format_value(row["bandwidth_bytes_per_s"], "B/s"),
         format_value(row["peak_flops_per_s"]["float32"], "FLOP/s"), row["kind"])
        for row in rows
    ]  # fmt: skip
    lines = [aligned(*one) for one in cells]
    narrow = max(map(len, lines)) > width
    if not narrow:
        yield Text(aligned(*_SHOWN["devices"]), style="bold")
    for row, line, one in zip(rows, lines, cells, strict=True):
        yield TableView(Table("", _SHOWN["devices"], (one,))) if narrow else Text(line)
        # Addresses are longer than a line.
        title = ", ".join((row["title"], *_system_words(row)))
        yield Paragraph(f"{title} – {row['source']}", "dim", "  ")


def _system_words(row: Mapping[str, Any]) -> Iterator[str]:
    if not row["runs_python"]:
        yield "native code alone"
    if row["system_bytes"]:
        yield f"{format_cap(row['system_bytes'])} for its operating system"


def _runs(results: Path) -> list[dict[str, Any]]:
    from lmn_bench.errors import StoreError
    from lmn_bench.store import list_runs, read_run

    rows: list[dict[str, Any]] = []
    for folder in list_runs(results):
        try:
            run = read_run(folder)
        except StoreError as error:
            rows.append({"name": folder.name, "created": "?", "records": "?",
                         "finished": f"unreadable: {error.message}"})  # fmt: skip
            continue
        rows.append({"name": folder.name, "created": run.info.created_at,
                     "records": len(run.records),
                     "finished": run.info.finished_at or "no (run --resume)"})  # fmt: skip
    return rows
