"""Which initialisation learns text best? Trains the published sizes once per scheme and seed.

    python tests/scripts/init_table.py                        results/evidence/init.md (hours)
    python tests/scripts/init_table.py --steps 200 --seeds 1  the same, at a glance (minutes)
    python tests/scripts/init_table.py --corpus FILE --print  another text; writes nothing

Every scheme sees the same batches in the same order. Nothing else is random but the weights.
Finished trainings are kept in build/init_runs.jsonl, so that a run may be spread over several days.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from pydoc_data.topics import topics

import torch
from torch import Tensor

from lmn import LMNConfig, LMNLanguageModel, LMNLanguageModelConfig
from lmn.config import INITS
from lmn.init import SCHEMES

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "results" / "evidence" / "init.md"
KEPT = ROOT / "build" / "init_runs.jsonl"
# the settings of the published notebook
BLOCK = LMNConfig(width=32, heads=4, banks=2)
LAYERS, BATCH, LENGTH, LEARNING_RATE = 4, 16, 512, 1e-3
TRAINING_SHARE = 0.9
VALIDATION_WINDOWS = 64
# `default` is one of the others under another name
CANDIDATES = tuple(name for name in INITS if name != "default")


@dataclass(frozen=True)
class Corpus:
    """A text as numbers: training part, validation windows, and what it is called."""

    name: str
    sha256: str
    vocabulary: int
    training: Tensor
    validation: Tensor


@dataclass(frozen=True)
class Training:
    """One model's validation loss in nats per character, by step."""

    losses: dict[int, float]


def read_corpus(path: Path | None) -> Corpus:
    """A text file, or the interpreter's own help texts; characters are tokens."""
    if path is None:
        name, text = "pydoc_data.topics", "\n".join(topics[topic] for topic in sorted(topics))
    else:
        name, text = path.name, path.read_text(encoding="utf-8")
    symbols = {symbol: number for number, symbol in enumerate(sorted(set(text)))}
    tokens = torch.tensor([symbols[symbol] for symbol in text])
    training, rest = tokens.tensor_split([int(TRAINING_SHARE * len(tokens))])
    starts = torch.linspace(0, len(rest) - LENGTH - 1, VALIDATION_WINDOWS).long()
    windows = torch.stack([rest[start : start + LENGTH + 1] for start in starts])
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Corpus(name, digest, len(symbols), training, windows)


def train(init: str, seed: int, corpus: Corpus, steps: int, told: Sequence[int]) -> Training:
    """Train one model; its loss is measured after each of the steps in `told`."""
    torch.manual_seed(seed)
    config = LMNLanguageModelConfig(
        vocabulary=corpus.vocabulary, layers=LAYERS, block=BLOCK, init=init
    )
    model = LMNLanguageModel(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    order = torch.Generator().manual_seed(seed)
    losses: dict[int, float] = {}
    for step in range(1, steps + 1):
        starts = torch.randint(len(corpus.training) - LENGTH, (BATCH,), generator=order)
        windows = torch.stack([corpus.training[s : s + LENGTH + 1] for s in starts])
        loss = model.loss(windows[:, :-1], windows[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step in told:
            losses[step] = validation_loss(model, corpus.validation)
    return Training(losses)


def kept_runs(corpus: Corpus, steps: int) -> dict[tuple[str, int], Training]:
    """Trainings of before on this corpus and of so many steps, by init and seed."""
    if not KEPT.exists():
        return {}
    lines = [json.loads(line) for line in KEPT.read_text().splitlines()]
    return {
        (line["init"], line["seed"]): Training(
            {int(step): loss for step, loss in line["losses"].items()}
        )
        for line in lines
        if line["corpus"] == corpus.sha256 and line["steps"] == steps
    }


def keep(run: Training, init: str, seed: int, corpus: Corpus, steps: int) -> None:
    """Add a finished training to those of before."""
    line = {"init": init, "seed": seed, "corpus": corpus.sha256, "steps": steps, **asdict(run)}
    KEPT.parent.mkdir(exist_ok=True)
    with KEPT.open("a") as file:
        file.write(json.dumps(line) + "\n")


@torch.no_grad()
def validation_loss(model: LMNLanguageModel, windows: Tensor) -> float:
    """Mean over the windows, nats per character."""
    parts = [model.loss(part[:, :-1], part[:, 1:]).item() for part in windows.split(BATCH)]
    return statistics.fmean(parts)


def table(
    corpus: Corpus, found: dict[str, list[Training]], seeds: int, told: Sequence[int]
) -> Iterator[str]:
    """The lines of the page."""
    yield "# Which initialisation learns text best?"
    yield ""
    yield f"Written by `tests/scripts/init_table.py --steps {told[-1]} --seeds {seeds}`:"
    yield f"validation loss in nats per character on `{corpus.name}` ({corpus.vocabulary} symbols,"
    yield f"sha256 {corpus.sha256[:16]}), {VALIDATION_WINDOWS} windows of {LENGTH} from its last"
    yield f"tenth. Width 32, 4 heads, 4 layers, 2 banks, batch {BATCH}, length {LENGTH}, AdamW"
    yield f"{LEARNING_RATE:g}, float32, {torch.get_num_threads()} thread(s), torch"
    yield f"{torch.__version__}."
    if seeds == 1:
        yield "One seed: how far another one would be off is not known."
    else:
        yield f"Mean over {seeds} seeds, and from the least to the greatest."
    yield ""
    yield "| init | " + " | ".join(f"step {step:,}" for step in told) + " |"
    yield "| :-- |" + " --: |" * len(told)
    last = told[-1]
    for init in sorted(found, key=lambda name: _mean(found[name], last)):
        cells = [_cell([run.losses[step] for run in found[init]]) for step in told]
        yield f"| {init} | " + " | ".join(cells) + " |"
    yield ""
    for init in sorted(found):
        summary, _, _ = (SCHEMES[init].__doc__ or "").partition("\n")
        yield f"* `{init}`: {summary}"


def _mean(runs: Sequence[Training], step: int) -> float:
    return statistics.fmean(run.losses[step] for run in runs)


def _cell(losses: Sequence[float]) -> str:
    mean = f"{statistics.fmean(losses):.4f}"
    return mean if len(losses) == 1 else f"{mean} [{min(losses):.4f}, {max(losses):.4f}]"


def main() -> None:
    """Write or print the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--corpus", type=Path, help="a text file; else the interpreter's own help")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--inits", nargs="+", choices=INITS, default=CANDIDATES)
    parser.add_argument("--print", action="store_true", help="write nothing")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    corpus = read_corpus(chosen.corpus)
    told = sorted({chosen.steps * quarter // 4 for quarter in (1, 2, 3, 4)} - {0})
    found: dict[str, list[Training]] = {}
    before = kept_runs(corpus, chosen.steps)
    for seed in range(chosen.seeds):
        for init in chosen.inits:
            run = before.get((init, seed))
            if run is None:
                run = train(init, seed, corpus, chosen.steps, told)
                keep(run, init, seed, corpus, chosen.steps)
            found.setdefault(init, []).append(run)
            print(f"{init}, seed {seed}: {run.losses}", file=sys.stderr, flush=True)
    text = "\n".join(table(corpus, found, chosen.seeds, told)) + "\n"
    if not chosen.print:
        OUTPUT.parent.mkdir(parents=True, exist_ok=True)
        OUTPUT.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
