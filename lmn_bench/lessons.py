"""What models learn in mode learn, and what came of it. Frozen data, standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

LEARN: Final = "learn"
# The task whose examples are windows of a corpus; all others are `lmn_bench.learning.names.TASKS`.
TEXT: Final = "text"
BUDGET_UNITS: Final = ("steps", "tokens", "s")


@dataclass(frozen=True, order=True)
class Budget:
    """How long a model may learn.

    Attributes:
        amount: how many.
        unit: steps; tokens read; or s, seconds spent on steps (evaluating and saving not counted).
    """

    amount: float
    unit: str = "steps"

    @property
    def label(self) -> str:
        """Short form for case ids: 5000-steps."""
        return (
            f"{self.amount:g}-{self.unit}" if self.unit == "s" else f"{self.amount:.0f}-{self.unit}"
        )

    def steps(self, batch: int, length: int) -> int | None:
        """Steps of `batch` sequences of `length` tokens; None where time decides."""
        if self.unit == "s":
            return None
        per_step = 1 if self.unit == "steps" else batch * length
        return max(1, -int(-self.amount // per_step))


@dataclass(frozen=True, order=True)
class Lesson:
    """What a case of mode learn learns.

    Attributes:
        task: "text", or a name of `lmn_bench.learning.names.TASKS`.
        corpus: name of the text; "" for other tasks. Two names of one text are one corpus.
        corpus_sha256: of the text, in hexadecimal; "" for other tasks.
        tokens: how the text is cut: "characters", "bytes", or name and hash of a tokenizer's file.
        learning_rate: of AdamW, constant.
        budget: how long.
        parameters: trainable numbers of every model, within 1 %; None: as many as `lmn` has.
        tie_weights: whether embedding and head are one table.
        weight_decay: of AdamW.
        gradient_clip: longest gradient over all weights; 0 clips nothing.
        examples: what a score is the mean over: windows of text, or examples of a task.
        enough_accuracy: a task ends early at this accuracy; None: never.
    """

    task: str = TEXT
    corpus: str = field(default="", compare=False)
    corpus_sha256: str = ""
    tokens: str = ""
    learning_rate: float = 1e-3
    budget: Budget = Budget(1000)
    parameters: int | None = None
    tie_weights: bool = False
    weight_decay: float = 0.01
    gradient_clip: float = 0.0
    examples: int = 256
    enough_accuracy: float | None = None

    @property
    def label(self) -> str:
        """Short form for case ids: text@86c4e6aa9db7-characters/lr-0.001/…/p71489/…."""
        text = f"@{self.corpus_sha256[:12]}-{self.tokens}" if self.task == TEXT else ""
        enough = "" if self.enough_accuracy is None else f"-until{self.enough_accuracy:g}"
        return "/".join((
            f"{self.task}{text}", f"lr-{self.learning_rate:g}", self.budget.label,
            f"p{self.parameters or 'lmn'}{'-tied' * self.tie_weights}",
            f"wd{self.weight_decay:g}-gc{self.gradient_clip:g}-e{self.examples}{enough}",
        ))  # fmt: skip


@dataclass(frozen=True)
class Learning:
    """The `[learning]` table of a suite, and the corpus that its source turned out to be.

    Attributes:
        corpus: a corpus' name, or the path of a text file or folder.
        corpus_name: what the text is called.
        corpus_sha256: of the text.
        tokens: "characters", "bytes", or the path of a tokenizer's file.
        tokens_name: the same, a file by name and hash.
        vocabulary: different tokens of the text; 0 while it is not read.
        budget: how long every model learns.
        seeds: trainings of each case; seed s draws weights and the order of examples.
        parameters: as in `Lesson`, like the next five.
        validate_every: steps from one validation to the next.
        save_every: steps from one checkpoint to the next.
    """

    corpus: str = "python-docs"
    corpus_name: str = ""
    corpus_sha256: str = ""
    tokens: str = "characters"
    tokens_name: str = ""
    vocabulary: int = 0
    budget: Budget = Budget(1000)
    seeds: int = 1
    parameters: int | None = None
    tie_weights: bool = False
    weight_decay: float = 0.01
    gradient_clip: float = 0.0
    examples: int = 256
    enough_accuracy: float | None = None
    validate_every: int = 250
    save_every: int = 250

    def lesson(self, task: str, learning_rate: float) -> Lesson:
        """What a case of this task learns."""
        text = task == TEXT
        return Lesson(
            task=task,
            corpus=(self.corpus_name or self.corpus) if text else "",
            corpus_sha256=self.corpus_sha256 if text else "",
            tokens=(self.tokens_name or self.tokens) if text else "",
            learning_rate=learning_rate,
            budget=self.budget,
            parameters=self.parameters,
            tie_weights=self.tie_weights,
            weight_decay=self.weight_decay,
            gradient_clip=self.gradient_clip,
            examples=self.examples,
            enough_accuracy=None if text else self.enough_accuracy,
        )


@dataclass(frozen=True)
class Learned:
    """How a training went.

    Attributes:
        seed: of the weights and of the order of examples.
        steps: done.
        training: points of (step, mean loss in nats per token of the batches since the point
            before), two hundred at most.
        validation: points of (step, loss, accuracy) on what was not learned from.
        tests: of a task, pairs of length and accuracy after the last step.
        chance: of a task, the accuracy of always giving the likeliest answer.
        vocabulary: tokens there are.
        resumptions: how often the training was interrupted and went on.
    """

    seed: int
    steps: int
    training: tuple[tuple[int, float], ...] = ()
    validation: tuple[tuple[int, float, float], ...] = ()
    tests: tuple[tuple[int, float], ...] = ()
    chance: float | None = None
    vocabulary: int = 0
    resumptions: int = 0
