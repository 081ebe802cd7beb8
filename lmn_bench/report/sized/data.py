"""An answer about hardware as data: the contract for programs, and the page."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lmn_bench import safe
from lmn_bench.report.html import Download, render_html
from lmn_bench.report.sized.document import Extras, sizing_document
from lmn_bench.report.sized.words import verdict_words
from lmn_bench.sizing.find import DeviceAnswer, smallest_enough
from lmn_bench.sizing.question import Answer, Latency, MemoryNeed, Most, SubjectAnswer
from lmn_bench.sizing.trial import found_by_bisection

# Raised when a field changes its meaning or goes away; a new field needs no new number.
SIZING_SCHEMA = 1


def sizing_json(answer: Answer, extras: Extras | None = None) -> dict[str, Any]:
    """The contract of `size --json`: bytes, seconds and tokens; null where nothing is promised."""
    extras = extras or Extras()
    case, limits = answer.question.case, answer.question.limits
    found: dict[str, Any] = {
        "schema": SIZING_SCHEMA,
        "question": {
            "model": case.subject, "mode": case.mode, "context": case.length, "batch": case.batch,
            "dtype": case.dtype, "device": case.device, **asdict(case.model),
            "profile": answer.question.profile.id if answer.question.profile else None,
            "memory_bytes": limits.memory_bytes, "latency_s": limits.latency_s,
            "tokens_per_s": limits.tokens_per_s,
        },
        "subjects": [_subject(one) for one in answer.subjects],
        "assumptions": list(answer.assumptions),
    }  # fmt: skip
    if extras.most is not None:
        sought = extras.most
        found["find"] = {
            "what": sought.what,
            "subjects": {
                name: None if most is None else {
                    **_most(most), "measured": _measured(most), "command": sought.commands.get(name)
                }
                for name, most in sought.most.items()
            },
        }  # fmt: skip
    if extras.devices:
        first = smallest_enough(extras.devices)
        found["smallest_device"] = None if first is None else first.profile.id
        found["devices"] = [
            {"device": one.profile.id, "enough": one.enough, **_device(one),
             **_subject(one.answer)}
            for one in extras.devices
        ]  # fmt: skip
    if extras.front is not None:
        found["pareto"] = [
            {"name": one.subject, **asdict(one.model), "parameters": one.parameters,
             "memory_bytes": _memory(one.memory), "latency_s": _latency(one.latency)}
            for one in extras.front
        ]  # fmt: skip
    if extras.trials:
        found["trials"] = [asdict(one) for one in extras.trials]
        found["found"] = [
            {**asdict(one), "error": one.error} for one in found_by_bisection(extras.trials)
        ]
    return found


def sizing_page(answer: Answer, extras: Extras, machine: str) -> str:
    """The page for a decision, with its data in it.

    Raises:
        ReportError: a package that draws charts is missing or broken.
    """
    text = safe.json_text(sizing_json(answer, extras)) + "\n"
    downloads = [Download("sizing.json", "application/json", "JSON", text)]
    return render_html(sizing_document(answer, extras, machine), downloads, ())


def _subject(one: SubjectAnswer) -> dict[str, Any]:
    return {
        "name": one.name,
        "fits": one.fits,
        "sure": one.fits is not None and one.sure,
        "verdict": verdict_words(one),
        "doubts": [doubt.value for doubt in one.doubts],
        "memory_bytes": None if one.memory is None else _memory(one.memory),
        "latency_s": None if one.latency is None else _latency(one.latency),
        "tokens_per_s": one.tokens_per_s,
        **_most_of("longest_context", one.longest_context),
        **_most_of("largest_batch", one.largest_batch),
        "basis": {
            "memory": None if one.memory is None else one.memory.basis.value,
            "latency": None if one.latency is None else one.latency.basis.value,
            "evidence": one.evidence,
        },
        "reasons": list(one.reasons),
    }


def _memory(need: MemoryNeed) -> dict[str, int]:
    parts = ("floor", "parameters", "state", "working", "total", "low", "high")
    return {part: round(getattr(need, part)) for part in parts}


def _latency(latency: Latency) -> dict[str, float | None]:
    return asdict(latency.seconds)


def _most_of(key: str, most: Most | None) -> dict[str, int | str | None]:
    """The number itself, and what stops it beside it."""
    value, why = (None, None) if most is None else (most.value, most.stopped_by)
    return {key: value, f"{key}_stopped_by": why}


def _most(most: Most) -> dict[str, Any]:
    return {"value": most.value, "stopped_by": most.stopped_by}


def _measured(most: Most) -> str:
    """Where a size lies among those that were measured."""
    if not most.scaled:
        return "measured"
    return "beyond" if most.beyond else "between"


def _device(one: DeviceAnswer) -> dict[str, Any]:
    return {
        "device_memory_bytes": one.profile.memory_bytes,
        "system_bytes": one.profile.system_bytes,
        "runs_python": one.profile.runs_python,
    }
