"""Do the parts of a profile add up to what was measured without instruments?

    python tests/scripts/profile_table.py            writes results/evidence/profile.md (minutes)
    python tests/scripts/profile_table.py --print    prints it

Every cell is profiled in several processes; what is written are medians over them. Nothing is
random but the machine's noise: weights and inputs have fixed seeds.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from lmn_bench.environment import read_environment
from lmn_bench.profiles import WITHIN, Profile, profile_of
from lmn_bench.report.words import machine_line
from lmn_bench.run.process import ForkServer
from lmn_bench.schema import Case, Environment, ModelSpec
from lmn_bench.units import format_bytes, format_change, format_seconds

OUTPUT = Path(__file__).resolve().parents[2] / "results" / "evidence" / "profile.md"
SUBJECTS = ("lmn", "lmn-published", "transformer", "lstm", "gru")
MODES = ("decode", "prefill", "train")
WIDTHS = (64, 256)
LENGTH = 2048
PROCESSES = 3
TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Cell:
    """Medians over the processes of a case."""

    case: Case
    latency_s: float
    parts_s: float
    time_apart: float
    time_range: tuple[float, float]
    working_bytes: float
    parts_bytes: float
    memory_apart: float | None

    @property
    def holds(self) -> bool:
        """Whether both are within `WITHIN`, as far as they are compared."""
        memory = 0.0 if self.memory_apart is None else self.memory_apart
        return abs(self.time_apart) <= WITHIN and abs(memory) <= WITHIN


def cases() -> Iterator[Case]:
    for mode in MODES:
        for width in WIDTHS:
            for subject in SUBJECTS:
                yield Case(subject, mode, LENGTH, model=ModelSpec(width=width))


def cell(case: Case, profiles: list[Profile]) -> Cell:
    apart = [p.time.difference for p in profiles if p.time.difference is not None]
    memory = [p.memory.difference for p in profiles if p.memory.difference is not None]
    return Cell(
        case=case,
        latency_s=statistics.median(p.time.measured for p in profiles),
        parts_s=statistics.median(p.time.sum for p in profiles),
        time_apart=statistics.median(apart),
        time_range=(min(apart), max(apart)),
        working_bytes=statistics.median(p.memory.measured for p in profiles),
        parts_bytes=statistics.median(p.memory.sum for p in profiles),
        memory_apart=statistics.median(memory) if memory else None,
    )


def measure(environment: Environment) -> Iterator[Cell]:
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    with ForkServer() as server, TemporaryDirectory() as folder:
        for case in cases():
            job = {"case": asdict(case), "seed": 0, "depth": None, "lines": False,
                   "trace": str(Path(folder, "trace.json.gz"))}  # fmt: skip
            profiles = [
                profile_of(case, server.profile(job, TIMEOUT_S), environment, moment)
                for _ in range(PROCESSES)
            ]
            found = cell(case, profiles)
            print(row(found), flush=True)
            yield found


def row(found: Cell) -> str:
    case = found.case
    low, high = (format_change(1 + end) for end in found.time_range)
    memory = "not compared" if found.memory_apart is None else format_change(1 + found.memory_apart)
    return (
        f"| {case.mode} | {case.model.width} | {case.subject} | {format_seconds(found.latency_s)} "
        f"| {format_seconds(found.parts_s)} | {format_change(1 + found.time_apart)} "
        f"| {low} to {high} | {format_bytes(found.working_bytes)} "
        f"| {format_bytes(found.parts_bytes)} | {memory} | {'yes' if found.holds else '**no**'} |"
    )


def table(found: list[Cell], environment: Environment) -> str:
    holding = sum(one.holds for one in found)
    lines = [
        "# Parts of a profile, and the whole",
        "",
        f"Written by `python tests/scripts/profile_table.py`: `lmn-bench profile` at {LENGTH:,} "
        f"tokens, 4 heads, one layer, float32, one thread, batch 1, {PROCESSES} processes a row. "
        f"{machine_line(environment)}; torch {environment.torch}.",
        "",
        f"{holding} of {len(found)} rows hold: time by parts within {WITHIN:.0%} of the latency "
        f"that was measured without instruments, memory by parts within {WITHIN:.0%} of the "
        "kernel's high-water mark. Under 4 MiB memory is not compared: there, pages and the heap's "
        "own book-keeping decide.",
        "",
        "| mode | width | model | latency | sum of parts | apart, median | of all processes "
        "| working peak | sum by parts | apart | holds |",
        "| :-- | --: | :-- | --: | --: | --: | --: | --: | --: | --: | :-- |",
        *map(row, found),
        "",
        "Latency and sum are medians over processes, each on its own; “apart” is the median of "
        "what they differ by within one process, where the machine was the same for both.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--print", action="store_true", help="print it only")
    asked = parser.parse_args()
    environment = read_environment()
    text = table(list(measure(environment)), environment)
    if asked.print:
        print(text)
    else:
        OUTPUT.write_text(text)


if __name__ == "__main__":
    main()
