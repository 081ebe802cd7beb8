"""The job behind `lmn-bench train`: one model, one corpus, one checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from lmn import LMNConfig, LMNLanguageModel, LMNLanguageModelConfig
from lmn.checkpoint import CheckpointError, read_notes, resume_training, save_training
from lmn_bench.errors import DeviceError, TrainingError, UsageError
from lmn_bench.learning.corpora import Corpus, load_corpus
from lmn_bench.learning.settings import FREE, TrainingSettings
from lmn_bench.learning.tokens import (
    Vocabulary,
    make_vocabulary,
    remarks_on,
    vocabulary_from_dict,
)
from lmn_bench.learning.windows import TextWindows, cut_windows
from lmn_bench.worker.learning.keeping import Keeper
from lmn_bench.worker.learning.loop import Lessons, Schedule, learn
from lmn_bench.worker.learning.notes import Curve, Notes
from lmn_bench.worker.learning.resources import require_room, take_threads
from lmn_bench.worker.learning.scoring import Score, score_of
from lmn_bench.worker.learning.telling import Tell, Ticker


@dataclass(frozen=True)
class TrainJob:
    """What the parent asks for.

    Attributes:
        settings: of the training; of a resumed one, those that its checkpoint doesn't hold.
        given: the keys that the user named; a resumed training has to agree with them.
        output: path of the checkpoint.
        resume: whether to go on from it.
        quiet: whether single steps are left untold.
    """

    settings: TrainingSettings
    given: tuple[str, ...]
    output: str
    resume: bool
    quiet: bool

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> TrainJob:
        """Read what came as JSON."""
        settings = TrainingSettings(**plain["settings"])
        return cls(**{**plain, "settings": settings, "given": tuple(plain["given"])})


def train(job: TrainJob, tell: Tell, stops: Callable[[], bool]) -> None:
    """Train, saving to `job.output`; tells "started", "step", "validation", "saved" and "ended".

    Raises:
        UsageError: settings, corpus or checkpoint do not fit.
        DeviceError: there is no such device.
        TrainingError: it has diverged, or can't be kept; the last checkpoint stays.
    """
    kept = _kept_notes(job.output) if job.resume else None
    settings = job.settings if kept is None else _agreed(job, kept)
    corpus = load_corpus(settings.corpus)
    vocabulary = _vocabulary(settings, corpus, kept, job)
    ids = vocabulary.encode(corpus.text)
    windows = cut_windows(ids, settings.length, corpus.name)
    device = _prepare(settings)
    model = _model(settings, vocabulary.size).to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    done = 0
    if kept is not None:
        done = _resumed(job.output, model, optimizer)
        if done >= settings.steps:
            raise _nothing_left(job, done)
    about = {"name": corpus.name, "sha256": corpus.sha256}
    curve = Curve() if kept is None else kept.curve
    notes = Notes(settings, vocabulary.to_dict(), about, curve)
    watcher = _Watcher(job, notes, model, optimizer, tell, stops)
    tell({"started": {
        "settings": asdict(settings), "corpus": about, "vocabulary": vocabulary.size,
        "parameters": sum(weight.numel() for weight in model.parameters()), "done": done,
        "training_tokens": len(windows.training), "validation_tokens": len(windows.validation),
        "threads": torch.get_num_threads(), "remarks": remarks_on(vocabulary, corpus, ids),
    }})  # fmt: skip
    try:
        done = learn(model, optimizer, _lessons(settings, windows, model, device),
                     _schedule(settings), watcher, done=done)  # fmt: skip
    except TrainingError as error:
        raise TrainingError(f"{error.message}; {watcher.last_good()}", error.hint) from None
    tell({"ended": {"done": done, "curve": asdict(curve)}})


class _Watcher:
    """Keeps the curve, saves, and tells the parent."""

    def __init__(
        self, job: TrainJob, notes: Notes, model: LMNLanguageModel,
        optimizer: torch.optim.Optimizer, tell: Tell, stops: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._job, self._notes, self._model, self._optimizer = job, notes, model, optimizer
        self._tell, self.stops = tell, stops
        self._keeper = Keeper(
            self._write, len(notes.curve.training) if job.resume else None, tell,
            lambda saved: "go on with --resume" if saved else "train again",
        )  # fmt: skip
        self._last_tick, self._ticker = time.perf_counter(), Ticker()

    def stepped(self, step: int, loss: float, seconds: float) -> None:
        """Add to the curve; tell now and then."""
        curve, settings = self._notes.curve, self._notes.settings
        curve.training.append(loss)
        curve.tokens += settings.batch * settings.length
        self._tick()
        if not self._job.quiet and self._ticker.is_due():
            self._tell({"step": self._state(step)})

    def validated(self, step: int, score: Score) -> None:
        """Add to the curve, and tell."""
        self._notes.curve.validation.append((step, score.loss))
        self._tick()
        self._tell({"validation": {**self._state(step), "validation_loss": score.loss}})

    def enough(self) -> bool:
        """Never before the last step."""
        return False

    def save(self, step: int, *, last: bool) -> bool:
        """Write the checkpoint."""
        self._tick()
        kept = self._keeper.keep(step, can_wait=not last)
        if kept:
            self._tell({"saved": step})
        return kept

    def last_good(self) -> str:
        """Which checkpoint there is."""
        if self._keeper.saved is None:
            return "no checkpoint was written"
        return f"{self._job.output} keeps that of step {self._keeper.saved:,}"

    def _write(self, step: int) -> None:
        save_training(self._job.output, self._model, self._optimizer, step=step,
                      notes=self._notes.to_dict())  # fmt: skip

    def _tick(self) -> None:
        now = time.perf_counter()
        self._notes.curve.seconds += now - self._last_tick
        self._last_tick = now

    def _state(self, step: int) -> dict[str, Any]:
        curve = self._notes.curve
        return {"step": step, "loss": curve.training[-1], "tokens": curve.tokens,
                "seconds": curve.seconds}  # fmt: skip


def _nothing_left(job: TrainJob, done: int) -> UsageError:
    if "steps" not in job.given:
        return UsageError(
            f"{job.output} has done all its {done:,} steps", "for more, give --steps N too"
        )
    return UsageError(
        f"{job.output} has done {done:,} steps, and {job.settings.steps:,} in all are asked for",
        f"give --steps above {done:,}",
    )


def _kept_notes(path: str) -> Notes:
    try:
        return Notes.from_dict(read_notes(path), path)
    except CheckpointError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None


def _resumed(path: str, model: LMNLanguageModel, optimizer: torch.optim.Optimizer) -> int:
    try:
        return resume_training(path, model, optimizer)
    except CheckpointError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None


def _agreed(job: TrainJob, kept: Notes) -> TrainingSettings:
    """The checkpoint's settings, with what may change; all disagreements are told at once."""
    wanted, stored = asdict(job.settings), asdict(kept.settings)
    # a corpus is known by its hash and a vocabulary by its content: either file may have moved
    fixed = [key for key in job.given if key not in FREE | {"corpus", "tokens"}]
    wrong = [f"{key} is {stored[key]!r} there and {wanted[key]!r} here"
             for key in fixed if wanted[key] != stored[key]]  # fmt: skip
    if wrong:
        raise UsageError(
            f"{job.output} was trained with other settings: {'; '.join(wrong)}",
            "leave them out to go on as it began, or train anew with another -o or --force",
        )
    changed = {key: wanted[key] for key in job.given if key in FREE | {"corpus", "tokens"}}
    return replace(kept.settings, **changed)


