"""The training loop itself, on a model of one weight."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lmn_bench.errors import DivergedError
from lmn_bench.learning.batches import Batch
from lmn_bench.worker.learning.loop import Lessons, Schedule, learn
from lmn_bench.worker.learning.scoring import Score

EVEN = Score(1.0, 0.5)


class OneWeight(torch.nn.Module):
    """Its loss is (weight - mean of the inputs)^2, or what `bad` says at a call."""

    def __init__(self, bad=None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([1.0]))
        self.bad, self.calls = bad or {}, 0

    def loss(self, tokens, targets):
        self.calls += 1
        found = (self.weight - tokens.double().mean()).square().mean()
        return found * self.bad.get(self.calls, 1.0)


class Log:
    def __init__(self, stop_after=None, enough_after=None, full_at=()):
        self.said, self.stop_after, self.enough_after = [], stop_after, enough_after
        self.full_at = full_at

    def stepped(self, step, loss, seconds):
        self.said.append(("step", step))

    def validated(self, step, score):
        self.said.append(("validated", step, score))

    def save(self, step, *, last):
        self.said.append(("tried" if step in self.full_at else "saved", step))
        return step not in self.full_at

    def stops(self):
        return self.stop_after is not None and ("step", self.stop_after) in self.said

    def enough(self):
        return self.enough_after is not None and ("step", self.enough_after) in self.said

    def of(self, kind):
        return [entry[1] for entry in self.said if entry[0] == kind]


def batch(number, size=2):
    return Batch(np.full((size, 3), number), np.full((size, 3), number))


def run(model, log, steps=7, score=EVEN, done=0, rate=0.1, seen=None):
    def training(step):
        if seen is not None:
            seen.append(step)
        return batch(step)

    schedule = Schedule(steps=steps, validate_every=3, save_every=2)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    return learn(model, optimizer, Lessons(training, lambda: score), schedule, log, done=done)


def test_it_validates_and_saves_on_schedule_and_at_the_end():
    log = Log()
    assert run(OneWeight(), log) == 7
    assert log.of("step") == [1, 2, 3, 4, 5, 6, 7]
    assert log.of("validated") == [3, 6, 7]
    assert log.of("saved") == [2, 4, 6, 7]


def test_it_goes_on_with_the_data_of_the_next_step():
    seen = []
    run(OneWeight(), Log(), done=4, seen=seen)
    assert seen == [4, 5, 6]


def test_a_stop_saves_the_step_that_is_done():
    log = Log(stop_after=5)
    assert run(OneWeight(), log) == 5
    assert log.of("saved") == [2, 4, 5]


def test_what_is_enough_is_validated_and_saved_as_the_end():
    log = Log(enough_after=4)
    assert run(OneWeight(), log, steps=None) == 4
    assert log.of("validated") == [3, 4]
    assert log.of("saved") == [2, 4]


def test_what_was_enough_before_is_enough_when_it_is_gone_on_with():
    log = Log(enough_after=0)
    log.stepped(0, 0.0, 0.0)
    assert run(OneWeight(), log, done=4) == 4
    assert log.of("saved") == []


def test_a_save_that_failed_before_a_stop_is_tried_again_at_it():
    log = Log(stop_after=4, full_at=(4,))
    run(OneWeight(), log)
    assert log.of("tried") == [4, 4]
    assert log.of("saved") == [2]


def test_a_validation_loss_that_is_no_number_stops_it():
    log = Log()
    with pytest.raises(DivergedError, match="the validation loss is nan after step 3"):
        run(OneWeight(), log, score=Score(float("nan"), 0.0))
    assert log.of("saved") == [2]


def test_a_loss_that_is_no_number_stops_at_its_step_and_saves_nothing_more():
    log = Log()
    with pytest.raises(DivergedError, match="the loss is nan at step 5"):
        run(OneWeight({5: float("nan")}), log)
    assert log.of("saved") == [2, 4]


class BreaksQuietly(OneWeight):
    """Its loss stays 0, and its gradient is no number."""

    def loss(self, tokens, targets):
        return (self.weight * 0).abs().sqrt().sum()


def test_broken_weights_are_never_saved():
    log = Log(stop_after=1)
    with pytest.raises(DivergedError, match="weights are not finite after step 1"):
        run(BreaksQuietly(), log)
    assert log.of("saved") == []
