"""Do intervals hold when processes measured different sizes? Made-up files of every design.

python tests/scripts/fit_designs.py           writes results/evidence/fit-designs.md (minutes)
python tests/scripts/fit_designs.py --tune    prints the same for other seeds
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmn_bench.analysis.growth import growth
from lmn_bench.analysis.observed import observed_sample
from lmn_bench.analysis.sample import Sample
from lmn_bench.analysis.scaling import scaling

OUTPUT = Path(__file__).resolve().parents[2] / "results" / "evidence" / "fit-designs.md"
FILES = 200
# Laws take much longer to judge than intervals: only so many files of a cell.
JUDGED = 50
SEED, TUNING_SEED = 51_803, 7
SIZES = [64 * 2**k for k in range(8)]
RATIO = SIZES[-1] / SIZES[0]
ERROR = 0.01
LEVELS = (0.0, 0.05, 0.20)
REPEATS = (3, 5, 12)
DESIGNS = ("crossed", "gaps", "chain", "pairs", "halves", "nested")
# Over all files of a design; a cell of 200 files may lie 3.5 standard errors below 95 %.
HELD_NEEDED, CELL_HELD_NEEDED, BREAKS_ALLOWED, WRONG_ALLOWED = 0.94, 0.895, 0.02, 0.01
# (process, sizes that it measured)
Plan = list[tuple[str, list[int]]]


@dataclass(frozen=True)
class Rates:
    """Shares from 0 to 1.

    Over all files of a cell: `exponent`, `ratio`: the 95 % interval holds the truth; `half`: half
    the interval of the ratio, on a log scale, in the middle file. Over the first `JUDGED`:
    `broken`: a break is asserted where none is; `wrong`: another law than n is decided; `decided`:
    n is.
    """

    exponent: float
    ratio: float
    broken: float
    wrong: float
    decided: float
    half: float


def plan(design: str, repeats: int) -> Plan:
    """Who measures what, so that every size is measured by `repeats` processes or more."""
    if design == "crossed":
        return [(f"p{r}", SIZES) for r in range(repeats)]
    if design == "gaps":
        processes = repeats + 2
        return [
            (f"p{r}", [n for k, n in enumerate(SIZES) if (k + r) % processes > 1])
            for r in range(processes)
        ]
    width, step = {"chain": (2, 1), "pairs": (2, 2), "halves": (4, 4), "nested": (1, 1)}[design]
    starts = range(0, len(SIZES) - width + 1, step)
    return [(f"p{r}-{k}", SIZES[k : k + width]) for r in range(repeats) for k in starts]


def rates(design: str, repeats: int, level: float, seed: int) -> Rates:
    """Fit made-up files of exactly linear growth."""
    cell = [DESIGNS.index(design), repeats, round(100 * level)]
    rng = np.random.default_rng([seed, *cell])
    held, judged = [], []
    for file in range(FILES):
        sample = _sample(rng, plan(design, repeats), level)
        grown = growth(sample)
        assert grown is not None
        low, high = grown.ratio.low, grown.ratio.high
        assert low is not None
        assert high is not None
        held.append((grown.exponent.holds(1.0), grown.ratio.holds(RATIO), np.log(high / low) / 2))
        if file < JUDGED:
            found = scaling(sample, advice=False, seed=file)
            assert found is not None
            right = found.plausible == ("n",)
            broken = found.valid_from > SIZES[0]
            judged.append((broken, found.decided and not right, found.decided and right))
    exponent, ratio, half = np.array(held, dtype=float).T
    shares = np.array(judged, dtype=float).mean(axis=0).tolist()
    return Rates(float(exponent.mean()), float(ratio.mean()), *shares, float(np.median(half)))


def _sample(rng: np.random.Generator, who: Plan, level: float) -> Sample:
    x, y, process = [], [], []
    for name, sizes in who:
        own = level * rng.standard_normal()
        errors = own + ERROR * rng.standard_normal(len(sizes))
        x += sizes
        y += (1e-6 * np.array(sizes) * np.exp(errors)).tolist()
        process += [name] * len(sizes)
    return observed_sample(x, y, process).sample


def table(seed: int) -> Iterator[str]:
    """The lines of the page."""
    yield "# Designs: which process measured which size"
    yield ""
    yield f"Written by `tests/scripts/fit_designs.py`, seed {seed}: {FILES} files a cell of exactly"
    yield f"linear times at {len(SIZES)} sizes, {SIZES[0]} to {SIZES[-1]:,}, each measured by the"
    yield f"given number of processes or more; {ERROR:.0%} error inside a process, and each process"
    yield "faster or slower throughout by the given spread. crossed: every process measures every"
    yield "size; gaps: all but one or two; chain: a size and the next; pairs, halves: two or four"
    yield "sizes that no other process leaves; nested: one. A cell says, in % of files: the 95 %"
    yield "interval of the top exponent holds 1 / that of the ratio holds its truth / (of the first"
    yield f"{JUDGED}) a break is asserted / n is decided; and half the ratio's interval in the"
    yield "middle file."
    yield ""
    yield "| design | processes | " + " | ".join(f"spread {level:.0%}" for level in LEVELS) + " |"
    yield "| :-- | --: |" + " --: |" * len(LEVELS)
    every: list[Rates] = []
    of_design: dict[str, list[Rates]] = {}
    for design in DESIGNS:
        for repeats in REPEATS:
            row = [rates(design, repeats, level, seed) for level in LEVELS]
            every += row
            of_design.setdefault(design, []).extend(row)
            yield f"| {design} | {repeats} | " + " | ".join(map(_cell, row)) + " |"
    held = [
        float(np.mean([value for one in cells for value in (one.exponent, one.ratio)]))
        for cells in of_design.values()
    ]
    yield ""
    yield "| what must hold | required | worst | |"
    yield "| :-- | --: | --: | :-- |"
    yield _bound("intervals hold the truth, by design", HELD_NEEDED, min(held), least=True)
    worst = min(min(one.exponent, one.ratio) for one in every)
    yield _bound("intervals hold the truth, by cell", CELL_HELD_NEEDED, worst, least=True)
    broken = max(_mean(cells) for cells in of_design.values())
    yield _bound("a break is asserted, by design", BREAKS_ALLOWED, broken, least=False)
    wrong = max(one.wrong for one in every)
    yield _bound("another law is decided, by cell", WRONG_ALLOWED, wrong, least=False)


def _mean(cells: Sequence[Rates]) -> float:
    return float(np.mean([one.broken for one in cells]))


def _cell(one: Rates) -> str:
    shares = (one.exponent, one.ratio, one.broken, one.decided)
    return " / ".join(f"{100 * share:.3g}" for share in shares) + f"; ±{one.half:.1%}"


def _bound(what: str, needed: float, seen: float, *, least: bool) -> str:
    met = seen >= needed if least else seen <= needed
    sign = ">=" if least else "<="
    return f"| {what} | {sign} {needed:.3g} | {seen:.3f} | {'yes' if met else '**no**'} |"


def main() -> None:
    """Write or print the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tune", action="store_true", help="other seeds; print only")
    if parser.parse_args().tune:
        for line in table(TUNING_SEED):
            print(line, flush=True)
        return
    text = "\n".join(table(SEED)) + "\n"
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
