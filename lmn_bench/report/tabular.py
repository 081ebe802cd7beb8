"""Results as data: CSV and JSON, one row per case and metric, in base units."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from lmn_bench.analysis.claims import judge
from lmn_bench.analysis.results import CaseResult, ResultSet
from lmn_bench.metrics import METRICS
from lmn_bench.schema import SCHEMA, RunInfo

COLUMNS = (
    "case_id", "subject", "mode", "device", "length", "batch", "dtype", "threads",
    "memory_cap_bytes", "cap_mechanism", "cap_floor_bytes", "cap_verdict",
    "width", "heads", "layers", "banks", "expansion", "compile", "cuda_graph", "outcome", "reason",
    "metric", "unit", "median", "low", "high", "confidence", "processes",
)  # fmt: skip


def tidy(results: ResultSet) -> pd.DataFrame:
    """One row per case and metric; a case without results has one row with no metric."""
    frame = pd.DataFrame.from_records(list(_rows(results)), columns=COLUMNS)
    # Missing whole numbers stay missing; they don't turn every cap into a float.
    whole = ("memory_cap_bytes", "cap_floor_bytes", "processes")
    return frame.astype(dict.fromkeys(whole, "Int64"))


def render_csv(results: ResultSet) -> str:
    """The tidy table as CSV."""
    return str(tidy(results).to_csv(index=False))


def render_csv_of_runs(runs: Sequence[tuple[RunInfo, ResultSet]]) -> str:
    """The tidy tables of several runs as one, with the run and its machine before every row."""
    frames = []
    for info, results in runs:
        frame = tidy(results)
        frame.insert(0, "machine", info.environment.hostname)
        frame.insert(0, "run", info.run_id)
        frames.append(frame)
    return str(pd.concat(frames, ignore_index=True).to_csv(index=False))


def render_json(info: RunInfo, results: ResultSet) -> str:
    """Run and results as one JSON object."""
    return _dump({"schema": SCHEMA, **_run_data(info, results)})


def render_json_of_runs(runs: Sequence[tuple[RunInfo, ResultSet]]) -> str:
    """Several runs, each as `render_json` has it, in a list `runs`."""
    return _dump({"schema": SCHEMA, "runs": [_run_data(info, found) for info, found in runs]})


def _dump(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=2, allow_nan=False) + "\n"


def _run_data(info: RunInfo, results: ResultSet) -> dict[str, Any]:
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
                "cap": None if result.cap is None else asdict(result.cap),
                "metrics": metrics,
            }
        )
    claims = [asdict(verdict) for verdict in judge(results, info.suite.claims)]
    return {"run": asdict(info), "cases": cases, "claims": claims}


def _rows(results: ResultSet) -> Iterator[tuple[Any, ...]]:
    for result in results.cases:
        case, model = result.case, result.case.model
        shared = (
            case.id, case.subject, case.mode, case.device, case.length, case.batch, case.dtype,
            case.threads, case.memory_cap_bytes, *_capped(result),
            model.width, model.heads, model.layers, model.banks, model.expansion,
            case.compile, case.cuda_graph, result.outcome.value, result.reason,
        )  # fmt: skip
        if not result.values:
            yield (*shared, *(None,) * 7)
        for key in result.values:
            estimate = result.estimate(key)
            if estimate is not None:
                yield (*shared, key, METRICS[key].unit, estimate.value, estimate.low,
                       estimate.high, estimate.confidence, estimate.count)  # fmt: skip


def _capped(result: CaseResult) -> tuple[Any, ...]:
    """Mechanism, floor and verdict of a memory cap."""
    cap = result.cap
    if cap is None:
        return (None, None, None)
    floor = None if cap.floor_bytes is None else round(cap.floor_bytes)
    return (cap.mechanism, floor, cap.verdict)
