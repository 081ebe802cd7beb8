"""A user's own model as the middle of a learner: tried once, so that a fault is told early."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lmn_bench.errors import SubjectError
from lmn_bench.schema import ModelSpec
from lmn_bench.subjects import user

BODY_HINT = (
    "to learn, a factory returns a torch.nn.Module whose forward maps (batch, tokens, width) to "
    "the same shape, every token from itself and those before it"
)
# A later token must not change earlier outputs by more than rounding does in another order of sums.
LEAK_TOLERANCE = 1e-3


def user_body(name: str, spec: ModelSpec, *, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """Import the factory that `name` names, call it, and try what it returns.

    Args:
        name: "package.module:factory", called as `factory(spec, dtype=..., device=...)`.
        spec: sizes.
        dtype: of its weights and of what it is given.
        device: where they are.

    Raises:
        SubjectError: it cannot be made, is no module with a forward, fails, gives another shape or
            type than it is given, gives no gradient to its inputs, or looks at later tokens.
    """
    body = user.make(name, spec, dtype=dtype, device=device)
    if not isinstance(body, nn.Module) or type(body).forward is nn.Module.forward:
        lack = "has no forward" if isinstance(body, nn.Module) else "is no torch.nn.Module"
        raise SubjectError(
            f"{name} cannot learn: it returned a {type(body).__name__}, which {lack}", BODY_HINT
        )
    body = body.to(device=device, dtype=dtype).eval()
    count = user.PROBE_TOKENS * spec.width
    x = torch.arange(count, dtype=torch.float32).sin().view(1, -1, spec.width)
    _try(name, body, x.to(device=device, dtype=dtype))
    return body


def _try(name: str, body: nn.Module, x: Tensor) -> None:
    """Run `x` (1, tokens, width) forward and backward, and forward with another last token."""
    x = x.requires_grad_()
    with torch.enable_grad():
        output = _run(name, body, x)
        expected = f"{x.dtype} of shape {tuple(x.shape)}"
        found = type(output).__name__
        if isinstance(output, Tensor):
            found = f"{output.dtype} of shape {tuple(output.shape)}"
        if found != expected:
            raise SubjectError(f"{name}: forward gave {found} for {expected}", BODY_HINT)
        if not output.requires_grad or _gradient(output, x) is None:
            raise SubjectError(
                f"{name} cannot learn: no gradient flows from its outputs to its inputs",
                "leave out torch.no_grad(), detach() and .data",
            )
    with torch.no_grad():
        changed = torch.cat((x[:, :-1], -x[:, -1:]), dim=1)
        before, after = output[:, :-1], _run(name, body, changed)[:, :-1]
        close = torch.allclose(
            before, after, rtol=LEAK_TOLERANCE, atol=LEAK_TOLERANCE, equal_nan=True
        )
    if not close:
        raise SubjectError(
            f"{name} looks at later tokens: another last token changes what it gives for those "
            "before it, so that it would read off what it should predict",
            "mask its attention, or pad its convolutions on the left only",
        )


def _run(name: str, body: nn.Module, x: Tensor) -> Any:
    try:
        return user.output_of(body(x))
    except Exception as error:
        raise SubjectError(
            f"{name}: forward raised {type(error).__name__} on a trial input of shape "
            f"{tuple(x.shape)}: {error}",
            BODY_HINT,
        ) from error


def _gradient(output: Tensor, x: Tensor) -> Tensor | None:
    (gradient,) = torch.autograd.grad(output.sum(), x, allow_unused=True)
    return gradient
