"""What setting malloc lean saves in memory, and costs in time.

    python tests/scripts/malloc_table.py             writes results/evidence/malloc.md (minutes)

Every case is measured with both settings in turn, each time in a process of its own.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from lmn_bench.environment import read_environment
from lmn_bench.malloc import LEAN_VARIABLES
from lmn_bench.report.words import machine_line
from lmn_bench.run.backstop import Task
from lmn_bench.run.process import ForkServer
from lmn_bench.run.schedule import measure_task
from lmn_bench.schema import MALLOCS, Case, Measuring, ModelSpec
from lmn_bench.units import format_bytes, format_seconds

OUTPUT = Path(__file__).resolve().parents[2] / "results" / "evidence" / "malloc.md"
PROCESSES = 5
LENGTHS = {"decode": (16_384,), "prefill": (1_448, 5_793, 13_777)}


def cases() -> Iterator[Case]:
    """Two modes and widths; a step of an LSTM needs nothing that could be compared."""
    for mode, lengths in LENGTHS.items():
        for subject in ("lmn", "transformer", "lstm"):
            for width in (64, 256):
                for length in lengths if (subject, mode) != ("lstm", "decode") else ():
                    spec = ModelSpec(width=width, heads=4, layers=4)
                    yield Case(subject, mode, length, threads=1, model=spec)


def row(case: Case, server: ForkServer) -> str:
    """Medians of both settings, and the medians of their ratios, pair by pair."""
    needed: dict[str, list[float]] = {malloc: [] for malloc in MALLOCS}
    latency: dict[str, list[float]] = {malloc: [] for malloc in MALLOCS}
    for replicate in range(PROCESSES):
        for malloc in MALLOCS if replicate % 2 else MALLOCS[::-1]:
            measuring = Measuring(needs=True, counters=False, blank_context=True, malloc=malloc,
                                  timeout_s=120)  # fmt: skip
            record = measure_task(Task(case, replicate, 0), measuring, 0, server, time.monotonic)
            needed[malloc].append(record.metrics["needed_bytes"])
            latency[malloc].append(record.metrics["latency_s"])
    told = [
        case.mode, case.subject, str(case.model.width), f"{case.length:,}",
        *(format_bytes(statistics.median(needed[malloc])) for malloc in MALLOCS),
        f"{_ratio(needed):.2f}",
        *(format_seconds(statistics.median(latency[malloc])) for malloc in MALLOCS),
        f"{_ratio(latency):.2f}",
    ]  # fmt: skip
    return f"| {' | '.join(told)} |"


def _ratio(found: dict[str, list[float]]) -> float:
    pairs = zip(*(found[malloc] for malloc in MALLOCS), strict=True)
    return statistics.median(lean / default for default, lean in pairs)


def main() -> None:
    """Measure and write."""
    environment = read_environment()
    lines = [
        "# malloc as it comes, and lean", "",
        f"Written by `python tests/scripts/malloc_table.py`: 4 layers, 4 heads, float32, one "
        f"thread, batch 1, {PROCESSES} processes each, in turn. {machine_line(environment)}; "
        f"torch {environment.torch}.", "",
        f"Lean is `{LEAN_VARIABLES}`. Memory is what a call needs on top of the loaded model, "
        "input, state and result included; ratios are of lean to default.", "",
        "| mode | model | width | tokens | memory | lean | ratio | latency | lean | ratio |",
        "| :-- | :-- | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]  # fmt: skip
    with ForkServer() as server:
        for case in cases():
            lines.append(row(case, server))
            print(lines[-1], flush=True)
    OUTPUT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
