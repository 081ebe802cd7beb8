"""The sections on trainings: of one run, or of several put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from lmn_bench.analysis.joined import Joined
from lmn_bench.analysis.learned import LearnedSetting
from lmn_bench.report.chart import Series
from lmn_bench.report.document import Section
from lmn_bench.report.learned.figures import LearnedSource, curve_charts, state_chart
from lmn_bench.report.learned.method import STATISTICS
from lmn_bench.report.learned.tables import (
    cost_tables,
    ends_table,
    every_training,
    learned_tables,
    unfinished,
)
from lmn_bench.report.learned.words import setting_title
from lmn_bench.report.method import METHOD

_RECALL = "Accuracy against state"
_COST = "Size and cost"


def learned_sections(
    settings: Sequence[LearnedSetting], *, charts: bool = True
) -> Iterator[Section]:
    """Accuracy against state, a section per setting, then every training and those that failed."""
    yield from _sections(settings, {}, charts=charts, costs=True)


def joined_sections(
    joined: Joined, costs: Mapping[str, Sequence[LearnedSetting]]
) -> Iterator[Section]:
    """The same of several runs put together.

    `costs`: by name, the settings of every run whose times and memory are told apart from those of
    others; none where all are of one machine and device.
    """
    yield from _sections(joined.settings, joined.versions, charts=True, costs=not costs)
    if any(one.repeated for one in joined.settings):
        yield Section(f"{METHOD} for all runs", sentences=(STATISTICS,))
    for label, settings in costs.items():
        tables = cost_tables(settings)
        if tables:
            yield Section(f"{label} · {_COST}", tables=tables)


def _sections(
    settings: Sequence[LearnedSetting],
    versions: Mapping[str, tuple[str, int]],
    *,
    charts: bool,
    costs: bool,
) -> Iterator[Section]:
    series = _series(settings, versions)
    sources = [LearnedSource(one, tuple(settings), series) for one in settings]
    state = state_chart(sources, "state") if charts else None
    ends = ends_table(settings)
    if state is not None or ends is not None:
        yield Section(
            _RECALL,
            tables=() if ends is None else (ends,),
            charts=() if state is None else (state,),
            opened=True,
        )
    for number, source in enumerate(sources, start=1):
        tables = learned_tables(source.found, costs=costs)
        drawn = curve_charts(source, f"learn-{number}", by_time=costs) if charts else ()
        if tables or drawn:
            title = setting_title(source.found.setting)
            yield Section(title, tables=tables, charts=drawn, opened=True)
    for section in (unfinished(settings), every_training(settings)):
        if section is not None:
            yield section


def _series(
    settings: Sequence[LearnedSetting], versions: Mapping[str, tuple[str, int]]
) -> dict[str, Series]:
    """Colour, shape and dash of every name: versions of a model share its colour."""
    names = dict.fromkeys(subject for one in settings for subject in one.subjects)
    told = {name: versions.get(name, (name, 0)) for name in names}
    models = list(dict.fromkeys(model for model, _ in told.values()))
    return {name: Series(name, models.index(model), run) for name, (model, run) in told.items()}
