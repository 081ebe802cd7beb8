"""A user's own model as the body of a learner: what has to hold of it before it learns."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lmn_bench.errors import SubjectError
from lmn_bench.plain import said_at
from lmn_bench.schema import ModelSpec
from lmn_bench.subjects.apart import without_trace
from lmn_bench.subjects.behaviour import axis_problems, why_not_repeatable
from lmn_bench.subjects.factory import make
from lmn_bench.subjects.inside import output_of
from lmn_bench.subjects.lazy import make_lazy_parts
from lmn_bench.subjects.user import has_forward, prepared

BODY_HINT = (
    "to learn, a factory returns a torch.nn.Module whose forward maps (batch, tokens, width) to "
    "the same shape, every token from itself and those before it"
)
# A later token must not change earlier outputs by more than rounding does in another order of sums.
LEAK_TOLERANCE = 1e-3
# Tokens of a trial: few, or what a model takes that does not take any number of them.
_TRIED = (5, 16, 64, 128)


class _RefusedError(SubjectError):
    """It raised an error on an input of this length."""


def user_body(
    name: str,
    spec: ModelSpec,
    *,
    dtype: torch.dtype,
    device: torch.device,
    length: int = _TRIED[0],
) -> tuple[nn.Module, list[str]]:
    """Import the factory that `name` names, call it, and try what it returns.

    What is returned was never called: it is tried in a copy of this process, but on CUDA.

    Args:
        name: "package.module:factory", called as `factory(spec, dtype=..., device=...)`.
        spec: sizes.
        dtype: of its weights and of what it is given.
        device: where they are.
        length: tokens that it will learn from at a time.

    Returns:
        The body, and what a record should tell of it.

    Raises:
        SubjectError: it cannot be made, is no module with a forward, fails, gives another shape or
            type than it is given, gives no gradient to its inputs, or looks at later tokens.
    """
    notes: list[str] = []
    with_gradients = torch.is_grad_enabled()
    body = make(name, spec, dtype=dtype, device=device)
    if torch.is_grad_enabled() != with_gradients:
        torch.set_grad_enabled(with_gradients)
        notes.append("its code switched gradients off: switched on again")
    if not isinstance(body, nn.Module) or not has_forward(body):
        lack = "has no forward" if isinstance(body, nn.Module) else "is no torch.nn.Module"
        raise SubjectError(
            f"{name} cannot learn: it returned a {type(body).__name__}, which {lack}", BODY_HINT
        )
    notes += prepared(name, body, dtype, device)
    make_lazy_parts(name, body, spec.width, dtype, device, length)
    notes += _try_lengths(name, body, spec.width, dtype, device, length)
    return body, notes


def _try_lengths(
    name: str, body: nn.Module, width: int, dtype: torch.dtype, device: torch.device, length: int
) -> list[str]:
    """Try the body on few tokens, or else on as many as it is to learn from; what is to be told."""
    refused: _RefusedError | None = None
    for tokens in dict.fromkeys((*(n for n in _TRIED if n <= length), length)):
        numbers = torch.arange(2 * tokens * width, dtype=torch.float32).sin()
        x = numbers.view(2, tokens, width).to(device=device, dtype=dtype)
        try:
            return without_trace(
                partial(_try, name, body, x), (SubjectError,), device,
                here=lambda x=x: _try(name, copy_of(body) or body, x),  # type: ignore[misc]
            )  # fmt: skip
        except _RefusedError as error:
            refused = refused or error
    assert refused is not None
    raise refused


def copy_of(body: nn.Module) -> nn.Module | None:
    """A copy that shares nothing with the body; None where it holds what cannot be copied."""
    try:
        return copy.deepcopy(body)
    except Exception:
        return None


def _try(name: str, body: nn.Module, x: Tensor) -> list[str]:
    """Run `x` (batch, tokens, width) forward and backward, and forward with other tokens."""
    warnings: list[str] = []
    x = x.requires_grad_()
    with torch.enable_grad():
        output = _run(name, body, x)
        expected = f"{x.dtype} of shape {tuple(x.shape)}"
        found = type(output).__name__
        if isinstance(output, Tensor):
            found = f"{output.dtype} of shape {tuple(output.shape)}"
        if found != expected:
            raise SubjectError(f"{name}: forward gave {found} for {expected}", BODY_HINT)
        if not output.requires_grad or _gradient(body, output, x) is None:
            raise SubjectError(
                f"{name} cannot learn: no gradient flows from its outputs to its inputs",
                "leave out torch.no_grad(), detach() and .data",
            )

    def run(given: Tensor) -> Tensor:
        output: Tensor = _run(name, body, given)
        return output

    with torch.no_grad():
        why = why_not_repeatable(run, x.detach(), -x.detach(), _close)
        if why is not None:
            raise SubjectError(f"{name} {why}", BODY_HINT)
        changed = torch.cat((x[:, :-1], -x[:, -1:]), dim=1)
        if not _close(output[:, :-1], run(changed)[:, :-1]):
            raise SubjectError(
                f"{name} looks at later tokens: another last token changes what it gives for those "
                "before it, so that it would read off what it should predict",
                "mask its attention, or pad its convolutions on the left only",
            )
        if x.shape[1] > 1:
            for wrong, words in axis_problems(run, x.detach(), -x.detach(), _close):
                if wrong:
                    raise SubjectError(f"{name} {words}", BODY_HINT)
                warnings.append(words)
    return warnings


def _close(one: Tensor, two: Tensor) -> bool:
    return torch.allclose(one, two, rtol=LEAK_TOLERANCE, atol=LEAK_TOLERANCE, equal_nan=True)


def _run(name: str, body: nn.Module, x: Tensor) -> Any:
    try:
        # A copy: what writes into its input may, and a tensor with a gradient of its own may not be
        # written into.
        return output_of(body(x.clone()), x)
    except Exception as error:
        raise _RefusedError(
            f"{name}: forward raised {said_at(error)} on a trial input of shape {tuple(x.shape)}",
            BODY_HINT,
        ) from error


def _gradient(body: nn.Module, output: Tensor, x: Tensor) -> Tensor | None:
    # As a training does it: what recomputes activations takes no torch.autograd.grad.
    torch.autograd.backward([output.sum()])
    for weight in body.parameters():
        weight.grad = None
    return x.grad
