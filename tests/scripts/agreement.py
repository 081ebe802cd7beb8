"""Does our timing agree with torch.utils.benchmark? Same call, same process, taken in turns.

    python tests/scripts/agreement.py

Prints, for several cases, the ratio of our median to torch's, as the median over alternating turns.
Not a test: times on a shared machine are nothing to assert.
"""

from __future__ import annotations

import statistics

import torch
from torch.utils.benchmark import Timer

from lmn_bench.schema import Case, Measuring, ModelSpec
from lmn_bench.subjects.build import build
from lmn_bench.worker.clock import clock_for
from lmn_bench.worker.timing import sample
from lmn_bench.worker.workload import build_workload, grad_mode

# Short turns in alternation: a slow spell of the machine hits both.
TURNS = 41
TIME_GOAL_S = 0.05
CASES = [
    Case("lmn", "prefill", 256, threads=1),
    Case("lmn", "prefill", 4096, threads=1),
    Case("lmn", "train", 1024, threads=1),
    Case("transformer", "prefill", 1024, threads=1),
    Case("lstm", "prefill", 1024, threads=1),
    Case("rnn", "prefill", 16, threads=1, model=ModelSpec(width=16, heads=1)),
    Case("lmn", "stream", 64, threads=1),
]


def compare(case: Case) -> float:
    """Ratio of our median to torch's for one case: the median over turns."""
    device, dtype = torch.device(case.device), getattr(torch, case.dtype)
    torch.set_num_threads(case.threads)
    subject = build(case.subject, case.model, dtype=dtype, device=device, seed=0)
    measuring = Measuring(time_goal_s=TIME_GOAL_S, precision_goal=1e-9, max_samples=100_000)
    ratios = []
    with grad_mode(case.mode, subject):
        work = build_workload(
            case, subject, dtype=dtype, device=device, clock=clock_for(device), decode_window=32
        )
        timer = Timer("call(None)", globals={"call": work.call}, num_threads=case.threads)
        for _ in range(TURNS):
            ours = statistics.median(r[0] for r in sample(work.take, measuring).rounds)
            theirs = timer.blocked_autorange(min_run_time=TIME_GOAL_S).median
            ratios.append(ours / theirs)
    return statistics.median(ratios)


def main() -> None:
    """Print one line per case."""
    for case in CASES:
        print(f"{case.id:70} ours / torch.utils.benchmark = {compare(case):.3f}", flush=True)


if __name__ == "__main__":
    main()
