"""The settings of one training: what stands in a config file, and the presets."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """A model, a corpus, and how the one learns from the other.

    Attributes:
        corpus: a name in `CORPORA`, or a path.
        tokens: a name in `TOKENIZERS`, or the path of a tokenizer's file.
        length: tokens of a window.
        batch: windows of a step.
        steps: of the optimizer, from the beginning.
        learning_rate: of AdamW.
        weight_decay: of AdamW.
        gradient_clip: longest gradient over all weights; 0 clips nothing.
        seed: of the weights and of the order of windows.
        threads: CPU threads; 0 takes all cores.
        device: cpu or cuda.
        width: features per token.
        heads: of attention.
        layers: blocks.
        banks: of memory.
        summarizer: linear, conv or expander.
        expansion: vectors that a node gains per level; of the expander alone.
        init: how weights are drawn; see `lmn.init`.
        tie_weights: whether embedding and head are one.
        validate_every: steps from one validation loss to the next.
        validation_windows: so many at most, always the same, spread evenly.
        save_every: steps from one checkpoint to the next.
    """

    corpus: str = "python-docs"
    tokens: str = "characters"
    length: int = 512
    batch: int = 16
    steps: int = 5000
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    gradient_clip: float = 0.0
    seed: int = 0
    # With two on a busy machine of two cores the quick preset ran at a fifth of the speed:
    # threads wait for one another after every small operation.
    threads: int = 1
    device: str = "cpu"
    width: int = 32
    heads: int = 4
    layers: int = 4
    banks: int = 2
    summarizer: str = "linear"
    expansion: int = 0
    init: str = "default"
    tie_weights: bool = False
    validate_every: int = 250
    validation_windows: int = 256
    save_every: int = 250


# The settings of the public notebook, its corpus and its way of drawing weights included.
PUBLISHED = TrainingSettings(corpus="tinyshakespeare", init="published")
# A minute or two on one core, and words come out.
QUICK = replace(
    TrainingSettings(), length=128, layers=2, steps=500, learning_rate=3e-3, validate_every=100,
    validation_windows=64, save_every=100,
)  # fmt: skip

PRESETS = {"quick": QUICK, "published": PUBLISHED}
DEFAULT_PRESET = "quick"

# A training may go on with others of these: they don't change what was learned so far. Another
# number of threads may change the last bits of what follows.
FREE = frozenset({"steps", "threads", "validate_every", "save_every"})
