"""Made-up runs for sizing: memory and latency that follow known formulas exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench_helpers import environment, ok, run_info, suite, sweep

from lmn_bench.schema import Case, ModelSpec, Record, RunInfo
from lmn_bench.sizing.evidence import Evidence, evidence_of
from lmn_bench.sizing.memory import modelled_bytes
from lmn_bench.sizing.question import Limits, Question
from lmn_bench.sizing.work import work_of

MIB = 2**20
FLOOR = 200 * MIB
SPEC = ModelSpec(width=64, heads=4, layers=2)
LENGTHS = tuple(2**k for k in range(8, 15))


def asked(subject: str = "lmn", mode: str = "decode", length: int = 4096, **rest: Any) -> Case:
    """A case as `size` asks for it: any number of threads."""
    return Case(subject, mode, length, **{"model": SPEC, "threads": 0, **rest})


def question(
    case: Case | None = None, others: tuple[str, ...] = (), floor: int | None = None, **limits: Any
) -> Question:
    """A question about one case, within these limits."""
    case = case or asked()
    return Question(case, (case.subject, *others), Limits(**limits), floor)


def true_need(case: Case, a: float = 3 * MIB, r: float = 1.2) -> float:
    """What a case of a made-up machine needs."""
    return a + r * modelled_bytes(case)


def records(
    case: Case, lengths: tuple[int, ...] = LENGTHS, a: float = 3 * MIB, r: float = 1.2,
    overhead_s: float = 1e-4, rate: float = 1e9, processes: int = 3,
) -> list[Record]:  # fmt: skip
    """Records whose memory is a + r · modelled, and whose time is overhead + FLOPs / rate."""
    found = []
    for length in lengths:
        one = replace(case, length=length, threads=max(1, case.threads))
        work = work_of(one)
        seconds = overhead_s + (work.flops if work else 1e5 * length) / rate
        for replicate in range(processes):
            noise = 1 + 0.002 * (replicate - 1)
            found.append(
                ok(one, replicate, seconds * noise, loaded_bytes=FLOOR + 4000,
                   needed_bytes=true_need(one, a, r), needed_reserved_bytes=true_need(one, a, r),
                   flops=work.flops if work else 0.0, bytes_moved=work.bytes if work else 0.0)
            )  # fmt: skip
    return found


def info(**changes: Any) -> RunInfo:
    """A run for sizing on the test bed."""
    return run_info(suite(sweep(), needs=True), **changes)


def evidence(*cases: Case, here: bool = True, **rest: Any) -> list[Evidence]:
    """The series of one made-up run."""
    machine = environment().machine if here else ("elsewhere",)
    return evidence_of(info(), [r for case in cases for r in records(case, **rest)], machine)
