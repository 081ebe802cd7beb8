"""Are sizes foretold right? Longest contexts against those found under caps; latencies held out.

    python tests/scripts/sizing_table.py       writes results/evidence/sizing.md (some 20 minutes)

Sizes are foretold from `results/reference-sizing` (`lmn-bench run --suite sizing`), for the machine
that it was measured on; every cell is then bisected here, under an enforced cap. Latencies are
those of `results/reference-scaling`: every length between two others is left out and foretold.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lmn_bench.analysis.results import result_set
from lmn_bench.cli.size_verify import Trier
from lmn_bench.run.process import ForkServer
from lmn_bench.schema import Case, ModelSpec
from lmn_bench.sizing.answer import longest_context
from lmn_bench.sizing.evidence import Evidence, evidence_of
from lmn_bench.sizing.latency import LatencyModel
from lmn_bench.sizing.predictor import Predictor, predictor
from lmn_bench.sizing.question import Limits, Question
from lmn_bench.store import StoredRun, read_run
from lmn_bench.units import format_cap, format_length, format_share

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "results" / "evidence" / "sizing.md"
SIZING, SCALING = ROOT / "results" / "reference-sizing", ROOT / "results" / "reference-scaling"
SUBJECTS = ("lmn", "transformer", "lstm")
WIDTHS = (64, 128, 256)
CAPS = (64 * 2**20, 128 * 2**20, 256 * 2**20)
ALLOWED = 0.10
WANTED_COVERAGE = 0.90
_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Cell:
    """One longest context: foretold, promised, and found."""

    mode: str
    subject: str
    width: int
    cap: int
    foretold: int | None
    promised: int
    found: int | None
    trials: int

    @property
    def error(self) -> float | None:
        """Foretold by found, less 1; None where there is no longest one."""
        if self.foretold is None or not self.found:
            return None
        return self.foretold / self.found - 1


def cells(
    evidence: list[Evidence], server: ForkServer, mechanism: str, modes: Sequence[str]
) -> Iterator[Cell]:
    """Every mode, subject, width and cap."""
    for mode in modes:
        for subject in SUBJECTS:
            for width in WIDTHS:
                for cap in CAPS:
                    yield _cell(evidence, server, mechanism, mode, subject, width, cap)


def _cell(
    evidence: list[Evidence], server: ForkServer, mechanism: str, mode: str, subject: str,
    width: int, cap: int,
) -> Cell:  # fmt: skip
    spec = ModelSpec(width=width, heads=4, layers=4)
    case = Case(subject, mode, 1024, threads=0, model=spec)
    question = Question(case, (subject,), Limits(memory_bytes=cap), floor_bytes=0)
    known = predictor(subject, question, evidence)
    assert known is not None
    trier = Trier(server, known, case, mechanism, _TIMEOUT_S)
    promised = longest_context(known, case)
    assert promised is not None
    foretold = _foretold(known, case, cap)
    if foretold is None:
        # A state that does not grow to the cap: the end of what is promised has to fit.
        trial = trier.run(known.longest, "the end of the validated range")
        return Cell(mode, subject, width, cap, None, promised.value,
                    known.longest if trial.fits else 0, 1)  # fmt: skip
    trials = trier.bisected()
    fitting = [trial.length for trial in trials if trial.fits]
    return Cell(mode, subject, width, cap, foretold, promised.value,
                max(fitting, default=0), len(trials))  # fmt: skip


def _foretold(known: Predictor, case: Case, cap: int) -> int | None:
    low, high = 1, known.longest
    if known.memory(replace(case, length=high)).total <= cap:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        total = known.memory(replace(case, length=middle)).total
        low, high = (middle, high) if total <= cap else (low, middle)
    return low


@dataclass(frozen=True)
class Coverage:
    """Latencies of one series that were left out and foretold."""

    name: str
    inside: int
    count: int
    worst: float


def coverages(run: StoredRun) -> Iterator[Coverage]:
    """Every series of a run with five lengths or more."""
    grouped: dict[Case, dict[int, tuple[float, ...]]] = {}
    for result in result_set(run.records).cases:
        values = result.values.get("latency_s")
        if values and result.case.memory_cap_bytes is None:
            grouped.setdefault(result.case.series, {})[result.case.length] = values
    for series, latency in grouped.items():
        if len(latency) >= 5:
            yield _coverage(series, latency)


def _coverage(series: Case, latency: dict[int, tuple[float, ...]]) -> Coverage:
    inside, worst = 0, 0.0
    inner = sorted(latency)[1:-1]
    for length in inner:
        others = {n: values for n, values in latency.items() if n != length}
        whole = Evidence(
            "", True, "", series, dict.fromkeys(latency, 1.0), latency, {}, 0, 0, {}, None
        )
        model = LatencyModel(replace(whole, latency=others))
        found = model.at(replace(series, length=length))
        assert found is not None
        low, high = found.seconds.low, found.seconds.high
        assert low is not None
        assert high is not None
        measured = whole.medians[length]
        inside += low <= measured <= high
        worst = max(worst, abs(found.seconds.estimate / measured - 1))
    return Coverage(f"{series.subject} {series.mode}", inside, len(inner), worst)


def table(found: list[Cell], covered: list[Coverage], mechanism: str) -> str:
    """The evidence as Markdown."""
    errors = [abs(cell.error) for cell in found if cell.error is not None]
    limited = [cell for cell in found if cell.foretold is not None]
    kept = [cell for cell in limited if cell.found and cell.promised <= cell.found]
    free = [cell for cell in found if cell.foretold is None]
    inside, count = sum(one.inside for one in covered), sum(one.count for one in covered)
    lines = [
        "# Sizes foretold and found", "",
        "Written by `tests/scripts/sizing_table.py`: 4 layers, 4 heads, float32, batch 1, budgets "
        f"on top of the loaded process (`--floor 0`), enforced by {mechanism}.", "",
        f"* Longest context, foretold against bisected: at most {format_share(max(errors))} apart "
        f"in {len(errors)} cells (allowed: {format_share(ALLOWED)}).",
        f"* The promised longest context, which keeps to the upper end of the interval, really "
        f"fitted in {len(kept)} of {len(limited)} cells.",
        f"* Cells where memory sets no limit: {sum(bool(cell.found) for cell in free)} of "
        f"{len(free)} fitted at the end of what is promised.",
        f"* Latency at a length left out: inside its interval in {inside} of {count} cases, "
        f"{format_share(inside / count)} (wanted: {format_share(WANTED_COVERAGE)}).", "",
        "## Longest context under a cap", "",
        "| mode | model | width | cap | foretold | promised | found | error | runs |",
        "| :-- | :-- | --: | --: | --: | --: | --: | --: | --: |",
    ]  # fmt: skip
    for cell in found:
        error = "–" if cell.error is None else f"{100 * cell.error:+.1f} %"
        foretold = "no limit" if cell.foretold is None else format_length(cell.foretold)
        reached = f"fits at {format_length(cell.found or 0)}" if cell.foretold is None else (
            format_length(cell.found or 0)
        )  # fmt: skip
        lines.append(
            f"| {cell.mode} | {cell.subject} | {cell.width} | {format_cap(cell.cap)} | {foretold} "
            f"| {format_length(cell.promised)} | {reached} | {error} | {cell.trials} |"
        )
    lines += ["", "## Latency at lengths left out, `results/reference-scaling`", "",
              "| series | inside | worst error |", "| :-- | --: | --: |"]  # fmt: skip
    for one in covered:
        lines.append(f"| {one.name} | {one.inside} of {one.count} | {100 * one.worst:.1f} % |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cap-mechanism", default="rlimit", choices=("rlimit", "cgroup"))
    parser.add_argument("--modes", nargs="+", default=["prefill", "decode"])
    parser.add_argument("--run", type=Path, default=SIZING, help="foretell from this run")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    covered = list(coverages(read_run(SCALING)))
    run = read_run(options.run)
    here = run.info.environment.machine
    evidence = evidence_of(run.info, run.records, here, options.cap_mechanism)
    found = []
    with ForkServer(cap_mechanism=options.cap_mechanism) as server:
        for cell in cells(evidence, server, options.cap_mechanism, options.modes):
            print(cell, cell.error, flush=True)
            found.append(cell)
    options.output.write_text(table(found, covered, options.cap_mechanism))
    print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
