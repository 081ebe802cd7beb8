"""Lazy layers get their weights with the first call: it is made before anything is measured."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from lmn_bench.errors import SubjectError
from lmn_bench.plain import said_at

# Tokens to try, after the length that is asked for.
_LENGTHS = (16, 64, 5, 2, 1, 128, 256)


def make_lazy_parts(
    name: str,
    model: nn.Module,
    width: int,
    dtype: torch.dtype,
    device: torch.device,
    length: int | None,
) -> None:
    """Call a model with uninitialized weights once, so that it has them; others are not called.

    Without gradients and outside of inference mode, as torch's documentation does it: weights of
    inference mode could never be trained.

    Raises:
        SubjectError: it cannot be called.
    """
    refused: Exception | None = None
    for tokens in dict.fromkeys((*(() if length is None else (length,)), *_LENGTHS)):
        if not any(map(is_lazy, (*model.parameters(), *model.buffers()))):
            return
        x = torch.zeros(1, tokens, width, dtype=dtype, device=device)
        try:
            with torch.inference_mode(False), torch.no_grad():
                model(x)
        except Exception as error:
            refused = refused or error
    if any(map(is_lazy, model.parameters())):
        why = "" if refused is None else f": forward raised {said_at(refused)}"
        raise SubjectError(
            f"{name} has lazy layers that are not made by a call{why}",
            "call it once with an input of (batch, tokens, width) before it is returned",
        ) from refused
