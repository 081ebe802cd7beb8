"""What `profile` does: check, measure in a process of its own, keep everything, then tell."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lmn_bench.cli.console import print_json, stderr_console, stdout_console
from lmn_bench.cli.outputs import form_of, require_writable, save_made
from lmn_bench.cli.results_place import tell_place
from lmn_bench.environment import read_environment
from lmn_bench.errors import DeviceError, StoreError, UnknownNameError, UsageError
from lmn_bench.places import LINES_FILE, TRACE_FILE
from lmn_bench.places import PROFILE_FILE as JSON_FILE
from lmn_bench.profiles import Profile, profile_json, profile_of
from lmn_bench.report.facts import warning_lines
from lmn_bench.report.profiled.document import told_sentences
from lmn_bench.report.profiled.page import profile_markdown, profile_page, profile_text
from lmn_bench.report.profiled.tree import render_profile
from lmn_bench.report.profiled.words import case_title
from lmn_bench.run.process import ForkServer
from lmn_bench.run_lock import new_folder
from lmn_bench.schema import Case, Environment
from lmn_bench.store import save
from lmn_bench.subjects.names import BUILTIN, LACKING, is_user_subject
from lmn_bench.subjects.sizes import feedforward_width

PAGE_FILE = "report.html"
FORMS = ("html", "md", "json", "text")
# Any other seed gives other weights, and the same times.
SEED = 0


@dataclass(frozen=True)
class Request:
    """What `profile` was asked for; see its options.

    `depth` is None where none was given.
    """

    case: Case
    depth: int | None
    lines: bool
    timeout_s: float


def run_profile(
    request: Request, results: Path, output: Path | None, *, quiet: bool, as_json: bool
) -> None:
    """Profile one case, save everything, and tell it."""
    case, console = request.case, stderr_console()
    _check_output(output)
    environment = read_environment()
    _check(request, environment)
    depth = (request.depth or 1) if is_user_subject(case.subject) else None
    moment = datetime.now(UTC)
    with ForkServer() as server:
        if case.device == "cuda" and not server.has_cuda():
            raise DeviceError(
                "torch cannot use a GPU here",
                "take --device cpu, or install a build of torch with CUDA",
            )
        if not quiet:
            tell_place(results)
        subject = case.subject.replace(":", "-").replace("/", "-")
        with new_folder(results, f"profile-{subject}-{case.mode}", moment) as folder:
            for line in () if quiet else warning_lines(environment):
                console.print(line, style="yellow", markup=False)
            if not quiet:
                # The folder is told when something is in it: a model may still be refused.
                console.print(f"profiling {case_title(case)}", markup=False, soft_wrap=True)
            job = {"case": asdict(case), "seed": SEED, "depth": depth, "lines": request.lines,
                   "trace": str((folder / TRACE_FILE).resolve())}  # fmt: skip
            seen = server.profile(job, request.timeout_s)
            created = moment.isoformat(timespec="seconds")
            command = ("lmn-bench", *map(shlex.quote, sys.argv[1:]))
            profile = profile_of(case, seen, environment, created, command, depth=depth)
            try:
                files = _save(profile, folder)
            except StoreError:
                # What was found stands, whatever becomes of the disk.
                _tell(profile, {}, None, as_json=as_json)
                raise
    _tell(profile, files, output, as_json=as_json)
    if not quiet:
        _tell_files(files)


def _check(request: Request, environment: Environment) -> None:
    """What can be told without starting anything."""
    case = request.case
    if not is_user_subject(case.subject):
        _check_builtin(case)
        if request.depth is not None:
            raise UsageError(
                f"--depth {request.depth}: parts of {case.subject} are what it does (attend, "
                "project …), wherever in it that is, and have no levels",
                'leave out --depth; it is for models of your own, "package.module:factory"',
            )
    if case.device == "cuda" and not environment.gpus:
        raise DeviceError("no NVIDIA GPU on this machine", "take --device cpu")
    if case.threads > environment.logical_cores:
        raise UsageError(
            f"--threads {case.threads}: there are {environment.logical_cores} cores here"
        )


def _check_builtin(case: Case) -> None:
    if case.subject not in BUILTIN:
        extra = '; your own model is "package.module:factory"'
        raise UnknownNameError("model", case.subject, BUILTIN, extra)
    lacking = LACKING.get((case.subject, case.mode))
    if lacking is not None:
        raise UsageError(
            f"{case.subject} has no {case.mode}: {lacking}", "see `lmn-bench list modes`"
        )
    # Raises where the sizes don't fit together.
    feedforward_width(case.subject, case.model)


def _check_output(output: Path | None) -> None:
    if output is None:
        return
    form_of("-o", output, FORMS, "text")
    require_writable("-o", output)


def _save(profile: Profile, folder: Path) -> dict[str, str]:
    """Write numbers first, then the page; if that fails, say so and go on. The files by kind."""
    files = {"folder": str(folder), "json": str(folder / JSON_FILE),
             "trace": str(folder / TRACE_FILE)}  # fmt: skip
    if profile.lines is not None:
        files["lines"] = str(folder / LINES_FILE)
        save(folder / LINES_FILE, "\n".join(map(_lines_text, profile.lines)), own=True)
    planned = {**files, "report": str(folder / PAGE_FILE)}
    save(folder / JSON_FILE, profile_text(profile, planned), own=True)
    if not save_made(folder / PAGE_FILE, lambda: profile_page(profile, planned)):
        save(folder / JSON_FILE, profile_text(profile, files), own=True)
        return files
    return planned


def _tell(
    profile: Profile, files: Mapping[str, str], output: Path | None, *, as_json: bool
) -> None:
    console = stdout_console()
    for warning in (*profile.warnings, *told_sentences(profile)):
        stderr_console().print(f"warning: {warning}", style="yellow", markup=False, soft_wrap=True)
    if as_json:
        print_json(profile_json(profile, files))
    else:
        console.print(render_profile(profile, console))
    if output is None:
        return
    form = form_of("-o", output, FORMS, "text")
    if form == "html":
        text = profile_page(profile, files)
    elif form == "md":
        text = profile_markdown(profile)
    elif form == "json":
        text = profile_text(profile, files)
    else:
        with console.capture() as captured:
            console.print(render_profile(profile, console))
        text = captured.get()
    save(output, text)
    stderr_console().print(f"wrote {output}", markup=False, soft_wrap=True)


def _tell_files(files: Mapping[str, str]) -> None:
    lines = [f"numbers: {files['json']}",
             f"trace:   {files['trace']} (open it in https://ui.perfetto.dev)"]  # fmt: skip
    if "lines" in files:
        lines.append(f"lines:   {files['lines']}")
    if "report" in files:
        lines.append(f"report:  {files['report']}")
    stderr_console().print("\n".join(lines), markup=False, soft_wrap=True)


def _lines_text(function: Mapping[str, Any]) -> str:
    """Lines of a function as memory-profiler prints them."""
    rows = [f"{function['function']}  {function['file']}", "",
            f"{'line':>6} {'after it':>14} {'added':>12} {'times':>7}   source"]  # fmt: skip
    for line in function["lines"]:
        after = "" if line["bytes"] is None else f"{line['bytes'] / 2**20:.1f} MiB"
        added = ""
        if line["increment_bytes"] is not None:
            added = f"{line['increment_bytes'] / 2**20:+.1f} MiB"
        times = line["calls"] or ""
        rows.append(f"{line['line']:>6} {after:>14} {added:>12} {times:>7}   {line['source']}")
    return "\n".join(rows) + "\n\n"
