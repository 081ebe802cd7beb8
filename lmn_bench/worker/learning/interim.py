"""What an interrupted lesson goes on from: weights, optimizer, random numbers, course: one file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from lmn.atomic import replacing
from lmn_bench.subjects.learners import Learner
from lmn_bench.worker.learning.randomness import random_states, restore_random_states


@dataclass
class Course:
    """A training so far; it grows.

    Attributes:
        losses: of every step's batch, the first step first.
        step_s: time of every step.
        validation: points of (step, loss, accuracy).
        peak_bytes: highest memory in any of its processes.
        working_bytes: the same, less what was held before the model.
        resumptions: how often it went on.
    """

    losses: list[float] = field(default_factory=list)
    step_s: list[float] = field(default_factory=list)
    validation: list[tuple[int, float, float]] = field(default_factory=list)
    peak_bytes: int = 0
    working_bytes: int = 0
    resumptions: int = 0


class Interim:
    """The file of one training.

    Args:
        path: where it is, or will be.
        about: what it is a training of: the case's id and the seed. A file of another is refused.
    """

    def __init__(self, path: Path, about: str) -> None:
        self._path, self._about = path, about

    def save(self, model: Learner, optimizer: torch.optim.Optimizer, course: Course) -> None:
        """Replace the file as a whole: a crash or a full disk leaves the old one, and no half one.

        Raises:
            OSError: it cannot be written.
        """
        content = {
            "about": self._about, "model": model.state_dict(),
            "optimizer": optimizer.state_dict(), "course": asdict(course),
            "random": random_states(),
        }  # fmt: skip
        # Somebody may have tidied up.
        self._path.parent.mkdir(exist_ok=True)
        try:
            with replacing(self._path, follow=False) as file:
                torch.save(content, file)
        except Exception as error:
            raise _of_the_disk(error) or error from None

    def restore(
        self, model: Learner, optimizer: torch.optim.Optimizer, device: torch.device
    ) -> tuple[Course, str]:
        """Where it was left: the course, and a warning if the file is no good; "" if it is.

        Without a good file, model and optimizer stay as they are, and the course is empty.
        """
        if not self._path.exists():
            return Course(), ""
        try:
            content = torch.load(self._path, weights_only=True, map_location=device)
            if content["about"] != self._about:
                raise ValueError("it is of another training")
            course = _course(content["course"])
            model.load_state_dict(content["model"])
            optimizer.load_state_dict(content["optimizer"])
            restore_random_states(content.get("random", {}))
        # torch raises whatever its unpickler happens upon in a damaged file
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            return Course(), f"started anew: {self._path.name} cannot be read: {reason}"
        course.resumptions += 1
        return course, ""


def _of_the_disk(error: BaseException) -> OSError | None:
    """What the disk said first: torch stumbles over a file that is too short while it closes it."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, OSError):
        found = found.__context__
    return found


def _course(plain: dict[str, Any]) -> Course:
    course = Course(**plain)
    course.validation = [(int(step), loss, right) for step, loss, right in course.validation]
    if len(course.step_s) != len(course.losses):
        raise ValueError("its course is broken")
    return course
