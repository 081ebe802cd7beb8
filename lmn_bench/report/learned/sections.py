"""The sections on trainings: of one run, or of several laid over each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lmn_bench.analysis.learned import LearnedSetting
from lmn_bench.report.chart import Chart
from lmn_bench.report.document import Section
from lmn_bench.report.learned.figures import LearnedSource, curve_charts, state_chart
from lmn_bench.report.learned.tables import ends_table, every_training, learned_tables, unfinished
from lmn_bench.report.learned.words import setting_title
from lmn_bench.schema import Case

_RECALL = "Accuracy against state"


def learned_sections(
    settings: Sequence[LearnedSetting], *, charts: bool = True
) -> Iterator[Section]:
    """Accuracy against state, a section per setting, then every training and those that failed."""
    sources = _sources(settings, "", 0, _places([settings]))
    state = state_chart(sources, "state") if charts else None
    ends = ends_table(settings)
    if state is not None or ends is not None:
        yield Section(
            _RECALL,
            tables=() if ends is None else (ends,),
            charts=() if state is None else (state,),
        )
    for number, source in enumerate(sources, start=1):
        tables = learned_tables(source.found)
        drawn = curve_charts([source], f"learn-{number}") if charts else ()
        if tables or drawn:
            yield Section(setting_title(source.found.setting), tables=tables, charts=drawn)
    for section in (unfinished(settings), every_training(settings)):
        if section is not None:
            yield section


def overlaid_sections(
    runs: Sequence[Sequence[LearnedSetting]], labels: Sequence[str]
) -> Iterator[Section]:
    """Charts of several runs: those of one setting in one, different corpora and budgets apart."""
    places = _places(runs)
    sources = [
        source
        for number, (settings, label) in enumerate(zip(runs, labels, strict=True))
        for source in _sources(settings, label, number, places)
    ]
    state = state_chart(sources, "state")
    if state is not None:
        yield Section(_RECALL, charts=(state,))
    grouped: dict[Case, list[LearnedSource]] = {}
    for source in sources:
        grouped.setdefault(source.found.setting, []).append(source)
    for number, (setting, found) in enumerate(grouped.items(), start=1):
        drawn: tuple[Chart, ...] = curve_charts(found, f"learn-{number}")
        if drawn:
            yield Section(setting_title(setting), charts=drawn)


def _sources(
    settings: Sequence[LearnedSetting], label: str, run: int, places: tuple[str, ...]
) -> list[LearnedSource]:
    return [LearnedSource(one, tuple(settings), label, run, places) for one in settings]


def _places(runs: Sequence[Sequence[LearnedSetting]]) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(subject for settings in runs for one in settings for subject in one.subjects)
    )
