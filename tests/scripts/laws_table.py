"""Are known laws found? Made-up measurements of every law, many times, judged as real ones are.

    python tests/scripts/laws_table.py            writes results/evidence/laws.md (some minutes)
    python tests/scripts/laws_table.py --tune     prints the same for other seeds

Constants of `lmn_bench.analysis` were chosen on the seeds of --tune and others, never on those of
the table.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmn_bench.analysis.claims import verdict_of
from lmn_bench.analysis.laws import growth_functions
from lmn_bench.analysis.sample import sample_of
from lmn_bench.analysis.scaling import Scaling, scaling
from lmn_bench.schema import LAWS, Claim

OUTPUT = Path(__file__).resolve().parents[2] / "results" / "evidence" / "laws.md"
RUNS = 200
SEED, TUNING_SEED = 40_417, 7
PROCESSES = 5
DESIGNS = {
    "2^7 to 2^17 in octaves": [2**e for e in range(7, 18)],
    "2^7 to 2^11 in octaves": [2**e for e in range(7, 12)],
}
GROWING = ("log n", "log^2 n", "n", "n log n", "n^2")
# What part of the time at the longest length is overhead that doesn't grow.
OVERHEADS = (0.0, 0.5)
NOISES = (0.01, 0.03, 0.05, 0.10)
IN_SET_NEEDED, WRONG_ALLOWED = 0.95, 0.02


@dataclass(frozen=True)
class Rates:
    """Over all runs of one cell: shares, from 0 to 1.

    `wrong`: some claim that is false was called supported: "~" another law, or "at most" a slower
    one. `growth`: constant was excluded, or a growth claim supported.
    """

    in_set: float
    decided: float
    wrong: float
    growth: float


def measure(
    law: str, overhead: float, noise: float, lengths: Sequence[int], seed: int
) -> Iterator[Scaling]:
    """Judgements of made-up runs: T = overhead + (1 - overhead) g(n) / g(longest)."""
    g = growth_functions(lengths)[LAWS.index(law)]
    truth = np.ones(len(lengths)) if law == "constant" else overhead + (1 - overhead) * g
    cell = [LAWS.index(law), round(100 * overhead), round(1000 * noise), len(lengths)]
    rng = np.random.default_rng([seed, *cell])
    for run in range(RUNS):
        values = truth * np.exp(noise * rng.standard_normal((PROCESSES, len(lengths))))
        sample = sample_of({n: values[:, i].tolist() for i, n in enumerate(lengths)})
        found = scaling(sample, advice=False, seed=run)
        assert found is not None
        yield found


def rates(law: str, found: Sequence[Scaling]) -> Rates:
    """How often the truth was kept, found, and missed."""
    false = [Claim("", "", "", other) for other in LAWS if other != law]
    false += [Claim("", "", "", slower, at_most=True) for slower in LAWS[: LAWS.index(law)]]
    wrong = [any(verdict_of(c, one) == "supported" for c in false) for one in found]
    return Rates(
        in_set=float(np.mean([law in one.plausible for one in found])),
        decided=float(np.mean([one.decided and one.plausible == (law,) for one in found])),
        # constant is also "at most" everything, which is true of it
        wrong=float(np.mean(wrong)),
        growth=float(np.mean([bool(f.plausible) and "constant" not in f.plausible for f in found])),
    )


def table(seed: int) -> Iterator[str]:
    """The lines of the page."""
    yield "# Known laws, judged as measurements are"
    yield ""
    yield f"Written by `tests/scripts/laws_table.py`, seed {seed}: {RUNS} runs a cell, {PROCESSES}"
    yield "processes a length, log-normal noise between processes. T(n) = a + b g(n); overhead is"
    yield "the share of a in T at the longest length. A cell says, in % of runs: the true law is"
    yield "in the set / it is decided, alone in the set with power / a false claim is called"
    yield "supported."
    worst_in, worst_wrong, worst_growth = 1.0, 0.0, 0.0
    for name, lengths in DESIGNS.items():
        yield ""
        yield f"## {name}"
        yield ""
        yield "| law | overhead | " + " | ".join(f"noise {noise:.0%}" for noise in NOISES) + " |"
        yield "| :-- | --: |" + " --: |" * len(NOISES)
        for law in GROWING:
            for overhead in OVERHEADS:
                cells = []
                for noise in NOISES:
                    one = rates(law, list(measure(law, overhead, noise, lengths, seed)))
                    worst_in = min(worst_in, one.in_set)
                    worst_wrong = max(worst_wrong, one.wrong)
                    cells.append(_cell(one.in_set, one.decided, one.wrong))
                yield f"| {law} | {overhead:.0%} | " + " | ".join(cells) + " |"
        cells = []
        for noise in NOISES:
            one = rates("constant", list(measure("constant", 0.0, noise, lengths, seed)))
            worst_growth = max(worst_growth, one.growth, one.wrong)
            cells.append(_cell(one.in_set, one.decided, one.growth))
        yield "| constant (last number: growth found) | | " + " | ".join(cells) + " |"
    yield ""
    yield "| what must hold | required | worst cell | |"
    yield "| :-- | --: | --: | :-- |"
    yield _bound("the true law is in the set", ">=", IN_SET_NEEDED, worst_in)
    yield _bound("a false claim is supported", "<=", WRONG_ALLOWED, worst_wrong)
    yield _bound("constant data yield a growth claim", "<=", WRONG_ALLOWED, worst_growth)


def _cell(*shares: float) -> str:
    return " / ".join(f"{100 * share:.3g}" for share in shares)


def _bound(what: str, sign: str, needed: float, seen: float) -> str:
    met = seen >= needed if sign == ">=" else seen <= needed
    return f"| {what} | {sign} {needed:.0%} | {seen:.1%} | {'yes' if met else '**no**'} |"


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
