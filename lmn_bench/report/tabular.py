"""Results as data: CSV and JSON, one row per case and metric, in base units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lmn_bench import safe
from lmn_bench.analysis.claims import judge
from lmn_bench.analysis.crossover import LEVEL_MARGIN
from lmn_bench.analysis.learned import LearnedSetting, learned_settings, seed_of
from lmn_bench.analysis.results import CaseResult, ResultSet
from lmn_bench.lessons import LEARN
from lmn_bench.metrics import METRICS
from lmn_bench.report.findings import Findings
from lmn_bench.report.learned import data as learned
from lmn_bench.report.words import free_settings
from lmn_bench.schema import SCHEMA, Case, Record, RunInfo

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "case_id", "subject", "mode", "device", "length", "batch", "dtype", "threads",
    "memory_cap_bytes", "cap_mechanism", "cap_floor_bytes", "cap_verdict",
    "width", "heads", "layers", "banks", "expansion", "compile", "cuda_graph", "outcome", "reason",
    "metric", "unit", "median", "low", "high", "confidence", "processes", *learned.COLUMNS,
)  # fmt: skip


def tidy(results: ResultSet, records: Sequence[Record] = (), first_seed: int = 0) -> pd.DataFrame:
    """One row per case and metric; a case without results has one row with no metric.

    Of trainings, one row per seed and metric; `records` has them, of a run that began with
    `first_seed`.
    """
    # Only a table needs it, and it takes a fifth of a report's start.
    import pandas as pd

    rows = [*_rows(results), *_learned_rows(records, first_seed)]
    frame = pd.DataFrame.from_records(rows, columns=COLUMNS)
    # Missing whole numbers stay missing; they don't turn every cap into a float.
    whole = ("memory_cap_bytes", "cap_floor_bytes", "processes", "parameters_asked", "seed")
    return frame.astype(dict.fromkeys(whole, "Int64"))


def render_csv(results: ResultSet, records: Sequence[Record] = (), first_seed: int = 0) -> str:
    """The tidy table as CSV."""
    return _csv(tidy(results, records, first_seed))


def render_csv_of_runs(runs: Sequence[tuple[RunInfo, ResultSet, Sequence[Record]]]) -> str:
    """The tidy tables of several runs as one, with the run and its machine before every row."""
    import pandas as pd

    frames = []
    for info, results, records in runs:
        frame = tidy(results, records, info.seed)
        frame.insert(0, "machine", info.environment.hostname)
        frame.insert(0, "run", info.run_id)
        frames.append(frame)
    return _csv(pd.concat(frames, ignore_index=True))


def render_json(info: RunInfo, results: ResultSet, records: Sequence[Record] = ()) -> str:
    """Run and results as one JSON object; `records` has the seeds and curves of trainings."""
    return _dump({"schema": SCHEMA, **_run_data(info, results, records)})


def render_json_of_runs(
    runs: Sequence[tuple[RunInfo, ResultSet, Sequence[Record]]],
    together: Sequence[LearnedSetting] = (),
) -> str:
    """Several runs, each as `render_json` has it, in a list `runs`.

    `together`: what they learned, their seeds put together; in a list `learned`.
    """
    data = {"schema": SCHEMA, "runs": [_run_data(*run) for run in runs]}
    return _dump({**data, "learned": learned.learned_data(together)} if together else data)


def _csv(frame: pd.DataFrame) -> str:
    """The table with its text as `safe.csv_cell` has it; its numbers as they are."""
    import pandas as pd

    for name in frame.columns:
        if frame[name].dtype.kind == "O":
            cells = [safe.csv_cell(cell) for cell in frame[name]]
            frame[name] = pd.Series(cells, dtype=object, index=frame.index)
    return str(frame.to_csv(index=False))


def _dump(data: dict[str, Any]) -> str:
    return safe.json_text(data) + "\n"


def _run_data(info: RunInfo, results: ResultSet, records: Sequence[Record]) -> dict[str, Any]:
    trainings: dict[Case, list[Record]] = {}
    for record in records:
        if record.mode == LEARN:
            trainings.setdefault(record.case, []).append(record)
    cases = []
    for result in results.cases:
        metrics = {}
        for key in result.values:
            estimate = result.estimate(key)
            if estimate is not None:
                metrics[key] = {"unit": METRICS[key].unit, **asdict(estimate)}
        cases.append(
            {
                "case_id": result.case.id,
                **asdict(result.case),
                "outcome": result.outcome,
                "reason": result.reason,
                "ends": dict(result.ends),
                "cap": None if result.cap is None else asdict(result.cap),
                "metrics": metrics,
                **(
                    {"seeds": learned.seeds_data(trainings[result.case], info.seed)}
                    if result.case in trainings
                    else {}
                ),
            }
        )
    claims = [asdict(verdict) for verdict in judge(results, info.suite.claims)]
    data = {"run": asdict(info), "cases": cases, "standings": _standings(info, results),
            "disturbed": _disturbed(results), "claims": claims}  # fmt: skip
    if not trainings:
        return data
    return {**data, "learned": learned.learned_data(learned_settings(records, info.seed))}


def _standings(info: RunInfo, results: ResultSet) -> list[dict[str, Any]]:
    """How the reference of every setting stands against each other subject, in the same words."""
    findings = Findings(results, info.suite.reference)
    return [
        {
            "setting": _setting(setting),
            "reference": one.reference,
            "against": one.other,
            "margin": LEVEL_MARGIN,
            **asdict(one.found),
        }
        for setting in free_settings(results)
        for one in findings.standings(setting)
    ]  # fmt: skip


def _disturbed(results: ResultSet) -> list[dict[str, Any]]:
    """The settings of whose times nothing is said, and what was seen there."""
    found = ((setting, results.disturbed(setting)) for setting in results.settings())
    return [
        {"setting": _setting(setting), **asdict(one), "words": one.words}
        for setting, one in found
        if one is not None
    ]


def _setting(setting: Case) -> dict[str, Any]:
    left_out = ("subject", "length", "lesson")
    return {key: value for key, value in asdict(setting).items() if key not in left_out}


def _rows(results: ResultSet) -> Iterator[tuple[Any, ...]]:
    for result in results.cases:
        case = result.case
        # Trainings have rows of their own: to a seed its score, and no median over seeds.
        if case.mode == LEARN:
            continue
        shared = (*_case_cells(case, _capped(result)), result.outcome.value, result.reason)
        nothing = learned.lesson_cells(case, None)
        if not result.values:
            yield (*shared, *(None,) * 7, *nothing)
        for key in result.values:
            estimate = result.estimate(key)
            if estimate is not None:
                yield (*shared, key, METRICS[key].unit, estimate.value, estimate.low,
                       estimate.high, estimate.confidence, estimate.count, *nothing)  # fmt: skip


def _learned_rows(records: Sequence[Record], first_seed: int) -> Iterator[tuple[Any, ...]]:
    for record in records:
        if record.mode != LEARN:
            continue
        case = record.case
        shared = (*_case_cells(case, (None,) * 3), record.outcome.value, record.reason)
        lesson = learned.lesson_cells(case, seed_of(record, first_seed))
        rows = list(learned.metric_rows(record))
        if not rows:
            yield (*shared, *(None,) * 7, *lesson)
        for key, unit, value in rows:
            yield (*shared, key, unit, value, None, None, None, 1, *lesson)


def _case_cells(case: Case, capped: tuple[Any, ...]) -> tuple[Any, ...]:
    model = case.model
    return (
        case.id, case.subject, case.mode, case.device, case.length, case.batch, case.dtype,
        case.threads, case.memory_cap_bytes, *capped,
        model.width, model.heads, model.layers, model.banks, model.expansion,
        case.compile, case.cuda_graph,
    )  # fmt: skip


def _capped(result: CaseResult) -> tuple[Any, ...]:
    """Mechanism, floor and verdict of a memory cap."""
    cap = result.cap
    if cap is None:
        return (None, None, None)
    floor = None if cap.floor_bytes is None else round(cap.floor_bytes)
    return (cap.mechanism, floor, cap.verdict)
