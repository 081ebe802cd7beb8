"""The training loop: a model, its data, an optimizer; everything else is told to a watcher.

Data come from functions of the step, so that all subjects see the same in the same order and a
resumed training sees what an uninterrupted one does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch

from lmn_bench.errors import DivergedError
from lmn_bench.learning.batches import Batch
from lmn_bench.subjects.learners import Learner
from lmn_bench.worker.learning.scoring import Score, tensors


class Watcher(Protocol):
    """What happens beside the steps."""

    def stepped(self, step: int, loss: float, seconds: float) -> None:
        """Step number `step`, from 1, is done in so many seconds; `loss` is that before it."""

    def validated(self, step: int, score: Score) -> None:
        """The score on what is not learned from, after `step` steps."""

    def save(self, step: int, *, last: bool) -> bool:
        """Keep what is needed to go on after `step` steps; all weights are finite.

        Whether it is kept. `last`: no step comes after it here, or ever.
        """

    def stops(self) -> bool:
        """Whether to break off here, to go on another time; asked before every step."""

    def enough(self) -> bool:
        """Whether this is all, before the last step: asked after every step, and at first."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long, and what when.

    Attributes:
        steps: in all, those before a resumption included; None: until the watcher has enough.
        validate_every: steps; after the last one in any case.
        save_every: steps; at the end in any case.
        gradient_clip: longest gradient over all weights; 0 clips nothing.
    """

    steps: int | None
    validate_every: int
    save_every: int
    gradient_clip: float = 0.0


@dataclass(frozen=True)
class Lessons:
    """Data of a training.

    Attributes:
        training: the batch of a step, numbered from 0; a function of that number alone.
        validate: the model's score on what is not learned from.
        device: where tensors go.
    """

    training: Callable[[int], Batch]
    validate: Callable[[], Score]
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


def learn(
    model: Learner,
    optimizer: torch.optim.Optimizer,
    lessons: Lessons,
    schedule: Schedule,
    watcher: Watcher,
    *,
    done: int = 0,
) -> int:
    """Train, and return how many steps are done: all, or fewer if the watcher ends it.

    Args:
        model: changed.
        optimizer: of the model's weights; changed.
        lessons: what it learns.
        schedule: how long.
        watcher: is told, and may stop it.
        done: steps done before.

    Raises:
        DivergedError: a loss or a weight that is no finite number. Nothing is saved from then on.
    """
    # One that was saved at its end, and killed before it could say so, has nothing left to learn.
    step, saved, last = done, done, done == schedule.steps or (done > 0 and watcher.enough())
    while not last and not watcher.stops():
        begin = time.perf_counter()
        loss = _step(model, optimizer, lessons, step, schedule.gradient_clip)
        step += 1
        watcher.stepped(step, loss, time.perf_counter() - begin)
        last = step == schedule.steps or watcher.enough()
        if last or step % schedule.validate_every == 0:
            watcher.validated(step, _score(lessons, step))
            last = last or watcher.enough()
        if (last or step % schedule.save_every == 0) and _save(model, watcher, step, last=last):
            saved = step
    if saved < step and not last:
        _save(model, watcher, step, last=True)
    return step


def _step(
    model: Learner, optimizer: torch.optim.Optimizer, lessons: Lessons, step: int, clip: float
) -> float:
    loss = model.loss(*tensors(lessons.training(step), lessons.device))
    value = loss.item()
    if not math.isfinite(value):
        raise _diverged(f"the loss is {value} at step {step + 1:,}")
    optimizer.zero_grad()
    loss.backward()
    if clip:
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return value


def _score(lessons: Lessons, step: int) -> Score:
    score = lessons.validate()
    if not math.isfinite(score.loss):
        raise _diverged(f"the validation loss is {score.loss} after step {step:,}")
    return score


def _save(model: Learner, watcher: Watcher, step: int, *, last: bool) -> bool:
    """Keep this step, unless the weights are broken: their loss would tell one step too late."""
    if not all(bool(weight.isfinite().all()) for weight in model.parameters()):
        raise _diverged(f"weights are not finite after step {step:,}")
    return watcher.save(step, last=last)


def _diverged(what: str) -> DivergedError:
    return DivergedError(
        f"{what}: the training has diverged",
        "take a smaller learning_rate, or set gradient_clip=1",
    )
