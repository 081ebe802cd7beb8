"""The page of one run or of several: their document, data, machines and noise as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lmn_bench.report.build import (
    RunResults,
    build_overlay,
    build_report,
    joined_runs,
    learned_runs,
    run_labels,
)
from lmn_bench.report.document import Document, Section
from lmn_bench.report.html import Download, render_html
from lmn_bench.report.method import METHOD, machine_section, noise_sentences
from lmn_bench.report.tabular import (
    render_csv,
    render_csv_of_runs,
    render_json,
    render_json_of_runs,
)


def document_of(runs: Sequence[RunResults]) -> Document:
    """The document of one run, or of several side by side."""
    if len(runs) > 1:
        return build_overlay(runs, run_labels([run.info for run in runs]))
    (run,) = runs
    return build_report(run.info, run.results, run.records, run.planned)


def csv_of(runs: Sequence[RunResults]) -> str:
    """One row per case (or seed) and metric; of several runs with the run before each row."""
    if len(runs) > 1:
        return render_csv_of_runs([(run.info, run.results, run.records) for run in runs])
    return render_csv(runs[0].results, runs[0].records, runs[0].info.seed)


def json_of(runs: Sequence[RunResults]) -> str:
    """The same content for programs."""
    if len(runs) > 1:
        joined = joined_runs(learned_runs(runs, run_labels([run.info for run in runs])))
        return render_json_of_runs(
            [(run.info, run.results, run.records) for run in runs], joined.settings
        )
    return render_json(runs[0].info, runs[0].results, runs[0].records)


def page_of(runs: Sequence[RunResults], document: Document | None = None) -> str:
    """One self-contained page.

    Args:
        runs: one, or several to lay over each other.
        document: theirs, if it has been built already.

    Raises:
        ReportError: a package that draws charts is missing or broken.
    """
    document = document or document_of(runs)
    labels = run_labels([run.info for run in runs]) if len(runs) > 1 else [""]
    machines = [machine_section(run.info, label) for run, label in zip(runs, labels, strict=True)]
    warnings = [
        f"{label}: {text}" if label else text
        for run, label in zip(runs, labels, strict=True)
        for text in noise_sentences(run.info, run.records)
    ]
    name = runs[0].info.run_id if len(runs) == 1 else "runs"
    downloads = [
        Download(f"{name}.csv", "text/csv", "CSV", csv_of(runs)),
        Download(f"{name}.json", "application/json", "JSON", json_of(runs)),
    ]
    methods = [f"{label} · {METHOD}" if label else METHOD for label in labels]
    machine_of = dict(zip(methods, machines, strict=True))
    sections: list[Section] = []
    for section in document.sections:
        if section.title in machine_of:
            sections.append(machine_of[section.title])
        sections.append(section)
    return render_html(replace(document, sections=tuple(sections)), downloads, warnings)
