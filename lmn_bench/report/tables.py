"""The tables of a report: values by length, growth, who is ahead, limits, models, failures."""

from __future__ import annotations

from lmn_bench.analysis.endings import ending
from lmn_bench.analysis.growth import TOP_SPAN
from lmn_bench.analysis.results import CaseResult, ResultSet
from lmn_bench.analysis.sentences import growth_words, interval_words
from lmn_bench.metrics import METRICS, TIME_UNITS
from lmn_bench.report.document import Section, Table
from lmn_bench.report.findings import Findings
from lmn_bench.report.phrases import say
from lmn_bench.report.rates import achieved_table
from lmn_bench.report.size_words import sized
from lmn_bench.report.standing_table import standing_table
from lmn_bench.report.words import (
    FAILURES,
    SHORT_OUTCOME,
    cap_label,
    cap_mechanisms,
    capped_groups,
    model_words,
    names,
    setting_title,
    span,
    without_cap,
)
from lmn_bench.schema import Case, Ceiling, Outcome
from lmn_bench.units import (
    format_bytes,
    format_cap,
    format_length,
    format_ratio_interval,
    format_value,
)

# A value whose interval is wider than this (relative half-width) is marked as unsure.
UNSURE_SPREAD = 0.10
_LATENCY_OF = {
    "train": "Time of one training step",
    "prefill": "Time to read the whole sequence",
    "read": "Time to read the whole sequence in segments",
    "decode": "Time per decoded token",
    "stream": "Time of the whole sequence, token by token",
}


def mode_tables(findings: Findings, setting: Case, ceiling: Ceiling | None) -> tuple[Table, ...]:
    """The tables of a setting: time, memory or state, growth, who is ahead, and rates."""
    results = findings.results
    tables = [_value_table(results, setting, "latency_s", _LATENCY_OF[setting.mode])]
    if setting.mode == "decode":
        tables.append(
            _value_table(
                results, setting, "latency_worst_s", "Worst step at a context",
                "The slowest position by its median: a merge cascade for an LMN, "
                "not a pause of the machine.",
            )
        )  # fmt: skip
        tables.append(_value_table(results, setting, "state_bytes", "State kept per sequence"))
    else:
        tables.append(
            _value_table(
                results, setting, "working_memory_bytes", "Working memory",
                METRICS["working_memory_bytes"].meaning.capitalize() + ".",
            )
        )  # fmt: skip
    if setting.compile:
        tables += [
            _value_table(results, setting, metric, METRICS[metric].title.capitalize())
            for metric in ("compile_s", "compiled_graphs")
        ]
    tables += [_growth_table(findings, setting), standing_table(findings.standings(setting)),
               achieved_table(results, setting, ceiling)]  # fmt: skip
    return tuple(table for table in tables if table is not None and table.rows)


def counter_tables(results: ResultSet, setting: Case) -> tuple[Table, ...]:
    """What was counted, for a run that does nothing else."""
    tables = [
        _value_table(results, setting, key, METRICS[key].title[:1].upper() + METRICS[key].title[1:])
        for key in ("operations", "flops", "allocator_peak_bytes")
    ]
    return tuple(table for table in tables if table is not None)


def _value_table(
    results: ResultSet, setting: Case, metric: str, caption: str, note: str = ""
) -> Table | None:
    subjects = results.subjects(setting)
    rows, unsure = [], False
    for length in results.lengths(setting):
        cells = [format_length(length)]
        for subject in subjects:
            cell = _cell(results.series(setting, subject).get(length), metric)
            unsure = unsure or cell.startswith("~")
            cells.append(cell)
        rows.append(tuple(cells))
    if all(cell == "–" for row in rows for cell in row[1:]):
        return None
    column = "context" if setting.mode == "decode" else "length"
    disturbed = results.disturbed(setting)
    if disturbed is not None and METRICS[metric].unit in TIME_UNITS:
        who = "The machine was disturbed" if disturbed.by_machine else "Processes differ too much"
        note += f" {who}: these times are no measure of the models."
    if unsure:
        note += f" ~: half the interval is over {UNSURE_SPREAD:.0%} of the value."
    return Table(caption, (column, *subjects), tuple(rows), note.strip())


def _cell(result: CaseResult | None, metric: str) -> str:
    if result is None:
        return "–"
    estimate = result.estimate(metric)
    if estimate is None:
        return "–" if result.outcome is Outcome.OK else SHORT_OUTCOME[result.outcome]
    mark = "~" if estimate.spread > UNSURE_SPREAD else ""
    return mark + format_value(estimate.value, METRICS[metric].unit, 2 if mark else 3)


