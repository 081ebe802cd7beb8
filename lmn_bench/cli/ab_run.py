"""What `ab` does: compose versions, plan, processes, judgement and reports."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from lmn_bench.analysis.alternated import judge
from lmn_bench.analysis.comparison import Comparison
from lmn_bench.analysis.gate import incomparable
from lmn_bench.analysis.options import Options
from lmn_bench.cli.alternate import Plan, Recorder, Servers, count_only, measure
from lmn_bench.cli.console import stderr_console
from lmn_bench.cli.gate_progress import GateProgress
from lmn_bench.cli.learning_runs import refuse_learning
from lmn_bench.cli.outputs import Saved, save_made
from lmn_bench.cli.results_place import tell_place
from lmn_bench.cli.sweep import checked_environment, plan_here
from lmn_bench.cli.verdict import Outputs, conclude, exit_code
from lmn_bench.cli.versions import Version, base_version, require_difference, working_version
from lmn_bench.errors import ComparisonError, ExitCode, SubjectError
from lmn_bench.gates import ARMS, GateInfo, save_gate
from lmn_bench.plan import all_cases, left_out, runnable
from lmn_bench.report.compared.data import comparison_json
from lmn_bench.report.compared.markdown import comparison_markdown
from lmn_bench.report.compared.page import comparison_page
from lmn_bench.report.facts import warning_lines
from lmn_bench.report.left_out import left_out_sentences
from lmn_bench.run.caps import mechanism_for
from lmn_bench.run.process import ForkServer
from lmn_bench.run_lock import new_folder
from lmn_bench.safe import json_text
from lmn_bench.schema import Case, Environment, RunInfo, Suite
from lmn_bench.store import finish_run
from lmn_bench.subjects.names import is_user_subject
from lmn_bench.suite import Override, find_suite, load_suite
from lmn_bench.typed import shell_word, typed
from lmn_bench.units import format_duration, format_share

_PLANT = "LMN_BENCH_PLANT_SLOWDOWN"


@dataclass(frozen=True)
class Request:
    """What `ab` was asked for; see its options."""

    base: str | None
    base_python: str | None
    suite: str
    overrides: tuple[Override, ...]
    options: Options
    time_limit_s: float
    counters_only: bool
    seed: int | None
    planted: float


def run_ab(request: Request, outputs: Outputs, results: Path, *, quiet: bool) -> ExitCode:
    """Measure two versions in alternation, judge them, and write what was found."""
    suite = load_suite(find_suite(request.suite), request.overrides)
    refuse_learning(suite, "ab measures single calls of two versions in alternation")
    environment = checked_environment(request.overrides)
    with ExitStack() as stack:
        new = working_version(Path.cwd())
        base = stack.enter_context(base_version(request.base, request.base_python, Path.cwd()))
        versions = {"base": base, "null": base, "new": new}
        if request.counters_only:
            del versions["null"]
        caps = mechanism_for(suite.measuring, all_cases(suite))
        servers = stack.enter_context(Servers(versions, _environ(request), caps))
        try:
            cases = _cases(suite, environment, servers.running(), base.name, request)
        except ComparisonError as error:
            reasons = [error.message, *([error.hint] if error.hint else [])]
            return conclude(
                incomparable(base.name, new.name, reasons, request.options.rules), outputs
            )
        seed = secrets.randbelow(2**32) if request.seed is None else request.seed
        tell_place(results)
        results = results.resolve()
        folder = stack.enter_context(
            new_folder(results, f"ab-{suite.name}", datetime.now(UTC))
        )  # fmt: skip
        gate = GateInfo(base.name, new.name, ("it was ended before it had measured everything",))
        save_gate(folder, gate)
        console = stderr_console()
        for line in warning_lines(environment):
            console.print(line, style="yellow", markup=False)
        console.print(f"ab {folder}", markup=False, soft_wrap=True)
        plan = Plan(cases, suite.measuring, seed, request.time_limit_s)
        infos = _infos(folder, suite, seed, environment, versions)
        begin = time.monotonic()
        progress = GateProgress(console, enabled=not quiet)
        with Recorder(folder, infos, versions, gate) as recorder:
            try:
                with progress:
                    if request.counters_only:
                        count_only(plan, servers, recorder, progress)
                        left: list[str] = []
                    else:
                        left = measure(plan, servers, recorder, request.options, progress)
            except KeyboardInterrupt:
                console.print(
                    f"interrupted; everything measured is safe in {folder}\n"
                    f"next: {typed('compare', folder)}",
                    markup=False, soft_wrap=True,
                )  # fmt: skip
                return ExitCode.INTERRUPTED
            except ComparisonError as error:
                found = incomparable(base.name, new.name, [error.message], request.options.rules)
                return conclude(found, outputs)
        for place, info in recorder.finished:
            finish_run(place, info)
        gate = replace(gate, notes=(*_notes(request, recorder, time.monotonic() - begin), *left))
        save_gate(folder, gate)
        comparison = judge(recorder.arms, _judged(request), gate.notes)
    return _report(comparison, outputs, folder)


def _judged(request: Request) -> Options:
    """Without times there are no measured metrics."""
    return replace(request.options, metrics=()) if request.counters_only else request.options


def _cases(
    suite: Suite, environment: Environment, running: Mapping[str, ForkServer], base: str,
    request: Request,
) -> list[Case]:  # fmt: skip
    """What will be measured.

    Raises:
        ComparisonError: both sides are the same code, or nothing can be measured.
        SubjectError: a model of the user's cannot be built on either side.
    """
    planned = plan_here(suite, environment, running["new"])
    cases = runnable(planned)
    for line in left_out_sentences(left_out(planned)):
        stderr_console().print(line, markup=False, soft_wrap=True)
    if not cases:
        reasons = sorted({item.skip for item in planned if item.skip})
        raise ComparisonError(f"nothing to measure: {'; '.join(reasons)}")
    own = sorted({(case.subject, case.model) for case in cases if is_user_subject(case.subject)})
    files: dict[str, dict[str, str]] = {"base": {}, "new": {}}
    for subject, spec in own or [(cases[0].subject, cases[0].model)]:
        failed = {}
        for arm, found in files.items():
            try:
                found.update(running[arm].probe(subject, asdict(spec))["origins"])
            except SubjectError as error:
                failed[arm] = error
        # On one side only, that is a result: new, or broken. Its cases will say so.
        if len(failed) == len(files):
            raise failed["new"]
    if request.base_python is None:
        require_difference(files["base"], files["new"], base)
    return cases


def _environ(request: Request) -> dict[str, dict[str, str]]:
    return {"new": {_PLANT: repr(request.planted)}} if request.planted else {}


def _infos(
    folder: Path, suite: Suite, seed: int, environment: Environment,
    versions: Mapping[str, Version],
) -> dict[str, RunInfo]:  # fmt: skip
    created = datetime.now(UTC).isoformat(timespec="seconds")
    command = ("lmn-bench", *map(shell_word, sys.argv[1:]))
    infos = {}
    for arm in ARMS:
        commit = versions.get(arm, versions["base"]).commit
        facts = replace(environment, git_commit=commit, git_dirty=False) if commit else environment
        infos[arm] = RunInfo(arm, created, suite, seed, facts, command)
    return infos


def _notes(request: Request, recorder: Recorder, seconds: float) -> list[str]:
    records = [record for side in recorder.arms.all for _, found in side.runs for record in found]
    kind = "untimed processes" if request.counters_only else "processes in alternation"
    notes = [f"{len(records):,} {kind} in {format_duration(seconds)}"]
    if request.planted:
        notes.append(
            f"a slow-down of {format_share(request.planted)} was planted in the new version"
        )
    return notes


def _report(comparison: Comparison, outputs: Outputs, folder: Path) -> ExitCode:
    """Beside what was asked for, the folder gets every report."""
    command = " ".join(map(shell_word, ("lmn-bench", *sys.argv[1:])))
    code = exit_code(comparison.verdict, fail_on_inconclusive=outputs.fail_on_inconclusive)
    texts = {
        "report.json": lambda: json_text(comparison_json(comparison, code)) + "\n",
        "report.md": lambda: comparison_markdown(comparison, command=command),
        "report.html": lambda: comparison_page(comparison, code),
    }
    saved = {name: save_made(folder / name, make, own=True) for name, make in texts.items()}
    report = next((folder / name for name in reversed(saved) if saved[name]), folder)
    again = typed("compare", folder, "--all")
    stderr_console().print(f"report: {report}\nnext: {again}", markup=False, soft_wrap=True)
    lost = Saved.NOT_WRITTEN in saved.values()
    return conclude(comparison, outputs, command, lost=lost)
