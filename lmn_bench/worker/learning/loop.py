"""The training loop: a model, its data, an optimizer; everything else is told to a watcher.

Data come from functions of the step, so that all subjects see the same in the same order and a
resumed training sees what an uninterrupted one does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from lmn_bench.errors import TrainingError
from lmn_bench.learning.batches import Batch
from lmn_bench.subjects.learners import Learner


class Watcher(Protocol):
    """What happens beside the steps."""

    def stepped(self, step: int, loss: float) -> None:
        """Step number `step`, from 1, is done; `loss` is that of its batch, before it."""

    def validated(self, step: int, loss: float) -> None:
        """The validation loss after `step` steps."""

    def save(self, step: int) -> None:
        """Keep what is needed to go on after `step` steps; all weights are finite."""

    def stops(self) -> bool:
        """Whether to end here; asked after every step."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long, and what when.

    Attributes:
        steps: in all, those before a resumption included.
        validate_every: steps; after the last one in any case.
        save_every: steps; at the end in any case.
        gradient_clip: longest gradient over all weights; 0 clips nothing.
    """

    steps: int
    validate_every: int
    save_every: int
    gradient_clip: float = 0.0


@dataclass(frozen=True)
class Lessons:
    """Data of a training.

    Attributes:
        training: the batch of a step, numbered from 0; a function of that number alone.
        validation: the batches of a validation, always the same.
        device: where tensors go.
    """

    training: Callable[[int], Batch]
    validation: Callable[[], Iterable[Batch]]
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
    """Train, and return how many steps are done: all, or fewer if the watcher stops it.

    Args:
        model: changed.
        optimizer: of the model's weights; changed.
        lessons: what it learns.
        schedule: how long.
        watcher: is told, and may stop it.
        done: steps done before.

    Raises:
        TrainingError: a loss or a weight that is no finite number. Nothing is saved from then on.
    """
    step, saved = done, done
    while step < schedule.steps and not watcher.stops():
        loss = _step(model, optimizer, lessons, step, schedule.gradient_clip)
        step += 1
        watcher.stepped(step, loss)
        last = step == schedule.steps
        if last or step % schedule.validate_every == 0:
            watcher.validated(step, _validation_loss(model, lessons, step))
        if last or step % schedule.save_every == 0:
            _save(model, watcher, step)
            saved = step
    if saved < step:
        _save(model, watcher, step)
    return step


def _step(
    model: Learner, optimizer: torch.optim.Optimizer, lessons: Lessons, step: int, clip: float
) -> float:
    loss = model.loss(*_tensors(lessons.training(step), lessons.device))
    value = loss.item()
    if not math.isfinite(value):
        raise _diverged(f"the loss is {value} at step {step + 1:,}")
    optimizer.zero_grad()
    loss.backward()
    if clip:
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return value


@torch.no_grad()
def _validation_loss(model: Learner, lessons: Lessons, step: int) -> float:
    """Mean over all windows: the last batch may hold fewer."""
    total, windows = 0.0, 0
    for batch in lessons.validation():
        count = len(batch.inputs)
        total += count * model.loss(*_tensors(batch, lessons.device)).item()
        windows += count
    if not math.isfinite(total):
        raise _diverged(f"the validation loss is {total} after step {step:,}")
    return total / windows


def _save(model: Learner, watcher: Watcher, step: int) -> None:
    """Keep this step, unless the weights are broken: their loss would tell one step too late."""
    if not all(bool(weight.isfinite().all()) for weight in model.parameters()):
        raise _diverged(f"weights are not finite after step {step:,}")
    watcher.save(step)


def _diverged(what: str) -> TrainingError:
    return TrainingError(
        f"{what}: the training has diverged",
        "take a smaller learning_rate, or set gradient_clip=1",
    )


def _tensors(batch: Batch, device: torch.device) -> tuple[Any, Any]:
    inputs, targets = torch.from_numpy(batch.inputs), torch.from_numpy(batch.targets)
    return inputs.to(device), targets.to(device)
