"""How well a model knows what it did not learn from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lmn_bench.learning.batches import NOT_ASKED, Batch
from lmn_bench.subjects.learners import Learner


@dataclass(frozen=True)
class Score:
    """Means over all answers that were asked for.

    Attributes:
        loss: cross-entropy in nats per answer.
        accuracy: share of answers that are the likeliest token.
    """

    loss: float
    accuracy: float


@torch.no_grad()
def score_of(model: Learner, batches: Iterable[Batch], device: torch.device) -> Score:
    """The score of a model over these batches, all answers weighing the same."""
    loss, right, asked = 0.0, 0, 0
    for batch in batches:
        inputs, targets = tensors(batch, device)
        where = targets != NOT_ASKED
        logits, answers = model.logits_where(inputs, where), targets[where]
        loss += F.cross_entropy(logits, answers, reduction="sum").item()
        right += int((logits.argmax(dim=-1) == answers).sum())
        asked += len(answers)
    return Score(loss / asked, right / asked)


def tensors(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """Inputs and targets, each (batch, length) int64."""
    return torch.from_numpy(batch.inputs).to(device), torch.from_numpy(batch.targets).to(device)
