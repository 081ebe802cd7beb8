"""Make a subject from its name and size, with seeded weights."""

from __future__ import annotations

from collections.abc import Callable

import torch

from lmn_bench.errors import UnknownNameError
from lmn_bench.schema import ModelSpec
from lmn_bench.subjects import user
from lmn_bench.subjects.names import BUILTIN, LMN_FAMILY, is_user_subject
from lmn_bench.subjects.protocol import Subject
from lmn_bench.subjects.sizes import feedforward_width
from lmn_bench.subjects.stack import Block, ResidualBlock, Stack


def build(
    subject: str,
    spec: ModelSpec,
    *,
    dtype: torch.dtype,
    device: torch.device,
    seed: int,
    length: int | None = None,
) -> Subject:
    """The subject named `subject`, ready to train, prefill and decode.

    The same seed gives the same weights on every device, but for rounding to `dtype`. torch's own
    random state is left as it was.

    Args:
        subject: a builtin name, or a user's own "package.module:factory".
        spec: sizes.
        dtype: of the weights, inputs and states.
        device: where it lives.
        seed: of the weights.
        length: tokens that a user's own will be called with, if that is known.

    Raises:
        UnknownNameError: no builtin subject has this name.
        SubjectError: it cannot be built in these sizes, or a user's model has a fault.
    """
    devices = [device] if device.type == "cuda" else []
    # Weights born in inference mode could never be trained.
    with torch.inference_mode(False), torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        if is_user_subject(subject):
            return user.load(subject, spec, dtype=dtype, device=device, length=length)
        if subject not in BUILTIN:
            raise UnknownNameError(
                "subject", subject, BUILTIN, '; your own model is "package.module:factory"'
            )
        make = _block_maker(subject, spec)
        kind = _stack_kind(subject)
        stack = kind([make() for _ in range(spec.layers)])
    return stack.to(device=device, dtype=dtype)


def _stack_kind(subject: str) -> type[Stack]:
    if subject == "lmn-published":
        from lmn_bench.subjects.lmn import PublishedStack

        return PublishedStack
    return Stack


def _block_maker(subject: str, spec: ModelSpec) -> Callable[[], Block]:
    # Families are imported when asked for: none needs another's.
    if subject in LMN_FAMILY:
        from lmn_bench.subjects.lmn import LogarithmicBlock, PublishedLogarithmicBlock

        family = PublishedLogarithmicBlock if subject == "lmn-published" else LogarithmicBlock
        return lambda: family(spec, subject)
    inner = feedforward_width(subject, spec)
    return lambda: baseline_block(subject, spec, inner)


def baseline_block(subject: str, spec: ModelSpec, inner: int) -> Block:
    """One layer of a builtin subject that is no LMN, its feed-forward part `inner` wide.

    Raises:
        SubjectError: it cannot be built in these sizes.
    """
    if subject == "transformer":
        from lmn_bench.subjects.transformer import transformer_block

        return transformer_block(spec, inner)
    from lmn_bench.subjects.recurrent import Recurrence

    return ResidualBlock(Recurrence(subject, spec.width), spec.width, inner)
