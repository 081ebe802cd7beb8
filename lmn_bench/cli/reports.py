"""What `report` and `run` share: runs read and summed up, and files of charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lmn.atomic import replacing
from lmn_bench.analysis.results import result_set
from lmn_bench.cli.console import stderr_console
from lmn_bench.cli.outputs import Saved, save_made, warn_of_bad_lines
from lmn_bench.disk import disk_words
from lmn_bench.errors import StoreError, UsageError
from lmn_bench.plan import PlannedCase, plan
from lmn_bench.report.build import RunResults
from lmn_bench.report.document import Document
from lmn_bench.report.page import page_of
from lmn_bench.schema import ALL_MODES, Suite
from lmn_bench.store import StoredRun, find_run, read_run
from lmn_bench.suite import find_suite, load_suite
from lmn_bench.typed import typed

HTML_FILE = "report.html"


def read_runs(
    names: Sequence[str | None],
    results: Path,
    claims: str | None = None,
    reference: str | None = None,
) -> list[RunResults]:
    """Runs by folder, name or the beginning of one (None: the latest), each once.

    Lines that cannot be read are named on stderr; of several runs, those that cannot be read too.

    Args:
        names: of the runs.
        results: where runs are looked up.
        claims: a suite whose claims stand in for the runs' own.
        reference: the subject that the others are compared with, in place of the runs' own choice.

    Raises:
        UsageError: a run is given twice, none has such a subject, or a reference is named and one
            learned.
        StoreError: no run of these can be read.
    """
    found: list[RunResults] = []
    folders: dict[Path, None] = {}
    unreadable: list[StoreError] = []
    others = None if claims is None else load_suite(find_suite(claims)).claims
    for name in names:
        folder = find_run(name, results)
        try:
            stored = read_run(folder)
        except StoreError as error:
            unreadable.append(error)
            continue
        if stored.folder.resolve() in folders:
            raise UsageError(f"{stored.folder} is given twice", "name every run once")
        folders[stored.folder.resolve()] = None
        suite = stored.info.suite
        if others is not None:
            suite = replace(suite, claims=others)
        if reference is not None:
            suite = _with_reference(suite, stored, reference)
        stored = replace(stored, info=replace(stored.info, suite=suite))
        warn_of_bad_lines(stored)
        _warn_of_unknown_modes(stored)
        info = stored.info
        found.append(summed_up(stored, plan(info.suite, info.environment, info.no_cuda)))
    if unreadable and not found:
        raise unreadable[0]
    for bad in unreadable:
        text = f"warning: a run is left out: {bad.message}"
        stderr_console().print(text, style="yellow", markup=False, soft_wrap=True)
    if reference is not None:
        _check_known(reference, found, ", ".join(folder.name for folder in folders))
    return found


def _warn_of_unknown_modes(run: StoredRun) -> None:
    """Name the modes that this version lacks: cases of them are in no table."""
    modes = dict.fromkeys(mode for sweep in run.info.suite.sweeps for mode in sweep.modes)
    unknown = [repr(mode) for mode in modes if mode not in ALL_MODES]
    if unknown:
        named = f"mode{'s' * (len(unknown) > 1)} {', '.join(unknown)}"
        text = f"warning: {run.folder.name}: {named} left out (of a newer lmn-bench?)"
        stderr_console().print(text, markup=False, soft_wrap=True)


def _with_reference(suite: Suite, stored: StoredRun, reference: str) -> Suite:
    """The suite of a run, with the others compared with this subject."""
    if suite.learning is not None:
        raise UsageError(
            f"--reference is for what is timed, and {stored.folder.name} learned", "leave it out"
        )
    return replace(suite, reference=reference)


def _check_known(reference: str, runs: Sequence[RunResults], names: str) -> None:
    """One of several runs is enough: where it isn't, the others are compared with their own."""
    suites = [run.info.suite for run in runs]
    known = dict.fromkeys(n for suite in suites for sweep in suite.sweeps for n in sweep.subjects)
    if reference not in known:
        has, have = ("has", "it has") if len(runs) == 1 else ("have", "they have")
        raise UsageError(f"{names} {has} no model {reference!r}", f"{have} {', '.join(known)}")


def summed_up(run: StoredRun, planned: Sequence[PlannedCase]) -> RunResults:
    """A run with its cases in the order of its suite."""
    recorded = {record.case for record in run.records}
    # Runs of before such cases were left out have records of them.
    kept = [item for item in planned if not item.absent or item.case in recorded]
    results = result_set(run.records, [item.case for item in kept])
    count = len(kept) * run.info.suite.replicates
    return RunResults(run.info, results, run.records, count)


def save_page(folder: Path, run: RunResults, document: Document) -> Saved:
    """Write the page of a run beside its records; if that fails, say so and go on."""
    path = folder / HTML_FILE
    if saved := save_made(path, lambda: page_of([run], document), own=True):
        return saved
    stderr_console().print(
        f"everything measured is safe; try again with `{typed('report', folder, '-o', path)}`",
        markup=False, soft_wrap=True,
    )  # fmt: skip
    return saved


def save_pictures(document: Document, output: Path, form: str) -> dict[str, str]:
    """Write every chart as a picture into a folder beside `output`; its path from there, by key."""
    from lmn_bench.report.vega import picture

    folder = output.with_name(f"{output.stem}-charts")
    try:
        folder.mkdir(exist_ok=True)
        for chart in document.charts:
            with replacing(folder / f"{chart.key}.{form}", follow=False) as file:
                file.write(picture(chart, form))
    except OSError as error:
        raise StoreError(f"cannot write to {folder}: {disk_words(error)}") from error
    return {chart.key: f"{folder.name}/{chart.key}.{form}" for chart in document.charts}
