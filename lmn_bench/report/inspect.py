"""A run as it was recorded, without statistics: `show`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from lmn_bench.analysis.learned import learned_settings
from lmn_bench.analysis.results import FITS, result_set
from lmn_bench.lessons import LEARN
from lmn_bench.metrics import METRICS
from lmn_bench.report.document import Document, Section, Table
from lmn_bench.report.facts import ceiling_rows, environment_rows, warning_lines
from lmn_bench.report.learned.tables import unfinished
from lmn_bench.report.left_out import left_out_of, left_out_sentences, skip_reasons
from lmn_bench.report.tables import failures_section
from lmn_bench.report.words import cap_label
from lmn_bench.schema import Outcome, Record, RunInfo
from lmn_bench.store import BadLine
from lmn_bench.typed import typed
from lmn_bench.units import format_seconds, format_value

_BLOCKS = "▁▂▃▄▅▆▇█"
_TIMELINE_WIDTH = 60


def inspect_run(
    info: RunInfo, folder: Path, records: Sequence[Record], bad_lines: Sequence[BadLine]
) -> Document:
    """Suite, machine, outcomes, and everything that did not end well."""
    outcomes = Counter(record.outcome for record in records)
    counts = ", ".join(f"{outcomes[o]:,} {o.value}" for o in Outcome if outcomes[o])
    facts = (
        ("suite", f"{info.suite.name}: {info.suite.description}"),
        ("created", info.created_at),
        ("finished", info.finished_at or f"no: {typed('run', '--resume', folder)}"),
        ("seed", str(info.seed)),
        ("command", " ".join(info.command)),
        ("records", f"{len(records):,}: {counts}" if records else "none yet"),
        *_not_measured(info, records),
        ("folder", str(folder)),
    )
    sections = [
        Section("Run", tables=(Table("", ("what", "value"), facts, wraps=True),)),
        Section(
            "Machine",
            sentences=tuple(warning_lines(info.environment)),
            tables=(Table("", ("what", "value"), (*environment_rows(info.environment),
                          *ceiling_rows(info.ceilings)), wraps=True),),
        ),
    ]  # fmt: skip
    measured = [record for record in records if record.mode != LEARN]
    failures = (
        failures_section(result_set(measured)),
        unfinished(learned_settings(records, info.seed)),
    )
    sections += [section for section in failures if section is not None]
    if bad_lines:
        lines = tuple((str(bad.number), bad.reason, bad.text[:60]) for bad in bad_lines)
        table = Table("", ("line", "reason", "begins with"), lines, wraps=True)
        sections.append(Section("Lines of records.jsonl left out", tables=(table,)))
    return Document(info.run_id, folder.name, (), tuple(sections))


def _not_measured(info: RunInfo, records: Sequence[Record]) -> Iterator[tuple[str, str]]:
    """Rows on what was skipped or left out, and why; none where nothing was."""
    if skips := skip_reasons(records):
        yield "skipped", "; ".join(f"{count:,} × {reason}" for reason, count in skips.items())
    if absent := left_out_sentences(left_out_of(info, records)):
        yield "left out", " ".join(absent)


def inspect_cases(info: RunInfo, records: Sequence[Record]) -> Document:
    """Every replicate of some cases: its metrics and samples."""
    grouped: dict[str, list[Record]] = {}
    for record in records:
        grouped.setdefault(record.case_id, []).append(record)
    sections = tuple(_case_section(case_id, found) for case_id, found in grouped.items())
    return Document(info.run_id, f"{len(grouped)} case{'s' * (len(grouped) != 1)}", (), sections)


def _case_section(case_id: str, records: Sequence[Record]) -> Section:
    records = sorted(records, key=lambda record: record.replicate)
    keys = [key for key in METRICS if any(key in record.metrics for record in records)]
    rows = [(METRICS[key].title, *(_value(record, key) for record in records)) for key in keys]
    learns = records[0].mode == LEARN
    if learns:
        rows.append(("steps", *(_steps(record) for record in records)))
    else:
        rows.append(("timed samples", *(f"{len(record.samples_s):,}" for record in records)))
        rows.append(
            ("warm-up samples", *(f"{len(record.warmup_samples_s):,}" for record in records))
        )
    what = "training" if learns else "process"
    walls = (format_seconds(record.wall_s) if record.wall_s else "–" for record in records)
    rows.append((f"whole {what}", *walls))
    columns = ("metric", *(f"{what} {record.replicate}" for record in records))
    sentences = [
        f"{what} {record.replicate}: {record.outcome.value}, {record.reason}"
        for record in records
        if record.reason
    ]
    sentences += [f"process {r.replicate}: {_cap(r)}" for r in records if r.cap_mechanism]
    sentences += [f"{what} {r.replicate}: {text}" for r in records for text in r.warnings]
    sentences += [
        f"process {record.replicate}, resident memory over time: {_timeline(record)}"
        for record in records
        if record.memory_timeline
    ]
    sentences += [text for record in records for text in _course(record)]
    table = Table("", columns, tuple(rows))
    return Section(case_id, sentences=tuple(sentences), tables=(table,))


def _cap(record: Record) -> str:
    """How one process fared under its cap: fits 64MiB by rlimit on top of 211 MiB."""
    verdict = FITS if record.outcome is Outcome.OK else f"{record.outcome.value} under"
    floor = format_value(record.metrics.get("cap_floor_bytes"), "B")
    cap = cap_label(record.memory_cap_bytes, [record.cap_mechanism or ""])
    return f"{verdict} {cap} on top of {floor}"


def _value(record: Record, key: str) -> str:
    return format_value(record.metrics.get(key), METRICS[key].unit)


def _steps(record: Record) -> str:
    return f"{record.learned.steps:,}" if record.learned else "–"


def _course(record: Record) -> Iterator[str]:
    """The losses of a training in the course of it, as rows of blocks."""
    learned = record.learned
    if learned is None:
        return
    for name, losses in (
        ("training loss", [loss for _, loss in learned.training]),
        ("validation loss", [loss for _, loss, _ in learned.validation]),
    ):
        if len(losses) > 1:
            ends = f"{losses[0]:.3f} to {losses[-1]:.3f}"
            who = f"training {record.replicate}, seed {learned.seed}"
            yield f"{who}, {name}: {_bars(losses)} {ends}"


def _timeline(record: Record) -> str:
    """Resident memory as a row of blocks from its lowest to its highest sample."""
    sizes = [size for _, size in record.memory_timeline]
    span = f"{format_value(min(sizes), 'B')} to {format_value(max(sizes), 'B')}"
    return f"{_bars(sizes)} {span} in {format_seconds(record.memory_timeline[-1][0])}"


def _bars(values: Sequence[float]) -> str:
    """Values as a row of blocks, the highest of those that share one."""
    step = max(1, -(-len(values) // _TIMELINE_WIDTH))
    shown = [max(values[i : i + step]) for i in range(0, len(values), step)]
    low, high = min(shown), max(shown)
    scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BLOCKS[round((value - low) * scale)] for value in shown)
