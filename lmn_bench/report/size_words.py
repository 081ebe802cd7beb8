"""Whether models that are compared have as many parameters, in a sentence where they don't."""

from __future__ import annotations

from collections.abc import Iterator

from lmn_bench.analysis.results import CaseResult, ResultSet
from lmn_bench.report.findings import Findings
from lmn_bench.report.phrases import say
from lmn_bench.report.words import free_settings, model_words
from lmn_bench.schema import ModelSpec
from lmn_bench.units import format_change, format_share

# What users' models are compared within by habit: within it, size explains no crossover.
SIZE_TOLERANCE = 0.05
_COUNTS = frozenset({"parameters", "parameter_bytes"})


def sized(results: ResultSet, model: ModelSpec, dtype: str) -> dict[str, CaseResult]:
    """One case with its number of parameters per subject, of one size and type."""
    found: dict[str, CaseResult] = {}
    for result in results.cases:
        same = (result.case.model, result.case.dtype) == (model, dtype)
        if same and set(result.values) >= _COUNTS:
            found.setdefault(result.case.subject, result)
    return found


def size_answers(findings: Findings) -> Iterator[str]:
    """For example: Sizes differ by more than 5 %: lmn has 57,728 parameters, rnn 8,320 (-86 %)."""
    settings = free_settings(findings.results)
    models = {setting.model for setting in settings}
    groups = dict.fromkeys((findings.reference(s), s.model, s.dtype) for s in settings)
    said: dict[str, None] = {}
    for reference, model, dtype in groups:
        counts = {
            name: int(result.values["parameters"][0])
            for name, result in sized(findings.results, model, dtype).items()
        }
        if reference not in counts:
            continue
        own = counts.pop(reference)
        unlike = {name: count for name, count in counts.items() if _differs(count, own)}
        if unlike:
            where = f" ({model_words(model)})" if len(models) > 1 else ""
            count = f"{own:,}" if own else "no"
            sentence = say(
                "parameters", tolerance=format_share(SIZE_TOLERANCE), own=reference, count=count,
                others=", ".join(_words(*one, own) for one in unlike.items()), where=where,
            )  # fmt: skip
            said[sentence] = None
    yield from said


def _differs(count: int, own: int) -> bool:
    return abs(count - own) > SIZE_TOLERANCE * own


def _words(name: str, count: int, own: int) -> str:
    if not count:
        return say("parameters none", name=name)
    change = f" ({format_change(count / own)})" if own else ""
    return say("parameters of", name=name, count=f"{count:,}", change=change)
