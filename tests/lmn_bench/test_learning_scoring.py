"""Loss and accuracy on what a model did not learn from."""

from __future__ import annotations

import math

import numpy as np
import torch

from lmn_bench.learning.batches import NOT_ASKED, Batch
from lmn_bench.worker.learning.scoring import score_of

CPU = torch.device("cpu")


class SaysTwo(torch.nn.Module):
    """Gives token 2 three quarters of the probability, of four tokens, wherever it is asked."""

    def logits_where(self, tokens, asked):
        share = torch.full((int(asked.sum()), 4), math.log(0.25 / 3))
        share[:, 2] = math.log(0.75)
        return share


def batch(*rows):
    targets = np.array(rows)
    return Batch(np.zeros_like(targets), targets)


def test_loss_and_accuracy_are_of_the_answers_that_are_asked():
    score = score_of(SaysTwo(), [batch([2, NOT_ASKED, 1])], CPU)
    assert score.accuracy == 0.5
    assert math.isclose(score.loss, -(math.log(0.75) + math.log(0.25 / 3)) / 2, rel_tol=1e-6)


def test_answers_weigh_the_same_in_small_batches():
    score = score_of(SaysTwo(), [batch([2, 2, 2]), batch([NOT_ASKED, NOT_ASKED, 3])], CPU)
    assert score.accuracy == 0.75
