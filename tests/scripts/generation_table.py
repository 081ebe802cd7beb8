"""What it takes to go on from a long prompt: the LMN beside a Transformer of the same size.

    python tests/scripts/generation_table.py    writes results/evidence/generation.md (minutes)

Both have the published sizes, 71,489 parameters and 65 characters, and untrained weights: neither
time nor memory depends on what they hold. Every figure comes from a process of its own, three for
each context, in shuffled order.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from lmn import LanguageModelDecoder
from lmn.language_model import LMNLanguageModel
from lmn_bench.environment import read_environment
from lmn_bench.report.words import machine_line
from lmn_bench.schema import ModelSpec
from lmn_bench.subjects.learners import build_learner
from lmn_bench.subjects.sequence_model import SequenceModel
from lmn_bench.units import format_bytes, format_seconds
from lmn_bench.worker.memory import peak_of

OUTPUT = Path(__file__).resolve().parents[2] / "results" / "evidence" / "generation.md"
MODELS = ("lmn", "transformer")
CONTEXTS = (100, 1_000, 10_000, 100_000)
PROCESSES = 3
VOCABULARY, PARAMETERS = 65, 71_489
SIZES = ModelSpec(width=32, heads=4, layers=4, banks=2)
# Steps that are timed after a few that warm up.
STEPS, WARM_UP = 512, 16


def measured(name: str, context: int) -> dict[str, float]:
    """One prompt of so many characters, and the tokens after it, in this process."""
    torch.set_num_threads(1)
    model = build_learner(
        name, SIZES, vocabulary=VOCABULARY, length=context, budget=PARAMETERS, seed=0,
        device=torch.device("cpu"),
    )  # fmt: skip
    prompt = torch.randint(VOCABULARY, (1, context), generator=torch.Generator().manual_seed(0))
    run = _lmn if isinstance(model, LMNLanguageModel) else _transformer
    with torch.inference_mode():
        return run(model, prompt)  # type: ignore[arg-type]


def _lmn(model: LMNLanguageModel, prompt: torch.Tensor) -> dict[str, float]:
    decoder = LanguageModelDecoder(model)
    model.prefill(prompt[:, :64])
    begin = time.perf_counter()
    peak, (logits, state) = peak_of(lambda: model.prefill(prompt), model.device)
    prefill_s = time.perf_counter() - begin
    ready = decoder.from_state(state)
    step_s = _steps(logits, lambda token: decoder.step(token, ready))
    return {"prefill_s": prefill_s, "memory": peak.peak - peak.before, "step_s": step_s,
            "state": ready.nbytes}  # fmt: skip


def _transformer(model: SequenceModel, prompt: torch.Tensor) -> dict[str, float]:
    room = prompt.shape[1] + STEPS + WARM_UP
    model.prefill(prompt[:, :64])
    begin = time.perf_counter()
    peak, (logits, state) = peak_of(
        lambda: model.prefill(prompt, capacity=room), torch.device("cpu")
    )
    prefill_s = time.perf_counter() - begin
    held = [state]

    def step(token: torch.Tensor) -> torch.Tensor:
        after, held[0] = model.decode_one_token(token, held[0])
        return after

    step_s = _steps(logits, step)
    return {"prefill_s": prefill_s, "memory": peak.peak - peak.before, "step_s": step_s,
            "state": model.state_bytes(held[0])}  # fmt: skip


def _steps(logits: torch.Tensor, step: Callable[[torch.Tensor], torch.Tensor]) -> float:
    """Median time of a token, greedily chosen."""
    seconds = []
    for _ in range(WARM_UP + STEPS):
        begin = time.perf_counter()
        logits = step(logits.argmax(dim=-1))
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds[WARM_UP:])


def table() -> Iterator[str]:
    """The lines of the page."""
    jobs = [(name, context) for name in MODELS for context in CONTEXTS] * PROCESSES
    random.Random(0).shuffle(jobs)
    found: dict[tuple[str, int], list[dict[str, float]]] = {}
    for name, context in jobs:
        command = [sys.executable, __file__, "--one", name, str(context)]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found.setdefault((name, context), []).append(json.loads(out))
        print(name, context, out.strip(), file=sys.stderr, flush=True)
    yield "# Going on from a long prompt"
    yield ""
    yield "Written by `tests/scripts/generation_table.py`. Width 32, 4 heads, 4 layers, 2 banks for"
    yield f"the LMN, {PARAMETERS:,} parameters each within 1 %, {VOCABULARY} characters, batch 1,"
    yield f"float32, one thread; {machine_line(read_environment())}. Medians over {PROCESSES}"
    yield f"processes; a step is the median of {STEPS}, with its choice of the likeliest character."
    yield "The Transformer's cache is made for its prompt and the steps in one piece."
    yield ""
    yield "| prompt | model | reading it | memory for that | a character | state |"
    yield "| --: | :-- | --: | --: | --: | --: |"
    for context in CONTEXTS:
        for name in MODELS:
            runs = found[name, context]

            def middle(key: str, runs: list[dict[str, float]] = runs) -> float:
                return statistics.median(run[key] for run in runs)

            yield (
                f"| {context:,} | {name} | {format_seconds(middle('prefill_s'))} | "
                f"{format_bytes(middle('memory'))} | {format_seconds(middle('step_s'))} | "
                f"{format_bytes(middle('state'))} |"
            )


def main() -> None:
    """Write the page, or measure one figure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--one", nargs=2, metavar=("MODEL", "CONTEXT"))
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(measured(chosen.one[0], int(chosen.one[1]))))
        return
    text = "\n".join(table()) + "\n"
    OUTPUT.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
