"""Commands that judge measurements of calls, told of suites and runs that learn."""

from __future__ import annotations

from collections.abc import Sequence

from lmn_bench.analysis.learned import learned_settings
from lmn_bench.cli.sides import ReadSide
from lmn_bench.errors import ComparisonError, UsageError
from lmn_bench.report.learned.words import budget_words, corpus_words, listed, size_words
from lmn_bench.schema import Case, RunInfo, Suite
from lmn_bench.suite import builtin_suites
from lmn_bench.typed import typed


def refuse_learning(suite: Suite, what: str) -> None:
    """Say that a suite learns to a command that measures calls.

    Raises:
        UsageError: it does.
    """
    if suite.learning is not None:
        name = suite.name if suite.name in builtin_suites() else "FILE"
        raise UsageError(
            f"the suite {suite.name!r} is of mode learn; {what}",
            f"learn with `{typed('run', '--suite', name)}` on either side, then "
            "`lmn-bench report RUN1 RUN2`",
        )


def refuse_learned(base: ReadSide, new: ReadSide) -> None:
    """Say what of two sides cannot be judged by a gate, because it was learned.

    Raises:
        ComparisonError: a side learned.
    """
    learned = [side for side in (base, new) if any(_learned(info) for info, _ in side.runs)]
    if not learned:
        return
    folders = [folder for side in (base, new) for folder in side.folders]
    if len(learned) == 1:
        other = new if learned[0] is base else base
        raise ComparisonError(
            f"{learned[0].name} learned, {other.name} measured calls: they have nothing in common",
            "compare runs of one suite",
        )
    lessons = [_lessons(side) for side in (base, new)]
    if not set(lessons[0]) & set(lessons[1]):
        said = [
            f"{side.name} {_words(found)}" for side, found in zip((base, new), lessons, strict=True)
        ]
        raise ComparisonError(
            f"no lesson in common: {'; '.join(said)}", "learn the same suite on both sides"
        )
    raise ComparisonError(
        "compare is a gate over measurements of calls, and these runs learned",
        f"scores side by side, curves laid over each other: {typed('report', *folders)}",
    )


def _learned(info: RunInfo) -> bool:
    return info.suite.learning is not None


def _lessons(side: ReadSide) -> list[Case]:
    """What a side learned, by what trainings must share."""
    records = [record for _, found in side.runs for record in found]
    return [one.setting for one in learned_settings(records)]


def _words(settings: Sequence[Case]) -> str:
    if not settings:
        return "learned nothing"
    said = [
        f"{corpus_words(setting.lesson)}, {budget_words(setting.lesson.budget)} of "
        f"{setting.batch} × {setting.length:,} tokens, {size_words(setting.lesson)}"
        for setting in settings
        if setting.lesson is not None
    ]
    return f"has {listed(list(dict.fromkeys(said)))}"
