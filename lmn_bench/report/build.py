"""Decides what a report says: from results to a document of sentences, charts and tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from lmn_bench.analysis.claims import ClaimVerdict, judge
from lmn_bench.analysis.joined import Joined, joined_settings
from lmn_bench.analysis.learned import LearnedSetting, learned_settings
from lmn_bench.analysis.results import ResultSet
from lmn_bench.lessons import LEARN
from lmn_bench.report.answers import answers
from lmn_bench.report.claims import claims_answer, claims_sections
from lmn_bench.report.document import Document, Section
from lmn_bench.report.figures import mode_charts
from lmn_bench.report.figures_memory import caps_charts
from lmn_bench.report.findings import Findings
from lmn_bench.report.learned.answers import learned_answers
from lmn_bench.report.learned.method import learned_method
from lmn_bench.report.learned.sections import joined_sections, learned_sections
from lmn_bench.report.learned.together import LearnedRun, separate_costs, together_answers
from lmn_bench.report.method import method_section
from lmn_bench.report.sources import Source
from lmn_bench.report.tables import (
    counter_tables,
    failures_section,
    limits_tables,
    mode_tables,
    models_section,
)
from lmn_bench.report.words import capped_groups, free_settings, machine_line, setting_title
from lmn_bench.schema import Case, Record, RunInfo


@dataclass(frozen=True)
class RunResults:
    """All that a report says about one run.

    Attributes:
        info: what the run knows about itself.
        results: its cases.
        records: its records, for warnings and counts.
        planned: replicates that the suite asks for.
    """

    info: RunInfo
    results: ResultSet
    records: Sequence[Record]
    planned: int

    @property
    def learns(self) -> bool:
        """Whether its suite is of mode learn: of that and of nothing else."""
        return self.info.suite.learning is not None or any(r.mode == LEARN for r in self.records)

    @cached_property
    def lessons(self) -> list[LearnedSetting]:
        """What was learned, by what may be set side by side, in the order of the suite."""
        places = {result.case: place for place, result in enumerate(self.results.cases)}
        ordered = sorted(self.records, key=lambda record: places.get(record.case, len(places)))
        return learned_settings(ordered, self.info.seed)

    @cached_property
    def findings(self) -> Findings:
        """Growth and laws of its series."""
        return Findings(self.results, self.info.suite.reference)

    @cached_property
    def judged(self) -> list[ClaimVerdict]:
        """What the data say to the claims of its suite."""
        return list(judge(self.results, self.info.suite.claims))


def build_report(
    info: RunInfo, results: ResultSet, records: Sequence[Record], planned: int
) -> Document:
    """The whole report of a run; the arguments are those of `RunResults`."""
    run = RunResults(info, results, records, planned)
    return Document(
        title=f"{info.suite.name}: {info.run_id}",
        subtitle=machine_line(info.environment),
        answers=tuple(_answers(run)),
        sections=tuple(_sections(run, charts=True)),
    )


def build_overlay(runs: Sequence[RunResults], labels: Sequence[str]) -> Document:
    """Several runs in one report: their charts laid over each other, the rest run by run.

    Measurements are never pooled: every run keeps its own medians, laws, verdicts and method.
    Trainings of one lesson are put together, each model with the seeds of all runs.

    Args:
        runs: two or more.
        labels: a distinct name for each.
    """
    learned = learned_runs(runs, labels)
    joined = joined_runs(learned)
    sections = [*joined_sections(joined, separate_costs(learned, joined))] if learned else []
    said = [*together_answers(learned, joined)]
    if len(learned) > 1:
        said += learned_answers(joined.settings)
    # Trainings are no series over lengths: their charts are their own.
    measured = [(run, label) for run, label in zip(runs, labels, strict=True) if not run.learns]
    sections += _overlaid([run for run, _ in measured], [label for _, label in measured])
    for run, label in zip(runs, labels, strict=True):
        if run.learns and len(learned) > 1:
            sections.append(_titled(label, _learned_method(run)))
            continue
        said += [f"{label}: {text}" for text in _answers(run)]
        sections += [
            _titled(label, section)
            for section in ([_learned_method(run)] if run.learns else _sections(run, charts=False))
        ]
    return Document(
        f"{len(runs)} runs side by side", _machines(runs, labels), tuple(said), tuple(sections)
    )


def _machines(runs: Sequence[RunResults], labels: Sequence[str]) -> str:
    """Which runs are of which machine; one machine for all is told once."""
    machines: dict[str, list[str]] = {}
    for run, label in zip(runs, labels, strict=True):
        machines.setdefault(machine_line(run.info.environment), []).append(label)
    if len(machines) == 1:
        return f"all: {machine_line(runs[0].info.environment)}"
    return "; ".join(f"{', '.join(of)}: {machine}" for machine, of in machines.items())


def learned_runs(runs: Sequence[RunResults], labels: Sequence[str]) -> list[LearnedRun]:
    """Those of some runs that learned."""
    return [
        LearnedRun(label, run.info, tuple(run.lessons))
        for run, label in zip(runs, labels, strict=True)
        if run.learns
    ]


def joined_runs(runs: Sequence[LearnedRun]) -> Joined:
    """What they learned, put together."""
    return joined_settings([run.settings for run in runs], [run.label for run in runs])


def run_labels(infos: Sequence[RunInfo]) -> list[str]:
    """A distinct name per run: its machine's where each is of its own, else the run's own."""
    hosts = [info.environment.hostname for info in infos]
    # Hosts' names alone make no machines: a container gets a new one each time.
    apart = len({info.environment.machine for info in infos}) == len(infos)
    for names in ([hosts] if apart else []) + [[info.run_id for info in infos]]:
        if len(set(names)) == len(infos):
            return names
    return [f"{info.run_id} ({place})" for place, info in enumerate(infos, start=1)]


def _answers(run: RunResults) -> Iterator[str]:
    """What a run says in sentences."""
    if run.learns:
        yield from learned_answers(run.lessons)
        return
    yield from answers(run.findings, timed=run.info.suite.measuring.timing)
    yield from claims_answer(run.judged)


def _sections(run: RunResults, *, charts: bool) -> Iterator[Section]:
    """All sections of a run, its method the last."""
    if run.learns:
        yield from learned_sections(run.lessons, charts=charts)
        yield _learned_method(run)
        return
    yield from claims_sections(run.judged)
    yield from _measured_sections(run, run.findings, charts=charts)
    yield method_section(run.info, run.records, run.planned)


def _learned_method(run: RunResults) -> Section:
    return learned_method(run.info, run.lessons, run.records, run.planned)


def _titled(label: str, section: Section) -> Section:
    """A section of one run of several, without charts."""
    return Section(
        f"{label} · {section.title}", section.sentences, section.tables, folded=section.folded
    )


def _measured_sections(run: RunResults, findings: Findings, *, charts: bool) -> Iterator[Section]:
    """A section per setting, and those on caps, models and failures."""
    results, places = run.results, tuple(run.results.subjects())
    keys = _Keys()

    def source(setting: Case) -> Source:
        return Source(findings, setting, run.info.ceiling(setting), "", 0, places)

    for setting in free_settings(results):
        drawn = (
            mode_charts([source(setting)], keys.of(setting), with_state=_tells_state(run, setting))
            if charts else ()
        )  # fmt: skip
        tables = mode_tables(findings, setting, run.info.ceiling(setting))
        if not run.info.suite.measuring.timing:
            tables += counter_tables(results, setting)
        yield Section(setting_title(setting), tables=tables, charts=drawn)
    groups = capped_groups(results)
    if groups:
        sources = [[source(setting) for setting in group] for group in groups]
        drawn = tuple(caps_charts(sources, "caps")) if charts else ()
        yield Section("Under a memory cap", tables=limits_tables(results), charts=drawn)
    for section in (models_section(findings), failures_section(results)):
        if section is not None:
            yield section


def _overlaid(runs: Sequence[RunResults], labels: Sequence[str]) -> Iterator[Section]:
    """A section of charts per setting that any run has, and one on caps."""
    findings = [run.findings for run in runs]
    places = tuple(dict.fromkeys(name for run in runs for name in run.results.subjects()))
    keys = _Keys()

    def sources(setting: Case) -> list[Source]:
        return [
            Source(found, setting, run.info.ceiling(setting), label, number, places)
            for number, (run, found, label) in enumerate(zip(runs, findings, labels, strict=True))
            if run.results.subjects(setting)
        ]

    free = dict.fromkeys(setting for run in runs for setting in free_settings(run.results))
    for setting in free:
        with_state = any(_tells_state(run, setting) for run in runs)
        drawn = mode_charts(sources(setting), keys.of(setting), with_state=with_state)
        yield Section(setting_title(setting), charts=drawn)
    capped = dict.fromkeys(tuple(group) for run in runs for group in capped_groups(run.results))
    if capped:
        groups = [[one for setting in group for one in sources(setting)] for group in capped]
        yield Section("Under a memory cap", charts=tuple(caps_charts(groups, "caps")))


class _Keys:
    """Distinct keys of charts: decode, decode-2, prefill."""

    def __init__(self) -> None:
        self._used: dict[str, int] = {}

    def of(self, setting: Case) -> str:
        count = self._used[setting.mode] = self._used.get(setting.mode, 0) + 1
        return setting.mode if count == 1 else f"{setting.mode}-{count}"


def _tells_state(run: RunResults, setting: Case) -> bool:
    """State and slots are told once: with decode, or without any with every mode that has them."""
    modes = {one.mode for one in free_settings(run.results)}
    return setting.mode == "decode" or "decode" not in modes
