"""Made-up environments, suites, runs, records and spawners for the tests of lmn_bench."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from lmn_bench.run.reply import Reply
from lmn_bench.schema import (
    Case,
    Environment,
    Gpu,
    Measuring,
    ModelSpec,
    Outcome,
    Record,
    RunInfo,
    SeriesLimit,
    Suite,
    Sweep,
)

GPU = Gpu(name="Imaginary H1", memory_bytes=80 * 2**30, driver="1.0")
SMALL = ModelSpec(width=32, heads=2)


def environment(**changes: Any) -> Environment:
    """A quiet machine with 4 cores and no GPU."""
    quiet = Environment(
        hostname="testbed", cpu_model="Imaginary CPU", logical_cores=4, physical_cores=2,
        memory_bytes=16 * 2**30, available_memory_bytes=12 * 2**30, memory_limit_bytes=None,
        os="Testix 1", kernel="6.1", python="3.12.1", lmn_bench="0.1.0", torch="2.13.0",
        governor=None, load_average=0.0, git_commit=None, git_dirty=None,
    )  # fmt: skip
    return replace(quiet, **changes)


def sweep(**axes: Any) -> Sweep:
    """A sweep of lmn and gru in prefill at three lengths."""
    standard = Sweep(subjects=("lmn", "gru"), modes=("prefill",), lengths=(64, 128, 256))
    return replace(standard, **axes)


def suite(*sweeps: Sweep, **measuring: Any) -> Suite:
    """A suite of these sweeps."""
    return Suite("made-up", "for tests", Measuring(**measuring), sweeps or (sweep(),))


def run_info(of: Suite | None = None, **changes: Any) -> RunInfo:
    """What a run of that suite knows about itself."""
    info = RunInfo(
        run_id="made-up-20260101-000000", created_at="2026-01-01T00:00:00+00:00",
        suite=of or suite(), seed=7, environment=environment(), command=("lmn-bench", "run"),
    )  # fmt: skip
    return replace(info, **changes)


def case(subject: str = "lmn", mode: str = "prefill", length: int = 64, **rest: Any) -> Case:
    """A small case."""
    return Case(subject=subject, mode=mode, length=length, **{"model": SMALL, **rest})


def ok(of: Case, replicate: int = 0, latency_s: float = 1e-3, **metrics: float) -> Record:
    """A replicate that went well."""
    values: dict[str, float | int] = {
        "latency_s": latency_s, "tokens_per_s": of.length / latency_s,
        "working_memory_bytes": 1024 * of.length, "parameters": 1000, "parameter_bytes": 4000,
        "state_bytes": 512, "check_error": 1e-7,
    }  # fmt: skip
    return Record.of(
        of, replicate, Outcome.OK, metrics={**values, **metrics}, samples_s=(latency_s,)
    )


def failed(
    of: Case,
    outcome: Outcome,
    reason: str = "because",
    replicate: int = 0,
    limit: SeriesLimit | None = None,
) -> Record:
    """A replicate that did not go well."""
    return Record.of(of, replicate, outcome, reason=reason, limit=limit)


def series(
    subject: str,
    latency: Callable[[int], float],
    lengths: Sequence[int] = (64, 128, 256, 512, 1024),
    processes: int = 5,
    noise: float = 0.01,
    **rest: Any,
) -> list[Record]:
    """Records of a subject whose time follows a law of the length; processes differ by `noise`."""
    records = []
    for length in lengths:
        for replicate in range(processes):
            factor = 1 + noise * (replicate - (processes - 1) / 2)
            of = case(subject, length=length, **rest)
            records.append(ok(of, replicate, latency(length) * factor))
    return records


OK_RESULT = {
    "outcome": "ok",
    "metrics": {"latency_s": 1e-3},
    "samples_s": [1e-3],
    "warmup_samples_s": [2e-3],
    "warnings": [],
}


def ok_reply(**metrics: float) -> Reply:
    """The answer of a child that measured something, and these metrics beside it."""
    result = {**OK_RESULT, "metrics": {**OK_RESULT["metrics"], **metrics}}
    return Reply(result=result, exit_code=0, timed_out=False, output="")


def death(exit_code: int = 1, *, output: str = "", timed_out: bool = False) -> Reply:
    """The end of a child that gave no answer."""
    return Reply(result=None, exit_code=exit_code, timed_out=timed_out, output=output)


class FakeSpawner:
    """Answers jobs from a function of the case; remembers all jobs in order."""

    def __init__(self, answer: Callable[[Case], Reply] = lambda _: ok_reply()) -> None:
        self._answer = answer
        self.jobs: list[dict[str, Any]] = []

    @property
    def cases(self) -> list[tuple[Case, int]]:
        """What was run, in order."""
        return [(Case.from_dict(job["case"]), job["replicate"]) for job in self.jobs]

    def measure(self, job: dict[str, Any], timeout_s: float) -> Reply:
        """Answer at once."""
        self.jobs.append(job)
        return self._answer(Case.from_dict(job["case"]))