def _vocabulary(
    settings: TrainingSettings, corpus: Corpus, kept: Notes | None, job: TrainJob
) -> Vocabulary:
    """That of the settings; of a resumed training its own, if nothing says otherwise."""
    if kept is None:
        return make_vocabulary(settings.tokens, corpus.text)
    if corpus.sha256 != kept.corpus["sha256"]:
        raise UsageError(
            f"{job.output} was trained on another corpus: {kept.corpus['name']}, sha256 "
            f"{kept.corpus['sha256'][:16]}…, and this is {corpus.name}, {corpus.sha256[:16]}…",
            "give the same text with --corpus, or train anew with another -o or --force",
        )
    if settings.tokens == kept.settings.tokens:
        return vocabulary_from_dict(kept.vocabulary)
    vocabulary = make_vocabulary(settings.tokens, corpus.text)
    if vocabulary.to_dict() != kept.vocabulary:
        raise UsageError(
            f"{job.output} was trained with other tokens: {kept.settings.tokens} there, "
            f"{settings.tokens} here",
            "leave --tokens out to go on with its own",
        )
    return vocabulary


def _prepare(settings: TrainingSettings) -> torch.device:
    """Threads, seed and device."""
    take_threads(settings.threads)
    torch.manual_seed(settings.seed)
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "torch cannot use a GPU here",
            "take --device cpu, or install a build of torch with CUDA",
        )
    return torch.device(settings.device)


def _model(settings: TrainingSettings, vocabulary: int) -> LMNLanguageModel:
    block = LMNConfig(
        width=settings.width, heads=settings.heads, banks=settings.banks,
        summarizer=settings.summarizer,  # type: ignore[arg-type]
        expansion=settings.expansion,
    )  # fmt: skip
    config = LMNLanguageModelConfig(
        vocabulary=vocabulary, layers=settings.layers, block=block,
        tie_weights=settings.tie_weights, init=settings.init,
    )  # fmt: skip
    if settings.device == "cpu":
        require_room(config)
    return LMNLanguageModel(config)


def _lessons(
    settings: TrainingSettings, windows: TextWindows, model: LMNLanguageModel, device: torch.device
) -> Lessons:
    size, limit = settings.batch, settings.validation_windows
    return Lessons(
        lambda step: windows.training_batch(size, seed=settings.seed, step=step),
        lambda: score_of(model, windows.validation_batches(size, limit=limit), device),
        device,
    )


def _schedule(settings: TrainingSettings) -> Schedule:
    return Schedule(
        steps=settings.steps, validate_every=settings.validate_every,
        save_every=settings.save_every, gradient_clip=settings.gradient_clip,
    )  # fmt: skip
