"""How a run was measured, what disturbed it, and how to repeat it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from lmn_bench.analysis.results import quiet_settings
from lmn_bench.disturbance import (
    DISTURBED,
    ENOUGH,
    WAITED,
    is_disturbed,
    lost_share,
    slow_loops,
)
from lmn_bench.report.document import Section, Table
from lmn_bench.report.facts import ceiling_rows, environment_rows
from lmn_bench.report.left_out import left_out_of, left_out_sentences, skipped_sentences
from lmn_bench.report.words import cap_sentences
from lmn_bench.schema import Environment, Record, RunInfo

METHOD = "Method"
# Lines of standard error that a report shows of a model: it is no log file.
MOST_PRINTED = 6
# What a process does besides building, timed or not.
_PASSES = {True: "check, memory pass and timing pass", False: "check and memory pass, untimed"}


def method_section(info: RunInfo, records: Sequence[Record], planned: int) -> Section:
    """Processes, intervals, counts, noise and the command of a run.

    Args:
        info: what the run knows about itself.
        records: its records.
        planned: replicates that the suite asks for.
    """
    measuring = info.suite.measuring
    further = sum(record.replicate >= measuring.processes for record in records)
    more = f", and {further:,} further ones of cases that had been disturbed" if further else ""
    sentences = [
        f"{measuring.processes} process{'es' * (measuring.processes != 1)} per case, each with "
        f"its own {_PASSES[measuring.timing]}; "
        f"order shuffled in rounds with seed {info.seed}.",
        "A value is the median over processes; its interval runs between order statistics "
        f"({_interval_words(measuring.processes)}).",
        recorded_sentence(info, len(records) - further, planned, "processes", more),
        *left_out_sentences(left_out_of(info, records)),
        *skipped_sentences(records),
        *cap_sentences(dict.fromkeys(r.cap_mechanism for r in records if r.cap_mechanism)),
        *disturbed_sentences(records),
        *warning_sentences(info, records),
        *printed_sentences(records),
    ]
    return Section(METHOD, sentences=tuple(sentences))


def recorded_sentence(info: RunInfo, recorded: int, planned: int, what: str, more: str = "") -> str:
    """How many of the planned replicates there are, and of which software."""
    environment = info.environment
    return (
        f"{recorded:,} of {planned:,} planned {what} recorded{more}; "
        f"lmn-bench {environment.lmn_bench}, torch {environment.torch}, "
        f"Python {environment.python}{_git(environment)}."
    )


def warning_sentences(info: RunInfo, records: Sequence[Record]) -> list[str]:
    """Noise of the machine, warnings of records counted by kind, and the command of the run."""
    sentences = [f"Noise: {w.message}; {w.hint}." for w in info.environment.warnings]
    warned: dict[str, int] = {}
    for record in records:
        for warning in record.warnings:
            kind = warning.split(":")[0]
            warned[kind] = warned.get(kind, 0) + 1
    sentences += [
        f"{count:,} replicates with the warning “{kind}” (see records.jsonl)."
        for kind, count in warned.items()
    ]
    if info.command:
        sentences.append(f"Repeat it: {' '.join(info.command)}")
    return sentences


def printed_sentences(records: Sequence[Record]) -> list[str]:
    """What users' models wrote to standard error, once for all processes of each."""
    printed: dict[str, dict[str, None]] = {}
    for record in records:
        printed.setdefault(record.subject, {}).update(dict.fromkeys(record.stderr))
    return [
        printed_sentence(subject, list(lines), "records.jsonl")
        for subject, lines in printed.items()
        if lines
    ]


def printed_sentence(subject: str, lines: Sequence[str], file: str) -> str:
    """What one model wrote to standard error; `file` has all of it."""
    more = len(lines) - MOST_PRINTED
    rest = f" (and {more:,} other lines: see {file})" if more > 0 else ""
    shown = " / ".join(line.strip() for line in lines[:MOST_PRINTED])
    return f"{subject} wrote to standard error: {shown}{rest}"


def machine_section(info: RunInfo, label: str = "") -> Section:
    """Every fact of the machine, with its ceilings; `label` names the run among several."""
    rows = (*environment_rows(info.environment), *ceiling_rows(info.ceilings))
    title = f"{label} · Machine" if label else "Machine"
    return Section(title, tables=(Table("", ("what", "value"), rows, wraps=True),))


def noise_sentences(info: RunInfo, records: Sequence[Record]) -> list[str]:
    """What makes a run's numbers less sure, as a page says it before them."""
    seen = [f"{w.message}: {w.hint}" for w in info.environment.warnings]
    return [*seen, *disturbed_sentences(records)]


def disturbed_sentences(records: Sequence[Record]) -> list[str]:
    """How many processes ran while the machine was slow, and where they are left out."""
    limits = slow_loops(records)
    slow = sum(is_disturbed(record, limits) for record in records)
    timed = sum("latency_s" in record.metrics for record in records)
    said = _shared_sentences(records, timed)
    if not slow:
        return said
    quiet = {setting.mode for setting in quiet_settings(records)}
    where = ", ".join(sorted(quiet)) or "no mode"
    return [
        *said,
        f"{slow:,} of {timed:,} processes ran while the machine itself was slow (reference "
        f"loop over {DISTURBED:g} times its fastest) or waited for a core in every round. Their "
        f"times are left out where every case of a mode has {ENOUGH} others: here in {where}.",
    ]


def _shared_sentences(records: Sequence[Record], timed: int) -> list[str]:
    """How many processes had to share their cores, and how much others took meanwhile."""
    lost = ((lost_share(record) or 0.0, record.watched) for record in records)
    shared = [(share, seen) for share, seen in lost if share > WAITED and seen and seen.wall_s]
    if not shared:
        return []
    share = statistics.median(share for share, _ in shared)
    taken = statistics.median(
        (seen.others_cpu_s + seen.stolen_s) / seen.wall_s for _, seen in shared
    )
    cores = max(seen.cores for _, seen in shared)
    return [
        f"{len(shared):,} of {timed:,} processes shared their cores with other work, which took "
        f"{taken:.1f} of {cores} cores: they had none for {share:.0%} of the time (medians). "
        f"Rounds that waited for more than {WAITED:.0%} of their time are set apart."
    ]


def _interval_words(processes: int) -> str:
    if processes == 1:
        return "one process: no interval"
    if processes < 6:
        return f"with {processes} processes their whole range, {1 - 2.0 ** (1 - processes):.1%}"
    return "at least 95%"


def _git(environment: Environment) -> str:
    if environment.git_commit is None:
        return ""
    return f", commit {environment.git_commit[:10]}{' (changed)' * bool(environment.git_dirty)}"
