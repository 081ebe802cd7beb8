"""What `run` does: compose plan, store, processes, progress and report."""

from __future__ import annotations

import secrets
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from lmn_bench.cli.ceilings import ceilings_of
from lmn_bench.cli.console import print_json, stderr_console, stdout_console
from lmn_bench.cli.lesson_progress import LessonProgress
from lmn_bench.cli.material import check_material, with_material
from lmn_bench.cli.outputs import Saved, save_made, warn_of_bad_lines
from lmn_bench.cli.progress import Progress
from lmn_bench.cli.reports import HTML_FILE, save_page, summed_up
from lmn_bench.cli.results_place import tell_place
from lmn_bench.differences import renamed_hosts
from lmn_bench.environment import is_supported, read_environment
from lmn_bench.errors import DeviceError, ExitCode, StoreError, UsageError
from lmn_bench.plan import PlannedCase, all_cases, left_out, on_this_machine, plan, runnable
from lmn_bench.report.document import Document
from lmn_bench.report.facts import warning_lines
from lmn_bench.report.left_out import left_out_sentences, skip_reasons, skipped_sentences
from lmn_bench.report.markdown import render_markdown
from lmn_bench.report.page import document_of
from lmn_bench.report.planned import plan_document
from lmn_bench.report.text import render_answers, render_document
from lmn_bench.rescue import keep_run, rescuing
from lmn_bench.run.backstop import Task, skipped
from lmn_bench.run.caps import mechanism_for
from lmn_bench.run.lessons import Progressed, run_lessons
from lmn_bench.run.process import ForkServer
from lmn_bench.run.schedule import Finished, Started, order_tasks, run_tasks
from lmn_bench.run_lock import locked, new_folder
from lmn_bench.schema import Case, Environment, ModelSpec, Outcome, RunInfo, Suite
from lmn_bench.store import (
    RecordWriter,
    StoredRun,
    clear_left_over,
    find_run,
    finish_run,
    read_run,
    repair,
    write_run,
)
from lmn_bench.subjects.names import is_user_subject
from lmn_bench.suite import Override, find_suite, load_suite
from lmn_bench.typed import shell_word, typed

REPORT_FILE = "report.md"
_NO_CUDA = "torch cannot use the GPU of this machine (a build without CUDA?)"


def show_plan(suite_name: str, overrides: Sequence[Override], *, as_json: bool) -> int:
    """`run --dry-run`: what would be measured, what not and why, and what it would cost."""
    suite = load_suite(find_suite(suite_name), overrides)
    environment = checked_environment(overrides)
    suite = with_material(suite, download=False)
    with server_for(suite) as server:
        planned = plan_here(suite, environment, server, overrides)
        _probe_user_subjects(server, planned, suite.measuring.timeout_s)
    if as_json:
        print_json({"suite": asdict(suite), "left_out": left_out(planned),
                    "cases": [_plan_row(item) for item in on_this_machine(planned)]})  # fmt: skip
    else:
        console = stdout_console()
        console.print(render_document(plan_document(suite, planned, environment), console))
    return ExitCode.OK


