"""A profile as a document: parts, operators, memory, lines, and how all that was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lmn_bench.profiles import Profile
from lmn_bench.report.document import Document, Section, Table
from lmn_bench.report.facts import environment_rows
from lmn_bench.report.method import printed_sentence
from lmn_bench.report.profiled.figure import flame_of, memory_chart, resident_chart
from lmn_bench.report.profiled.words import (
    answers,
    apart_words,
    bytes_words,
    calls_words,
    depth_words,
    flops_words,
    operator_title,
    part_title,
    rate_words,
    title_of,
)
from lmn_bench.report.words import machine_line, setting_title
from lmn_bench.units import format_bytes, format_seconds, format_share

# Rows of the table of operators; the data have all.
MOST_OPERATORS = 40


def profile_document(profile: Profile) -> Document:
    """What a profile says."""
    return Document(
        title=title_of(profile),
        subtitle=f"{setting_title(profile.case)}; {machine_line(profile.environment)}",
        answers=answers(profile),
        sections=tuple(_sections(profile)),
    )


def _sections(profile: Profile) -> Iterator[Section]:
    yield Section("Time by part", tables=(_parts_table(profile),), flame=flame_of(profile))
    yield Section("Operators", tables=(_operators_table(profile),))
    charts = tuple(chart for chart in (memory_chart(profile), resident_chart(profile)) if chart)
    yield Section("Memory by part", tables=(_memory_table(profile),), charts=charts)
    if profile.lines is not None:
        tables = tuple(_lines_table(function) for function in profile.lines)
        yield Section("Memory line by line", (_LINES,), tables, folded=True)
    yield Section("Method", sentences=(*_method(profile), *told_sentences(profile)))
    rows = tuple(environment_rows(profile.environment))
    yield Section("Machine", tables=(Table("", ("what", "value"), rows, wraps=True),))


def told_sentences(profile: Profile) -> list[str]:
    """What the model wrote to standard error, if anything."""
    if not profile.stderr:
        return []
    return [printed_sentence(profile.case.subject, profile.stderr, "profile.json")]


def _parts_table(profile: Profile) -> Table:
    rows = []
    for part in profile.parts:
        rows.append((
            part_title(part.name), "", format_seconds(part.seconds),
            format_share(round(part.share, 4)), flops_words(part.flops),
            rate_words(part.flops, part.seconds),
        ))  # fmt: skip
        if len(part.functions) > 1:
            rows += [
                (part.name, one.name, format_seconds(one.seconds), "", flops_words(one.flops),
                 rate_words(one.flops, one.seconds))
                for one in part.functions
            ]  # fmt: skip
    return Table(
        f"Time, of one {profile.per}", ("part", "function", "time", "share", "FLOPs", "rate"),
        tuple(rows), words=(1,),
        note=f"All parts: {format_seconds(profile.time.sum)}; measured without instruments: "
             f"{format_seconds(profile.time.measured)}; {apart_words(profile.time)}.",
    )  # fmt: skip


def _operators_table(profile: Profile) -> Table:
    rows = tuple(
        (operator_title(one.name), one.part, one.function, calls_words(one.calls),
         format_seconds(one.self_s), format_share(round(one.share, 4)), flops_words(one.flops),
         rate_words(one.flops, one.self_s))
        for one in profile.operators[:MOST_OPERATORS]
    )  # fmt: skip
    left = len(profile.operators) - len(rows)
    more = f" {left} more, each with less time, are in the data." if left > 0 else ""
    return Table(
        f"Operators by their own time, of one {profile.per}",
        ("operator", "part", "function", "calls", "own time", "share", "FLOPs", "rate"),
        rows, words=(1, 2),
        note="Under torch's profiler, whose cost is in the times: compare operators with one "
             f"another, not with the clock's times above.{more}",
    )  # fmt: skip


def _memory_table(profile: Profile) -> Table:
    held = sum(part.bytes_at_peak for part in profile.parts)
    ranked = sorted(profile.parts, key=lambda part: -part.bytes_at_peak)
    rows = []
    for part in ranked:
        if not part.bytes_at_peak:
            continue
        rows.append((part_title(part.name), "", format_bytes(part.bytes_at_peak),
                     format_share(round(part.bytes_at_peak / held, 4))))  # fmt: skip
        if sum(one.bytes_at_peak > 0 for one in part.functions) > 1:
            rows += [(part.name, one.name, format_bytes(one.bytes_at_peak), "")
                     for one in part.functions if one.bytes_at_peak]  # fmt: skip
    memory = profile.memory
    apart = memory.reason if memory.difference is None else apart_words(memory)
    return Table(
        "Held at the peak, by the part that allocated it",
        ("part", "function", "at the peak", "share"), tuple(rows), words=(1,),
        note=f"All parts: {format_bytes(memory.sum)}; the kernel's high-water mark, with malloc "
             f"lean: {format_bytes(memory.measured)}; {apart}.",
    )  # fmt: skip


_LINES = (
    "Resident memory after every line, by memory-profiler: what a line adds may have been "
    "allocated by whatever it calls, and memory that is used again adds nothing."
)


def _lines_table(function: Mapping[str, Any]) -> Table:
    rows = tuple(
        (str(line["line"]), _increment(line["increment_bytes"]),
         bytes_words(line["bytes"] or 0), f"{line['calls']:,}" if line["calls"] else "",
         line["source"])
        for line in function["lines"]
    )  # fmt: skip
    return Table(
        f"{function['function']} ({function['file']}:{function['first_line']})",
        ("line", "added", "after it", "times", "source"), rows, words=(4,),
    )  # fmt: skip


def _increment(count: int | None) -> str:
    if count is None:
        return ""
    return f"{'-' if count < 0 else '+'}{format_bytes(abs(count))}" if count else "0 B"


def _method(profile: Profile) -> Iterator[str]:
    own = profile.instruments
    if profile.depth is not None:
        yield f"{depth_words(profile.depth).capitalize()}."
    yield (
        f"Latency: rounds without any instrument; {format_seconds(profile.latency_s)} is the mean "
        "of the faster half of them, and so it is with parts. Rounds with a clock that is switched "
        "where parts begin and end ran in turns with "
        f"them: {format_seconds(own.clocked_s)} of one {profile.per}, of which the clock itself "
        f"took {format_seconds(own.clock_cost_s)} by its own calibration. That is taken off; "
        "nothing else is."
    )
    yield (
        f"Operators: another call, under torch's profiler: {format_seconds(own.profiled_s)} of one "
        f"{profile.per}, {own.profiled_s / profile.latency_s:.2f} times the latency."
    )
    yield (
        "FLOPs: counted by what operators are given, in a further call; 2 for each multiplication "
        "with its addition in matrix products, convolutions and attention, none for the rest."
    )
    yield (
        "Memory: allocations and releases of torch's allocator, each charged to the part that "
        "allocated it until it is released; beside it the kernel's high-water mark, the median of "
        "several calls without instruments, free memory given back before each. It is held against "
        "a mark of its own, with malloc told to map every block of 64 KiB or more by itself. What "
        "no tensor of torch's accounts for belongs to no part."
    )
    yield f"{profile.parameters:,} parameters; torch {profile.environment.torch}."
    if profile.command:
        yield f"Repeat it: {' '.join(profile.command)}"
