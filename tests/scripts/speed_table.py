"""The table of a run of `speed`: what a fast LMN has to show, and what it shows.

    python tests/scripts/speed_table.py RUN        print the table as Markdown
    python tests/scripts/speed_table.py --readme   put the reference run's into the README

`tests/test_readme.py` fails when the README and the reference run differ.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from readme_marks import README, ROOT, Marks

from lmn_bench.analysis.ratios import Ratio, ratio
from lmn_bench.analysis.results import CaseResult, ResultSet, result_set
from lmn_bench.report.document import Table
from lmn_bench.report.markdown import render_table
from lmn_bench.schema import Case, ModelSpec, Outcome, RunInfo
from lmn_bench.store import find_run, read_run
from lmn_bench.units import format_length, format_number, format_ratio_interval

RUN = "results/reference-speed"
PLACE = Marks(f"<!-- speed: tests/scripts/speed_table.py {RUN} -->\n", "<!-- /speed -->")

NARROW, WIDE = ModelSpec(32, 1), ModelSpec(256, 4)
# How far the time per token may lie from the same: over a range of contexts, and of lengths.
FLAT = LINEAR = 0.15
# How far the working memory may lie from that at a shorter length.
SAME_MEMORY = 0.10
NOTHING = "–"


@dataclass(frozen=True)
class Row:
    """One line of the table; `met` is None where something was not measured."""

    work: str
    against: str
    required: str
    measured: str
    memory: str
    met: bool | None

    @property
    def cells(self) -> tuple[str, ...]:
        """As text, with the verdict in words."""
        verdict = {True: "yes", False: "**no**", None: "not measured"}[self.met]
        return (self.work, self.against, self.required, self.measured, self.memory, verdict)


class Speed:
    """The results of one run, by what the table asks for."""

    def __init__(self, info: RunInfo, results: ResultSet) -> None:
        self.info = info
        self._results = {result.case: result for result in results.cases}

    def of(self, subject: str, mode: str, length: int, model: ModelSpec, **rest: Any) -> CaseResult:
        """The result of a case on the CPU; one without values where the run lacks it."""
        case = Case(subject, mode, length, model=model, **{"threads": 2, **rest})
        missing = CaseResult(case, Outcome.SKIPPED, "not in the run")
        return self._results.get(case, missing)

    def rows(self) -> Iterator[Row]:
        """The table, in the order of the requirements."""
        banks = ModelSpec(32, 4, banks=2)
        yield self._published("prefill", 32768, NARROW, 9, 8, "width 32, 1 head, 1 bank")
        yield self._published("prefill", 16384, WIDE, 5.5, 5, "width 256, 4 heads, 1 bank")
        yield self._published("train", 32768, banks, 9, 6, "width 32, 4 heads, 2 banks")
        yield self._published("train", 16384, WIDE, 5, 4, "width 256, 4 heads")
        yield self._transformer_prefill()
        yield self._half_precision()
        yield self._long_read()
        yield self._decode_range()
        yield self._transformer_decode()
        yield self._share_of_ceiling()

    def _published(
        self, mode: str, length: int, model: ModelSpec, faster: float, smaller: float, words: str
    ) -> Row:
        own, other = (self.of(s, mode, length, model) for s in ("lmn", "lmn-published"))
        time = ratio(other, own, "latency_s")
        memory = ratio(other, own, "working_memory_bytes")
        return Row(
            f"{mode} {format_length(length)}, {words}", "`lmn-published`",
            f"{faster:g}× faster, 1/{smaller:g} of its working memory",
            _times(time), _part(memory), _all_met(_least(time, faster), _least(memory, smaller)),
        )  # fmt: skip

    def _transformer_prefill(self) -> Row:
        own, other = (self.of(s, "prefill", 16384, WIDE) for s in ("lmn", "transformer"))
        time = ratio(other, own, "latency_s")
        return Row("prefill 16,384, width 256", "Transformer, fused attention", "3.8× faster",
                   _times(time), _part(ratio(other, own, "working_memory_bytes")),
                   _all_met(_least(time, 3.8)))  # fmt: skip

    def _half_precision(self) -> Row:
        full = self.of("lmn", "prefill", 16384, WIDE)
        half = self.of("lmn", "prefill", 16384, WIDE, dtype="bfloat16")
        time = ratio(full, half, "latency_s")
        return Row("prefill 16,384, width 256, bfloat16", "the same in float32",
                   "2.5× faster on a CPU with AMX", _times(time),
                   _part(ratio(full, half, "working_memory_bytes")),
                   _all_met(_least(time, 2.5)))  # fmt: skip

    def _long_read(self) -> Row:
        short, long = (self.of("lmn", "read", n, ModelSpec(64, 4)) for n in (65536, 1048576))
        time, memory = ratio(long, short, "latency_s"), ratio(long, short, "working_memory_bytes")
        factor = long.case.length // short.case.length
        return Row(
            "read 1,048,576, width 64", "read 65,536",
            f"{factor}× the time ± {LINEAR:.0%}, the same working memory ± {SAME_MEMORY:.0%}",
            _times(time), _times(memory),
            _all_met(_near(time, factor, LINEAR), _near(memory, 1, SAME_MEMORY)),
        )  # fmt: skip

    def _decode_range(self) -> Row:
        contexts = [2**e for e in range(10, 21)]
        pairs = [
            tuple(self.of(s, "decode", n, NARROW, threads=1) for s in ("lmn", "lmn-published"))
            for n in contexts
        ]
        found = [ratio(other, own, "latency_s") for own, other in pairs]
        medians = [own.estimate("latency_s") for own, _ in pairs]
        state = ratio(pairs[-1][1], pairs[-1][0], "state_bytes")
        required = f"2.5× faster, flat within {FLAT:.0%} over the range"
        work = "decode at contexts of 2^10 to 2^20, width 32, 1 thread"
        times_found = [one for one in found if one is not None]
        values = sorted(one.value for one in medians if one is not None)
        if len(times_found) < len(contexts) or len(values) < len(contexts):
            return Row(work, "`lmn-published`", required, NOTHING, NOTHING, None)
        least = min(times_found, key=lambda one: one.value)
        middle = values[len(values) // 2]
        apart = max(values[-1] / middle - 1, 1 - values[0] / middle)
        where = format_length(contexts[found.index(least)])
        measured = f"{_times(least)} at {where}, the least; within {apart:.0%} of the middle one"
        met = _all_met(_least(least, 2.5), apart <= FLAT)
        return Row(work, "`lmn-published`", required, measured, f"state {_part(state)}", met)

    def _transformer_decode(self) -> Row:
        own, other = (self.of(s, "decode", 32768, WIDE) for s in ("lmn", "transformer"))
        time, state = ratio(other, own, "latency_s"), ratio(other, own, "state_bytes")
        return Row("decode at a context of 2^15, width 256", "Transformer with a key-value cache",
                   "15× faster, state 1/1,000", _times(time), f"state {_part(state)}",
                   _all_met(_least(time, 15), _least(state, 1000)))  # fmt: skip

    def _share_of_ceiling(self) -> Row:
        result = self.of("lmn", "prefill", 16384, WIDE)
        ceiling, latency = self.info.ceiling(result.case), result.estimate("latency_s")
        flops = result.estimate("flops")
        words = ("matrix-product FLOPs per second in prefill 16,384, width 256",
                 "the matrix product's own, measured", "60% of it")  # fmt: skip
        if ceiling is None or latency is None or flops is None:
            return Row(*words, NOTHING, NOTHING, None)
        value, low, high = (
            flops.value / seconds / ceiling.matrix_flops_per_s
            for seconds in (latency.value, latency.high, latency.low)
        )
        return Row(*words, f"{value:.0%} [{low:.0%}, {high:.0%}]", NOTHING, value >= 0.6)


def _times(found: Ratio | None) -> str:
    if found is None:
        return NOTHING
    if found.low is None or found.high is None:
        return f"{format_number(found.value, 2)}×"
    return format_ratio_interval(found.value, found.low, found.high)


def _part(found: Ratio | None) -> str:
    """How small our side is: 1/8.3; the other way round where it is larger."""
    if found is None:
        return NOTHING
    return f"1/{format_number(found.value, 2)}" if found.value > 1 else f"{1 / found.value:.2g}×"


def _least(found: Ratio | None, wanted: float) -> bool | None:
    return None if found is None else found.value >= wanted


def _near(found: Ratio | None, wanted: float, tolerance: float) -> bool | None:
    return None if found is None else abs(found.value / wanted - 1) <= tolerance


def _all_met(*parts: bool | None) -> bool | None:
    if False in parts:
        return False
    return None if None in parts else True


def speed_table(folder: Path) -> str:
    """The table of the run in `folder`, as Markdown."""
    run = read_run(folder)
    speed = Speed(run.info, result_set(run.records))
    processes = run.info.suite.measuring.processes
    table = Table(
        "",
        ("work, one block", "against", "at least", "measured", "memory", "met"),
        tuple(row.cells for row in speed.rows()),
    )
    note = (
        f"Medians of {processes} processes each on {run.info.environment.cpu_model}, 2 threads and "
        "float32 unless said; in brackets 95% of ratios over resampled processes. Memory: working "
        "memory, or the state of decode, against the other's. Verdicts go by the medians."
    )
    # Cells are ours and hold markup on purpose.
    text = render_table(table).replace("\\*", "*").replace("\\`", "`")
    return f"{text}\n*{note}*\n"


def with_speed(readme: str, table: Callable[[], str]) -> str:
    """The README with the table in its place; as it is where it has no place for one."""
    return PLACE.replace(readme, table()) if PLACE.begin in readme else readme


def main(arguments: list[str]) -> None:
    """Print a run's table, or put the reference run's into the README."""
    if arguments == ["--readme"]:
        README.write_text(with_speed(README.read_text(), lambda: speed_table(ROOT / RUN)))
    else:
        print(speed_table(find_run(arguments[0] if arguments else None, ROOT / "results")), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
