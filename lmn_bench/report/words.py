"""The words that reports share: settings, machines, ratios, and how a case ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from lmn_bench.analysis.crossing import Crossing
from lmn_bench.analysis.results import CaseResult, ResultSet
from lmn_bench.schema import Case, Environment, ModelSpec, Outcome
from lmn_bench.units import format_bytes, format_cap, format_length

# The subject that this project is about; where a run lacks it, the first subject takes its place.
OWN_SUBJECT = "lmn"
# The section of cases without a number. `run` says answers without it, so sentences that point to
# it say where it is.
FAILURES = "Not measured, or not in every process"
SEE_FAILURES = f"see “{FAILURES}” in the report"
MODE_WORD = {
    "decode": "Decode",
    "prefill": "Prefill",
    "train": "Training",
    "read": "Reading",
    "stream": "Streaming",
}
# Parts of a setting that are told only beside others.
_USUAL = ("batch 1", "plain", "cap none")
# More names than this are counted, not listed.
MAX_NAMES = 4
SHORT_OUTCOME = {
    Outcome.OUT_OF_MEMORY: "OOM",
    Outcome.TIMEOUT: "timeout",
    Outcome.KILLED: "killed",
    Outcome.ERROR: "error",
    Outcome.INCORRECT: "wrong",
    Outcome.DIVERGED: "diverged",
    Outcome.SKIPPED: "skipped",
}
# What a memory cap counts by each mechanism, and what happens at the budget.
CAP_METHODS = {
    "rlimit": "RLIMIT_DATA; what is asked for counts, touched or not, and beyond the budget an "
    "allocation fails: out_of_memory",
    "cgroup v1": "memory.limit_in_bytes, without swap; what is used counts, with files read and "
    "page tables, and beyond the budget the kernel kills the process: killed",
    "cgroup v2": "memory.max, without swap; what is used counts, with files read and page tables, "
    "and beyond the budget the kernel kills the process: killed",
    "cuda fraction": "emulated on torch's allocator; context and libraries do not count, and the "
    "GPU stays as large as it is: out_of_memory",
}
# Words that mark a bad end; they are coloured too, but the word alone says it.
BAD_WORDS = ("OOM", "timeout", "killed", "error", "wrong", "✗")
GOOD_WORDS = ("✓",)


def capped_groups(results: ResultSet) -> list[list[Case]]:
    """Settings under a memory cap, those together that differ in nothing else, by rising cap."""
    groups: dict[Case, list[Case]] = {}
    for setting in results.settings():
        if setting.memory_cap_bytes is not None:
            groups.setdefault(without_cap(setting), []).append(setting)
    return [sorted(group, key=lambda s: s.memory_cap_bytes or 0) for group in groups.values()]


def free_settings(results: ResultSet) -> list[Case]:
    """Settings with results and without a cap; those under one are told by what fits."""
    measured = dict.fromkeys(result.case.setting for result in results.cases if result.values)
    return [setting for setting in measured if setting.memory_cap_bytes is None]


def without_cap(setting: Case) -> Case:
    """The setting that several caps share."""
    return replace(setting, memory_cap_bytes=None)


def cap_label(budget_bytes: int | None, mechanisms: Sequence[str] = ()) -> str:
    """A cap in a few words, with what enforced it as far as that is known: 64MiB by rlimit."""
    return format_cap(budget_bytes) + (f" by {', '.join(mechanisms)}" if mechanisms else "")


def cap_mechanisms(results: Iterable[CaseResult]) -> list[str]:
    """What enforced the memory caps of these cases, each once."""
    told = (result.cap.mechanism for result in results if result.cap is not None)
    return list(dict.fromkeys(mechanism for mechanism in told if mechanism is not None))


def cap_sentences(mechanisms: Iterable[str]) -> list[str]:
    """What each of these mechanisms counts and does."""
    known = (name for name in mechanisms if name in CAP_METHODS)
    return [f"Memory caps by {name}: {CAP_METHODS[name]}." for name in known]


def setting_title(setting: Case) -> str:
    """A setting as a heading."""
    threads = f", {setting.threads} thread{'s' * (setting.threads > 1)}"
    batch = f", batch {setting.batch}" if setting.batch > 1 else ""
    device = setting.device + (threads if setting.device == "cpu" else "")
    model = model_words(setting.model)
    forms = "".join(f", {form}" for form in setting.forms)
    return f"{setting.mode.capitalize()} on {device}, {setting.dtype}{batch}{forms}, {model}"


def where(results: ResultSet, setting: Case) -> str:
    """What tells the setting from the others of the same mode: " (float32, width 256)"."""
    same = [_setting_parts(s) for s in free_settings(results) if s.mode == setting.mode]
    own = _setting_parts(setting)
    told = [text for place, text in enumerate(own) if len({parts[place] for parts in same}) > 1]
    return f" ({', '.join(told)})" if told else ""


def where_short(setting: Case) -> str:
    """A setting but for its mode, in a few words."""
    return ", ".join(part for part in _setting_parts(setting) if part not in _USUAL)


def _setting_parts(setting: Case) -> tuple[str, ...]:
    """What makes up a setting, each at its place."""
    return (
        setting.device,
        f"{setting.threads} thread{'s' * (setting.threads > 1)}",
        setting.dtype,
        *_model_parts(setting.model),
        f"batch {setting.batch}",
        ", ".join(setting.forms) or "plain",
        f"cap {format_cap(setting.memory_cap_bytes)}",
    )


def model_words(model: ModelSpec) -> str:
    """Sizes of a model: width 64, 4 heads, 1 layer, 1 bank."""
    return ", ".join(_model_parts(model))


def _model_parts(model: ModelSpec) -> tuple[str, ...]:
    plural = [(model.heads, "head"), (model.layers, "layer"), (model.banks, "bank")]
    counts = (f"{count} {word}{'s' * (count != 1)}" for count, word in plural)
    return (f"width {model.width}", *counts, f"expansion {model.expansion}")


def machine_line(environment: Environment) -> str:
    """The machine in one line."""
    gpus = "".join(f", {gpu.name}" for gpu in environment.gpus)
    return (
        f"{environment.cpu_model}, {environment.logical_cores} cores, "
        f"{format_bytes(environment.memory_bytes)}{gpus}; {environment.os}"
    )


def crossing_words(found: Crossing | None) -> str:
    """Where one overtakes the other: 690 [420, 1,300]; an open end lies outside the range."""
    if found is None:
        return "–"
    low, high = (_about(end) if end is not None else "…" for end in (found.low, found.high))
    return f"{_about(found.length)} [{low}, {high}]"


def _about(length: float) -> str:
    """A length that lies between measured ones, to two digits."""
    digits = len(str(int(length)))
    return format_length(int(round(length, 2 - digits))) if digits > 2 else f"{length:.0f}"


def names(cases: Sequence[Case], field: str) -> str:
    """The distinct values of a field, counted when there are many."""
    names = list(dict.fromkeys(str(getattr(case, field)) for case in cases))
    return f"{len(names)} {field}s" if len(names) > MAX_NAMES else ", ".join(names)


def span(lengths: Sequence[int]) -> str:
    """Lengths, or from where to where when there are many."""
    if len(lengths) <= MAX_NAMES:
        return ", ".join(map(format_length, lengths))
    return f"{format_length(lengths[0])} to {format_length(lengths[-1])}"
