"""Made-up comparisons for the tests of what is seen of one."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from bench_helpers import case

from lmn_bench.analysis.comparison import OUTCOME, Comparison, Gate, Row, Verdict
from lmn_bench.metrics import METRICS
from lmn_bench.schema import Case, Outcome

NASTY = (
    'a|b <script>x</script> `c` *d* _e_ [f](g) @user #12 ~~h~~ &lt; "q"\r\nnext\x00\x1b[31m\ud800'
)
OWN = "my_pkg.my_module:make"


def row(of: Case | None = None, ratio: float | None = 1.0, width: float = 0.01, **rest: Any) -> Row:
    """A measured row with an interval of ± `width`; its verdict follows from that and 3 %."""
    metric = rest.pop("metric", "latency_s")
    verdict = Verdict.CANNOT_TELL if ratio is None else Verdict.SAME
    low = high = new = None
    if ratio is not None:
        low, high, new = ratio * (1 - width), ratio * (1 + width), 1e-3 * ratio
        up, down = Verdict.MORE, Verdict.LESS
        if METRICS[metric].unit in {"s", "token/s"}:
            up, down = Verdict.SLOWER, Verdict.FASTER
        if METRICS[metric].better == "higher":
            up, down = down, up
        verdict = up if low > 1.03 else down if high < 0.97 else verdict
        if verdict is Verdict.SAME and (high > 1.03 or low < 0.97):
            verdict = Verdict.CANNOT_TELL
            rest.setdefault("reason", "the interval is wider than the margin")
    standard: dict[str, Any] = {
        "verdict": verdict, "regression": verdict is Verdict.SLOWER, "base": 1e-3, "new": new,
        "ratio": ratio, "low": low, "high": high, "base_processes": 5, "new_processes": 5,
    }  # fmt: skip
    passing = {Verdict.SAME, Verdict.FASTER, Verdict.NOT_WORSE}
    standard["passes"] = rest.get("verdict", verdict) in passing
    return Row(of or case(), metric, **{**standard, **rest})


def counter(of: Case | None = None, base: float = 1000, new: float = 1001, **rest: Any) -> Row:
    """A counted row."""
    way = Verdict.MORE if new > base else Verdict.LESS if new < base else Verdict.SAME
    standard: dict[str, Any] = {"verdict": way, "exact": True, "base": base, "new": new,
                                "ratio": new / base, "regression": way is Verdict.MORE}  # fmt: skip
    return Row(of or case(), rest.pop("metric", "operations"), **{**standard, **rest})


def broken(of: Case | None = None, reason: str = "could not allocate 64 MiB") -> Row:
    """A case that ended well before."""
    return Row(of or case(), OUTCOME, Verdict.BROKEN, regression=True, reason=reason,
               new_outcome=Outcome.OUT_OF_MEMORY)  # fmt: skip


def mended(of: Case | None = None) -> Row:
    """A case that ends well now."""
    return Row(
        of or case(), OUTCOME, Verdict.MENDED, base_outcome=Outcome.ERROR, reason="bad shape"
    )


def compared(rows: Iterable[Row] = (), **rest: Any) -> Comparison:
    """A comparison of these rows; the verdict follows from them."""
    own = tuple(rows)
    red = any(one.regression for one in own)
    standard: dict[str, Any] = {
        "base": "main", "new": "faster-merge", "verdict": Gate.REGRESSION if red else Gate.PASS,
        "reasons": (), "margin": 0.03,
    }  # fmt: skip
    return Comparison(rows=own, **{**standard, **rest})


def cases(count: int) -> list[Case]:
    """Distinct cases of several subjects, modes and lengths."""
    subjects = ("lmn", "transformer", "gru", "mamba", "lmn-expander")
    grid = [(s, m, 2**k) for k in range(6, 16) for m in ("prefill", "decode", "train", "stream")
            for s in subjects]  # fmt: skip
    return [case(s, m, n) for s, m, n in grid[:count]]


METRIC_KEYS = ("latency_s", "tokens_per_s", "working_memory_bytes", "peak_memory_bytes")


def large(count: int = 200, keys: tuple[str, ...] = METRIC_KEYS, seed: int = 1) -> Comparison:
    """Many cases: most the same, some faster, some slower, some wide."""
    chance = random.Random(seed)
    rows = []
    for of in cases(count):
        for key in keys:
            changed = chance.random()
            ratio = chance.gauss(1, 0.008)
            ratio *= 1.12 + chance.random() / 4 if changed < 0.05 else 1
            ratio *= 0.8 + chance.random() / 9 if changed > 0.93 else 1
            width = 0.09 if 0.5 < changed < 0.56 else 0.012
            unit = METRICS[key].unit
            size = {"s": 1e-6 * of.length, "token/s": 1e6, "B": 4096 * of.length}[unit]
            rows.append(row(of, ratio, width, metric=key, base=size, new=size * ratio))
    null = [row(of, chance.gauss(1, 0.008)) for of in cases(count)]
    notes = ("Base and new were measured turn by turn.",)
    return compared(rows, null=tuple(null), notes=notes)


def typical() -> Comparison:
    """What a gate on a laptop says: a few regressions, counters, outcomes."""
    chance = random.Random(3)
    of = cases(34)
    ratios = [1.12, 1.049, 0.81] + [chance.gauss(1, 0.007) for _ in range(28)]
    rows = [
        row(one, r, 0.012, base=n, new=n * r)
        for one, r, n in zip(of, ratios, (2.1e-3 * 1.3**k for k in range(31)), strict=False)
    ]
    rows.append(row(of[31], 1.02, 0.05, base=0.2, new=0.204))
    rows += [counter(of[0], 812, 815), counter(of[3], 812, 812)]
    rows.append(counter(of[1], 5.0e9, 5.0e9 + 64, metric="flops"))
    rows.append(counter(of[2], 4096, 2048, metric="state_bytes"))
    rows += [broken(of[32]), mended(of[33])]
    null = tuple(row(one, chance.gauss(1, 0.006)) for one in of[:12])
    return compared(
        rows, null=null, reasons=("2 of 32 medians are slower by more than 3 %.",
                                  "1 case ended well before and does not now."),
        notes=("Base and new were measured turn by turn, 5 processes each.",),
    )  # fmt: skip