def new_sweep(
    suite_name: str,
    overrides: Sequence[Override],
    results: Path,
    *,
    seed: int | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Start a new run and measure all of it."""
    suite = load_suite(find_suite(suite_name), overrides)
    environment = checked_environment(overrides)
    suite = with_material(suite)
    if seed is None:
        # Trainings of different runs are pairs where they have the same seed.
        seed = 0 if suite.learning else secrets.randbelow(2**32)
    with server_for(suite) as server:
        planned = plan_here(suite, environment, server, overrides)
        _probe_user_subjects(server, planned, suite.measuring.timeout_s)
        _require_cases(planned)
        # Rates need times: without them a ceiling has nothing to stand beside.
        wanted = suite.measuring.ceilings and suite.measuring.timing and not suite.learning
        ceilings = ceilings_of(server, runnable(planned)) if wanted else ()
        # What it refuses, memory caps for one, it refuses before there is a folder.
        if suite.learning is None:
            _ = server.software
        tell_place(results)
        moment = datetime.now(UTC)
        with new_folder(results, suite.name, moment) as folder:
            info = RunInfo(
                run_id=folder.name,
                created_at=moment.isoformat(timespec="seconds"),
                suite=suite,
                seed=seed,
                environment=environment,
                command=("lmn-bench", *map(shell_word, sys.argv[1:])),
                ceilings=ceilings,
                no_cuda=_unusable(environment, planned),
            )
            write_run(folder, info)
            run = StoredRun(folder, info, ())
            return _measure(run, planned, server, quiet=quiet, as_json=as_json)


def resume_sweep(name: str | None, results: Path, *, quiet: bool, as_json: bool) -> int:
    """Go on with a run: measure what has no record yet, on the same machine."""
    run = read_run(find_run(name, results))
    if run.info.sources:
        raise StoreError(
            f"{run.folder.name} is a baseline: nothing is measured into it",
            "go on with the run that it was made of, then save it again with --force",
        )
    environment = checked_environment(())
    if environment.machine != run.info.environment.machine:
        raise StoreError(
            f"{run.folder.name} was measured on {run.info.environment.hostname} "
            f"({run.info.environment.cpu_model}, torch {run.info.environment.torch}); "
            "records of another machine would be mixed into it",
            "start a new run here",
        )
    renamed = renamed_hosts([run.info.environment, environment])
    if renamed:
        stderr_console().print(f"note: {renamed}", markup=False, soft_wrap=True)
    check_material(run.info.suite)
    with locked(run.folder), server_for(run.info.suite) as server:
        clear_left_over(run.folder)
        # Read again: who had the lock before may have measured more.
        run = _repaired(read_run(run.folder))
        planned = plan_here(run.info.suite, environment, server)
        _probe_user_subjects(server, planned, run.info.suite.measuring.timeout_s)
        _require_cases(planned)
        return _measure(run, planned, server, quiet=quiet, as_json=as_json)


def _repaired(run: StoredRun) -> StoredRun:
    """The run with its bad lines told and set aside."""
    warn_of_bad_lines(run, "set aside")
    return repair(run)


def _measure(
    run: StoredRun,
    planned: Sequence[PlannedCase],
    server: ForkServer,
    *,
    quiet: bool,
    as_json: bool,
) -> int:
    """Measure what is missing of a run, record by record, then report."""
    suite, console = run.info.suite, stderr_console()
    everything, absent, planned = planned, left_out(planned), on_this_machine(planned)
    for line in warning_lines(run.info.environment):
        console.print(line, style="yellow", markup=False)
    for line in left_out_sentences(absent):
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"run {run.folder}", markup=False, soft_wrap=True)
    kept = [record for record in run.records if not record.can_go_on]
    present = {(record.case_id, record.replicate) for record in kept}
    records = {(record.case_id, record.replicate): record for record in run.records}
    tasks = [
        task
        for task in order_tasks(runnable(planned), suite.replicates, run.info.seed)
        if (task.case.id, task.replicate) not in present
    ]
    progress: Progress | LessonProgress
    if suite.learning is not None:
        progress = LessonProgress(
            console, planned, kept, suite.replicates, run.info.seed, enabled=not quiet
        )
    else:
        progress = Progress(console, planned, kept, suite.measuring, enabled=not quiet)
    try:
        with (
            RecordWriter(run.folder) as writer,
            rescuing(
                run.folder,
                [writer],
                keep_run(run.info, records.values()),
                lambda place: typed("run", "--resume", place),
            ),
            progress,
        ):
            for item in planned:
                for replicate in range(suite.replicates if item.skip else 0):
                    if (item.case.id, replicate) not in present:
                        record = skipped(item.case, replicate, item.skip or "")
                        records[item.case.id, replicate] = record
                        writer.append(record)
            for event in _events(run, tasks, server, progress):
                if isinstance(event, Progressed):
                    assert isinstance(progress, LessonProgress)
                    progress.progressed(event)
                elif isinstance(event, Started):
                    progress.started(event, event.remaining)
                elif isinstance(event, Finished):
                    # Kept first: were its file gone, it would be written elsewhere. One that was
                    # killed gives way to how it went on.
                    records[event.record.case_id, event.record.replicate] = event.record
                    writer.append(event.record)
                    progress.finished(event)
    except KeyboardInterrupt:
        under_way = " and the training that was under way" if suite.learning else ""
        console.print(
            f"interrupted; {len(records):,} records{under_way} are safe in {run.folder}\n"
            f"next: {typed('run', '--resume', run.folder)}",
            markup=False, soft_wrap=True,
        )  # fmt: skip
        # Whoever closed the terminal finds there what was measured until then.
        so_far = StoredRun(run.folder, run.info, tuple(records.values()))
        save_made(
            run.folder / REPORT_FILE, lambda: render_markdown(run_document(so_far, planned)),
            own=True,
        )  # fmt: skip
        return ExitCode.INTERRUPTED
    run = StoredRun(run.folder, run.info, tuple(records.values()))
    if not any(record.can_go_on for record in run.records):
        run = replace(run, info=finish_run(run.folder, run.info))
    return _conclude(run, everything, absent, as_json=as_json)


def _events(
    run: StoredRun, tasks: Sequence[Task], server: ForkServer, progress: Progress | LessonProgress
) -> Iterator[Started | Progressed | Finished]:
    """What happens while the tasks are measured, or learned."""
    suite, seed = run.info.suite, run.info.seed
    if suite.learning is not None:
        assert isinstance(progress, LessonProgress)
        return run_lessons(
            tasks, suite.learning, seed, run.folder, run.records, stopping=progress.stopping
        )
    return run_tasks(tasks, suite.measuring, seed, server, run.records)


def _conclude(
    run: StoredRun, planned: Sequence[PlannedCase], absent: Mapping[str, int], *, as_json: bool
) -> int:
    """Write the reports, say the answers, and what to type next."""
    found = summed_up(run, planned)
    document = document_of([found])
    report = run.folder / REPORT_FILE
    written = save_made(report, lambda: render_markdown(document), own=True)
    saved = save_page(run.folder, found, document)
    page = run.folder / HTML_FILE if saved else None
    outcomes = Counter(record.outcome for record in run.records)
    failed = sum(record.is_failure for record in run.records)
    # That one model diverges is a result; that nothing was learned at all is a failure.
    nothing_learned = run.info.suite.learning is not None and not outcomes[Outcome.OK]
    code = ExitCode.OK if written and saved is not Saved.NOT_WRITTEN else ExitCode.USAGE
    if failed or nothing_learned:
        code = ExitCode.CASES_FAILED
    if as_json:
        print_json({"run": str(run.folder), "report": str(report),
                    "page": None if page is None else str(page), "exit_code": int(code),
                    "failed": failed, "outcomes": dict(outcomes),
                    "skip_reasons": skip_reasons(run.records), "left_out": dict(absent),
                    "answers": document.answers})  # fmt: skip
        return code
    console = stdout_console()
    for part in render_answers(document.answers):
        console.print(part)
    counts = ", ".join(f"{outcomes[o]:,} {o.value}" for o in Outcome if outcomes[o])
    console.print(f"{counts}; report: {page or report}", markup=False, soft_wrap=True)
    for line in skipped_sentences(run.records):
        console.print(line, markup=False, soft_wrap=True)
    following = typed("report" if code == ExitCode.OK else "show", run.folder)
    if any(record.can_go_on for record in run.records):
        following = typed("run", "--resume", run.folder)
    console.print(f"next: {following}", markup=False, soft_wrap=True)
    return code


def run_document(run: StoredRun, planned: Sequence[PlannedCase]) -> Document:
    """The report of a run, cases in the order of its suite."""
    return document_of([summed_up(run, planned)])


def checked_environment(overrides: Sequence[Override]) -> Environment:
    """The machine's facts, if it can be measured on and has what was asked for by name."""
    unsupported = is_supported()
    if unsupported is not None:
        raise DeviceError(unsupported, "run it on Linux")
    environment = read_environment()
    if "cuda" in _asked_devices(overrides) and not environment.gpus:
        raise DeviceError(
            "no NVIDIA GPU on this machine, and cuda was asked for",
            "leave out --device: cases for what a machine lacks are left out",
        )
    return environment


def server_for(suite: Suite) -> ForkServer:
    """A server that can enforce the memory caps of a suite as it says."""
    return ForkServer(cap_mechanism=mechanism_for(suite.measuring, all_cases(suite)))


def plan_here(
    suite: Suite, environment: Environment, server: ForkServer, overrides: Sequence[Override] = ()
) -> list[PlannedCase]:
    """The plan, without the GPUs that this torch cannot use.

    Raises:
        DeviceError: the overrides ask for one by name.
    """
    planned = plan(suite, environment)
    wanted = any(item.case.device == "cuda" and item.skip is None for item in planned)
    if not wanted or server.has_cuda():
        return planned
    if "cuda" in _asked_devices(overrides):
        raise DeviceError(
            f"{_NO_CUDA}, and cuda was asked for", "install a build of torch with CUDA"
        )
    return plan(suite, environment, _NO_CUDA)


def _unusable(environment: Environment, planned: Sequence[PlannedCase]) -> str:
    """Why the GPUs that there are cannot be used."""
    return _NO_CUDA if environment.gpus and left_out(planned) else ""


def _asked_devices(overrides: Sequence[Override]) -> set[str]:
    return {str(v) for o in overrides if o.key == "device" for v in _listed(o.value)}


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else (value,)


def _probe_user_subjects(
    server: ForkServer, planned: Sequence[PlannedCase], timeout_s: float
) -> None:
    """Build every model of the user's once, so that a typing slip is told before measuring."""
    own: dict[tuple[str, ModelSpec], dict[str, Case]] = {}
    for item in planned:
        if is_user_subject(item.case.subject):
            modes = own.setdefault((item.case.subject, item.case.model), {})
            if item.skip is None and item.case.lesson is None:
                modes.setdefault(item.case.mode, item.case)
    for (subject, spec), modes in sorted(own.items(), key=lambda pair: pair[0]):
        server.probe(subject, asdict(spec), [asdict(case) for case in modes.values()], timeout_s)


def _require_cases(planned: Sequence[PlannedCase]) -> None:
    if not runnable(planned):
        reasons = sorted({item.skip for item in planned if item.skip})
        raise UsageError(f"nothing to measure: {'; '.join(reasons)}")


def _plan_row(item: PlannedCase) -> dict[str, object]:
    return {"case_id": item.case.id, **asdict(item.case), "skip": item.skip,
            "predicted_memory_bytes": item.memory_bytes,
            "predicted_seconds": item.seconds}  # fmt: skip
