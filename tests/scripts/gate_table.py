"""How often does the gate cry wolf, how often does it sleep? Made-up gates, judged as real ones.

    python tests/scripts/gate_table.py            writes results/evidence/gate.md (some minutes)
    python tests/scripts/gate_table.py --tune     prints the same for another seed

Processes differ by log-normal noise. With drift, the machine gets slower by that much in the middle
of the screening (and of what follows) from one process to the next, and by as much again slowly
over each of them. Constants of `lmn_bench.analysis.paired` were chosen on the seed of --tune.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from lmn_bench.analysis.alternated import Logs, Trial, measured, null_rows
from lmn_bench.analysis.comparison import Comparison, Gate
from lmn_bench.analysis.gate import conclude
from lmn_bench.analysis.leaning import judged_apart
from lmn_bench.analysis.measured import Measured, measured_rows
from lmn_bench.analysis.options import Options
from lmn_bench.analysis.paired import ALARM, MISS, is_settled
from lmn_bench.schema import Case

OUTPUT = Path(__file__).resolve().parents[2] / "results" / "evidence" / "gate.md"
SEED, TUNING_SEED = 51_113, 11
GATES = 600
METRIC = "latency_low_s"
SPREADS = (0.005, 0.015, 0.03)
DRIFTS = (0.0, 0.02, 0.04)
CASES = (1, 20, 200)
SERVERS = (0.0, 0.005, 0.01)
PLANTED = (0.05, 0.10)
PROCESSES = 10  # of stored runs
OPTIONS = Options()
RULES = OPTIONS.rules
_NOTHING = np.empty((0, 2))


@dataclass(frozen=True)
class World:
    """What is true of a made-up gate.

    Attributes:
        cases: how many are measured.
        spread: standard deviation between processes (0.015: 1.5 %).
        drift: of the machine's speed.
        planted: the first case is slower by this in the new version.
        all_slower: every case is.
        heavy: one process in ten is disturbed: slower by up to a fifth.
        server: standard deviation between servers (of stored runs: between runs).
    """

    cases: int = 20
    spread: float = 0.015
    drift: float = 0.0
    planted: float = 0.0
    all_slower: float = 0.0
    heavy: bool = False
    server: float = 0.0


@dataclass(frozen=True)
class Rates:
    """Shares of gates, from 0 to 1; blocks per case are means."""

    red: float
    found: float
    inconclusive: float
    passed: float
    blocks: float


def _blocks(
    world: World, cases: int, blocks: int, rng: np.random.Generator, per_server: int = 1
) -> list[np.ndarray]:
    """Logarithms of times of base, null and new, each (cases, blocks, 2), slots in real order."""
    shape = (blocks, cases, 6)
    slot = np.arange(np.prod(shape)).reshape(shape) / max(1, np.prod(shape) - 1)
    noise = world.spread * rng.standard_normal(shape)
    noise += np.log1p(world.drift) * ((slot > 0.5) + slot)
    if world.heavy:
        noise += (rng.random(shape) < 0.1) * rng.random(shape) * 0.2
    # Which arm stands at which of the three places; mirrored in the second half.
    order = rng.permuted(np.broadcast_to(np.arange(3), (blocks, cases, 3)), axis=-1)
    arms = []
    for arm in range(3):
        first = np.argmax(order == arm, axis=-1)[..., None]
        pair = np.concatenate([first, 5 - first], axis=-1)
        times = np.take_along_axis(noise, pair, axis=-1)
        servers = world.server * rng.standard_normal((-(-blocks // per_server), cases, 1))
        times = times + np.repeat(servers, per_server, axis=0)[:blocks]
        arms.append(np.swapaxes(times, 0, 1))
    arms[2] = arms[2] + np.log1p(world.all_slower)
    return arms


def alternated(world: World, rng: np.random.Generator) -> tuple[Comparison, float]:
    """One `ab`: screening, looks at the suspects, verdict; and the blocks measured per case."""
    arms = _blocks(world, world.cases, RULES.screen_blocks, rng, per_server=2)
    arms[2][0] += np.log1p(world.planted)
    none = Logs(_NOTHING, _NOTHING, _NOTHING)
    trials = [
        Trial(_case(at), METRIC, Logs(*(arm[at] for arm in arms)), none, OPTIONS)
        for at in range(world.cases)
    ]
    spent = RULES.screen_blocks * world.cases
    suspects = [at for at, trial in enumerate(trials) if not trial.screened.passes]
    family = sum(trials[at].can_alarm for at in suspects)
    still, done = list(suspects), 0
    for look in RULES.looks:
        more = _blocks(world, max(1, len(still)), look - done, rng)
        for place, at in enumerate(still):
            slower = np.log1p(world.planted) if at == 0 else 0.0
            old = trials[at].fresh
            logs = [np.concatenate([before, arm[place]]) for before, arm in
                    zip((old.base, old.null, old.new - slower), more, strict=True)]  # fmt: skip
            logs[2] = logs[2] + slower
            trials[at] = Trial(_case(at), METRIC, trials[at].screen, Logs(*logs), OPTIONS)
        spent += (look - done) * len(still)
        done = look
        still = [
            at
            for at in still
            if not is_settled(trials[at].confirming, RULES, family, can_alarm=trials[at].can_alarm)
        ]
    rows = measured_rows([measured(trial) for trial in trials], RULES)
    null = null_rows(trials, RULES)
    comparison = conclude(base="base", new="new", rows=rows, rules=RULES, null=null)
    return comparison, spent / world.cases


def stored(world: World, rng: np.random.Generator) -> tuple[Comparison, float]:
    """One `compare` of two runs of `PROCESSES` processes, each in shuffled rounds."""
    sides = []
    for side in range(2):
        slot = np.arange(PROCESSES * world.cases).reshape(PROCESSES, world.cases)
        share = slot / max(1, slot.size - 1)
        logs = world.spread * rng.standard_normal(slot.shape)
        logs += np.log1p(world.drift) * ((share > 0.5) + share)
        logs += world.server * rng.standard_normal(world.cases)
        if side == 1:
            logs[:, 0] += np.log1p(world.planted)
            logs += np.log1p(world.all_slower)
        sides.append(logs.T)
    found = [
        Measured(_case(at), METRIC, tuple(np.exp(base)), tuple(np.exp(new)),
                 *judged_apart([base.tolist()], [new.tolist()], RULES, METRIC))
        for at, (base, new) in enumerate(zip(*sides, strict=True))
    ]  # fmt: skip
    rows = measured_rows(found, RULES)
    return conclude(base="base", new="new", rows=rows, rules=RULES), PROCESSES / 2


def _case(at: int) -> Case:
    return Case("lmn", "prefill", at + 1)


def rates(kind: str, world: World, gates: int, seed: int) -> Rates:
    """Over this many gates of one world."""
    rng = np.random.default_rng([seed, kind == "ab", *_key(world)])
    make = alternated if kind == "ab" else stored
    found = [make(world, rng) for _ in range(gates)]
    verdicts = [comparison.verdict for comparison, _ in found]
    hits = [
        any(row.regression and row.case == _case(0) for row in comparison.rows)
        and comparison.verdict is Gate.REGRESSION
        for comparison, _ in found
    ]
    return Rates(
        red=verdicts.count(Gate.REGRESSION) / gates,
        found=sum(hits) / gates,
        inconclusive=verdicts.count(Gate.INCONCLUSIVE) / gates,
        passed=verdicts.count(Gate.PASS) / gates,
        blocks=float(np.mean([spent for _, spent in found])),
    )


def _key(world: World) -> list[int]:
    numbers = (world.spread, world.drift, world.planted, world.all_slower, world.server)
    return [world.cases, int(world.heavy), *(round(1e4 * number) for number in numbers)]


def worlds() -> Iterator[tuple[str, str, World]]:
    """Every cell of the tables: kind of gate, table, what is true."""
    for spread, drift, cases in product(SPREADS, DRIFTS, CASES):
        yield "ab", "same", World(cases, spread, drift)
    for spread, drift, cases in product(SPREADS, DRIFTS[:2], CASES):
        yield "compare", "same", World(cases, spread, drift)
    for spread, cases, planted in product(SPREADS, CASES, PLANTED):
        yield "ab", "planted", World(cases, spread, DRIFTS[1], planted)
    for cases, server in product(CASES[:2], SERVERS):
        yield "ab", "hard", World(cases, all_slower=RULES.margin, server=server)
        yield "ab", "hard", World(cases, server=server)
        yield "ab", "hard", World(cases, heavy=True, server=server)
        yield "compare", "hard", World(cases, server=server)
        yield "compare", "hard", World(cases, all_slower=RULES.margin, server=server)


def _cell(task: tuple[str, World, int, int]) -> Rates:
    kind, world, gates, seed = task
    # Large gates hold many tests each: fewer of them tell as much.
    return rates(kind, world, gates, seed)


def table(found: Sequence[tuple[str, str, World, Rates]], gates: int, seed: int) -> str:
    """The tables as Markdown, with the two promises and whether they hold."""
    same = [(world, rate) for _, part, world, rate in found if part == "same"]
    alarm = max(rate.red for _, rate in same)
    power = min(
        rate.found
        for _, part, world, rate in found
        if part == "planted" and world.spread == 0.015 and world.planted == PLANTED[0]
    )
    margin = [(world, rate) for kind, _, world, rate in found if kind == "ab" and world.all_slower]
    hard = (
        max(rate.red for _, rate in margin),
        max(rate.passed for world, rate in margin if world.cases == 1),
    )
    lines = [
        "# The gate on code that is the same, and on code that isn't",
        "",
        f"Written by `tests/scripts/gate_table.py`, seed {seed}: {gates:,} gates a cell, margin "
        f"{RULES.margin:.0%}.",
        "A cell of the first two tables says, in % of gates: regression / inconclusive / pass.",
        "",
        f"* Identical code, highest share of red gates in any cell: {alarm:.1%} (allowed: "
        f"{ALARM:.0%}).",
        f"* One case slower by {PLANTED[0]:.0%}, spread 1.5 %: found in {power:.1%} of gates or "
        "more (needed: 95%).",
        "* Every case slower by exactly the margin, which is as hard as it gets, servers alike or "
        f"not, `ab`: red in {hard[0]:.1%} or less (promised: {ALARM:.0%}), a single case passes in "
        f"{hard[1]:.1%} or less (promised: {MISS:.0%}). Sampling error of these: some 0.5 %.",
        "",
        "## Identical code, `ab`",
        "",
        *_same_table(found, "ab", DRIFTS),
        "",
        f"## Identical code, `compare` of two runs with {PROCESSES} processes each",
        "",
        *_same_table(found, "compare", DRIFTS[:2]),
        "",
        "## One case of the gate is slower, `ab`, drift 2 %",
        "",
        "In % of gates: found (the gate is red, and because of that case). Blocks: six processes "
        "each, mean per case.",
        "",
        "| spread | slower by | " + " | ".join(_count(n) for n in CASES) + " | blocks |",
        "| :-- | :-- | " + "--: | " * len(CASES) + "--: |",
    ]
    for spread, planted in product(SPREADS, PLANTED):
        row = [
            rate for _, part, world, rate in found
            if part == "planted" and (world.spread, world.planted) == (spread, planted)
        ]  # fmt: skip
        cells = " | ".join(f"{100 * rate.found:.1f}" for rate in row)
        blocks = ", ".join(f"{rate.blocks:.1f}" for rate in row)
        lines.append(f"| {spread:.1%} | {planted:.0%} | {cells} | {blocks} |")
    lines += [
        "",
        "## Harder worlds, spread 1.5 %, time unlimited",
        "",
        "* At the margin: every case is slower by exactly that.",
        "* Heavy tails: one process in ten is slower by up to 20 %.",
        "* Servers: processes forked from one server share its luck, with that standard deviation; "
        "in stored runs, all processes of a run. Where base differs from itself the gate is "
        "inconclusive.",
        "",
        "| gate | world | servers | cases | regression | inconclusive | pass | blocks |",
        "| :-- | :-- | --: | --: | --: | --: | --: | --: |",
    ]
    for kind, part, world, rate in found:
        if part == "hard":
            name = "at the margin" if world.all_slower else "heavy tails" if world.heavy else "same"
            lines.append(
                f"| {kind} | {name} | {world.server:.1%} | {world.cases} | {100 * rate.red:.1f} "
                f"| {100 * rate.inconclusive:.1f} | {100 * rate.passed:.1f} | {rate.blocks:.1f} |"
            )
    return "\n".join(lines) + "\n"


def _same_table(
    found: Sequence[tuple[str, str, World, Rates]], kind: str, drifts: Sequence[float]
) -> list[str]:
    lines = [
        "| spread | drift | " + " | ".join(_count(n) for n in CASES) + " |",
        "| :-- | :-- | " + "--: | " * (len(CASES) - 1) + "--: |",
    ]
    for spread, drift in product(SPREADS, drifts):
        row = [
            rate for one, part, world, rate in found
            if (one, part) == (kind, "same") and (world.spread, world.drift) == (spread, drift)
        ]  # fmt: skip
        cells = " | ".join(
            f"{100 * r.red:.1f} / {100 * r.inconclusive:.1f} / {100 * r.passed:.1f}" for r in row
        )
        lines.append(f"| {spread:.1%} | {drift:.0%} | {cells} |")
    return lines


def _count(cases: int) -> str:
    return f"{cases} case{'s' * (cases != 1)}"


def main() -> None:
    """Simulate every cell and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tune", action="store_true", help="another seed; print only")
    parser.add_argument("--gates", type=int, default=GATES)
    options = parser.parse_args()
    seed = TUNING_SEED if options.tune else SEED
    cells = list(worlds())
    tasks = [(kind, world, options.gates, seed) for kind, _, world in cells]
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(_cell, tasks))
    text = table(
        [(*cell, rate) for cell, rate in zip(cells, found, strict=True)], options.gates, seed
    )
    if options.tune:
        print(text)
        return
    OUTPUT.write_text(text, encoding="utf-8")
    print(f"wrote {OUTPUT}")


if __name__ == "__main__":
    main()