def _growth_table(findings: Findings, setting: Case) -> Table | None:
    rows = []
    for subject in findings.results.subjects(setting):
        found = findings.growth(setting, subject)
        if found is not None:
            ratio = format_ratio_interval(found.ratio.estimate, found.ratio.low, found.ratio.high)
            laws = growth_words(findings.scaling(setting, subject))
            rows.append((subject, laws, ratio, interval_words(found.exponent, 2)))
    if not rows:
        return None
    return Table(
        "Growth of the time with length",
        ("model", "grows like", "longest / shortest", "exponent"),
        tuple(rows),
        "Grows like: the laws a + b g(n) that the data can't tell apart, best first. Exponent e of "
        f"n^e from 1/{TOP_SPAN} of the longest length on: 0 flat, 1 linear, 2 quadratic. 95 % "
        "intervals over processes.",
    )


def limits_tables(results: ResultSet) -> tuple[Table, ...]:
    """The longest length that each subject finishes under each cap."""
    tables = []
    for group in capped_groups(results):
        caps = [setting.memory_cap_bytes for setting in group]
        common = without_cap(group[0])
        lengths = sorted({n for setting in group for n in results.lengths(setting)})
        subjects = list(dict.fromkeys(s for setting in group for s in results.subjects(setting)))
        by_cap = {setting.memory_cap_bytes: setting for setting in group}
        used = cap_mechanisms(
            result
            for setting in group
            for subject in results.subjects(setting)
            for result in results.series(setting, subject).values()
        )
        rows = [
            (subject, *(_longest(results, by_cap.get(cap), subject) for cap in caps))
            for subject in subjects
        ]
        tables.append(
            Table(
                f"{setting_title(common)}: longest length that fits",
                ("model", *(format_cap(cap) for cap in caps)),
                tuple(rows),
                f"Lengths tried: {format_length(lengths[0])} to {format_length(lengths[-1])}; "
                "≥: the longest one tried fits. The cap counts what a call takes beyond the "
                "process with its model: input, state and working memory."
                + (f" It is enforced by {', '.join(used)} (see Method)." if used else ""),
            )
        )
    return tuple(tables)


def _longest(results: ResultSet, setting: Case | None, subject: str) -> str:
    if setting is None:
        return "–"
    series = results.series(setting, subject)
    fitting = [n for n, result in series.items() if result.outcome is Outcome.OK]
    stopped = [r for r in series.values() if r.outcome is not Outcome.OK]
    if not fitting:
        return SHORT_OUTCOME[stopped[0].outcome] if stopped else "–"
    longest = max(fitting)
    if ending(series, longest).kind == "partly":
        return f"{format_length(longest)} (not in every process)"
    if longest == max(series):
        return f"≥ {format_length(longest)}"
    longer = next(n for n in series if n > longest)
    first = series[longer].outcome
    # That the cap ends it there is what the table is about: no word is needed.
    at_the_cap = first is Outcome.OUT_OF_MEMORY or (
        first is Outcome.SKIPPED and ending(series, longer).limit == "memory"
    )
    word = "" if at_the_cap else f" ({SHORT_OUTCOME[first]})"
    return format_length(longest) + word


def models_section(findings: Findings) -> Section | None:
    """Parameters of each subject: the sizes that were set side by side."""
    results = findings.results
    tables = []
    # Of settings that share their models, the first says who is set against whom.
    settings = {(s.model, s.dtype): s for s in reversed(results.settings())}
    for (model, dtype), setting in reversed(settings.items()):
        found = sized(results, model, dtype)
        if not found:
            continue
        reference = findings.reference(setting)
        if reference not in found:
            reference = next(iter(found))
        own = found[reference].values["parameters"][0]
        rows = []
        for subject, result in found.items():
            count = result.values["parameters"][0]
            size = result.values["parameter_bytes"][0]
            check = result.values.get("check_error")
            rows.append((subject, f"{count:,.0f}", f"{count / own - 1:+.2%}" if own else "–",
                         format_bytes(size), f"{max(check):.1e}" if check else "–"))  # fmt: skip
        tables.append(
            Table(
                f"{dtype}, {model_words(model)}",
                ("model", "parameters", say("sizes against", own=reference), "bytes", "check"),
                tuple(rows),
                "Check: largest difference between parallel and sequential outputs, relative to "
                "the largest output; a model that differs isn't timed.",
            )
        )
    return Section("Models", tables=tuple(tables)) if tables else None


def failures_section(results: ResultSet) -> Section | None:
    """Every case without a number, or with fewer than asked for; equal ends stand together."""
    grouped: dict[tuple[str, str, str], list[Case]] = {}
    for result in results.cases:
        if result.outcome is not Outcome.OK or result.reason:
            case = result.case
            cap = f"cap {cap_label(case.memory_cap_bytes, cap_mechanisms([result]))}"
            where = ", ".join((case.device, cap, *case.forms))
            key = (result.outcome.value, result.reason or "", where)
            grouped.setdefault(key, []).append(case)
    rows = [
        (outcome, reason, where, names(cases, "subject"), names(cases, "mode"),
         span(sorted({case.length for case in cases})))
        for (outcome, reason, where), cases in grouped.items()
    ]  # fmt: skip
    if not rows:
        return None
    columns = ("outcome", "reason", "where", "models", "modes", "lengths")
    table = Table("", columns, tuple(rows), wraps=True)
    return Section(FAILURES, tables=(table,))
