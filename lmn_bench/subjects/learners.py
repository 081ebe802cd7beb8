"""Make a model of mode learn from its name and size, with seeded weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lmn.config import LMNLanguageModelConfig
from lmn.language_model import LMNLanguageModel
from lmn_bench.learning.batches import NOT_ASKED
from lmn_bench.schema import ModelSpec
from lmn_bench.subjects.build import baseline_block
from lmn_bench.subjects.learner_init import draw_transformer
from lmn_bench.subjects.learner_sizes import (
    LEARNED_POSITIONS,
    learner_feedforward_width,
    learner_name,
)
from lmn_bench.subjects.names import LMN_FAMILY, is_user_subject, split_init
from lmn_bench.subjects.sequence_model import SequenceModel, WrappedModel
from lmn_bench.subjects.sizes import lmn_shape
from lmn_bench.subjects.stack import Stack
from lmn_bench.subjects.transformer import transformer_block
from lmn_bench.subjects.user_body import user_body


class Learner(Protocol):
    """A model that can be trained on tokens and asked about them."""

    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Mean loss in nats per asked target, a scalar.

        Args:
            tokens: (batch, length) int64.
            targets: (batch, length) int64; `NOT_ASKED` where nothing is asked.
        """

    def logits_where(self, tokens: Tensor, asked: Tensor) -> Tensor:
        """Logits (asked positions, vocabulary), in the order of `logits[asked]`.

        Args:
            tokens: (batch, length) int64.
            asked: (batch, length) bool, one of them at least.
        """

    def parameters(self) -> Iterable[nn.Parameter]:
        """All weights."""

    def state_dict(self) -> dict[str, Any]:
        """The weights by name."""

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """Take over weights that `state_dict` gave."""


class LMNLearner(LMNLanguageModel):
    """`LMNLanguageModel` whose loss leaves out targets that are not asked."""

    def loss(self, tokens: Tensor, targets: Tensor, *, ignored: int | None = NOT_ASKED) -> Tensor:
        """As of `LMNLanguageModel`, but for the default of `ignored`."""
        return super().loss(tokens, targets, ignored=ignored)

    @property
    def longest(self) -> None:
        """There is no greatest length."""
        return None


def build_learner(
    subject: str,
    spec: ModelSpec,
    *,
    vocabulary: int,
    length: int,
    budget: int | None,
    seed: int,
    device: torch.device,
    tied: bool = False,
    dtype: torch.dtype = torch.float32,
) -> LMNLearner | WrappedModel:
    """The learner named `subject`, a `Learner`, ready to train.

    The same seed gives the same weights on every device, but for rounding to `dtype`; for `lmn`
    those that `lmn-bench train` starts from. torch's own random state is left as it was.

    Args:
        subject: one of `names.LEARNERS`; an LMN with "@" and one of `lmn.config.INITS` for other
            weights; or a user's own "package.module:factory".
        spec: sizes of the blocks.
        vocabulary: different tokens, numbered from 0.
        length: of the longest sequence, which learned positions have a vector for.
        budget: parameters in all, within a percent; `None` means those of `lmn` at this `spec`. A
            user's model has as many as it has.
        seed: of the weights.
        device: where it lives.
        tied: whether embedding and head are one table.
        dtype: of the weights.

    Raises:
        UnknownNameError: no builtin learner, or no way of drawing weights, has this name.
        SubjectError: it cannot be built in these sizes, or a user's model has a fault.
    """
    devices = [device] if device.type == "cuda" else []
    # Weights born in inference mode could never be trained.
    with torch.inference_mode(False), torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        if is_user_subject(subject):
            body, notes = user_body(subject, spec, dtype=dtype, device=device, length=length)
            model = WrappedModel(
                body, width=spec.width, vocabulary=vocabulary, tied=tied, notes=notes
            )
            return model.to(device=device, dtype=dtype)
        name = learner_name(subject)
        inner = learner_feedforward_width(
            subject, spec, vocabulary=vocabulary, length=length, budget=budget, tied=tied
        )
        if name in LMN_FAMILY:
            learner = _lmn(subject, spec, vocabulary, inner, tied)
            return learner.to(device=device, dtype=dtype)
        baseline = _baseline(name, spec, vocabulary, length, inner, tied)
        return baseline.to(device=device, dtype=dtype)


def _lmn(subject: str, spec: ModelSpec, vocabulary: int, inner: int, tied: bool) -> LMNLearner:
    name, init = split_init(subject)
    block = replace(lmn_shape(name, spec), feedforward_width=inner)
    config = LMNLanguageModelConfig(
        vocabulary=vocabulary, layers=spec.layers, block=block, tie_weights=tied, init=init
    )
    return LMNLearner(config, implementation="published" if name == "lmn-published" else "chunked")


def _baseline(
    name: str, spec: ModelSpec, vocabulary: int, length: int, inner: int, tied: bool
) -> SequenceModel:
    learned = name == LEARNED_POSITIONS
    body = Stack([
        transformer_block(spec, inner, rotary=False) if learned
        else baseline_block(name, spec, inner)
        for _ in range(spec.layers)
    ])  # fmt: skip
    positions = length if learned else 0
    model = SequenceModel(
        body, width=spec.width, vocabulary=vocabulary, positions=positions, tied=tied
    )
    if name in ("transformer", LEARNED_POSITIONS):
        draw_transformer(model)
    return model
