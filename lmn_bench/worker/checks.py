"""A model that is wrong isn't timed: parallel and sequential outputs must agree."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lmn_bench.subjects.protocol import Subject, calls_of
from lmn_bench.subjects.sizes import SEGMENT_TOKENS

# Enough tokens to cross several powers of two, and cheap for every subject.
TOKENS = 21
PARALLEL_TOKENS = 13
# One whole segment, and a second one.
READ_TOKENS = SEGMENT_TOKENS + PARALLEL_TOKENS
# Relative to the largest output; float32 sums of a few hundred terms differ by about 1e-6.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 5e-2}


class IncorrectSubjectError(Exception):
    """The subject's outputs are not finite, or differ between its ways of running."""


def require_finite(output: Tensor) -> None:
    """See that a model gives numbers, also one that has no second way of running.

    Raises:
        IncorrectSubjectError: it doesn't.
    """
    if not bool(torch.isfinite(output).all()):
        raise IncorrectSubjectError("outputs are not finite")


def check_subject(
    subject: Subject,
    width: int,
    dtype: torch.dtype,
    device: torch.device,
    *,
    from_nothing: bool,
    batch: int = 2,
    tokens: tuple[int, int] = (PARALLEL_TOKENS, TOKENS),
) -> float:
    """Run the subject in parallel, and in parallel then step by step; compare.

    With `from_nothing`, also step by step from its initial state. `tokens` are how many are read
    at once before the rest is read one by one, and how many in all.

    Returns:
        Largest absolute difference relative to the largest output.

    Raises:
        IncorrectSubjectError: outputs that are not finite or differ by more than `TOLERANCE`.
    """
    at_once, whole = tokens
    inputs = torch.randn(batch, whole, width, dtype=dtype, device=device)
    with calls_of(subject):
        parallel, _ = subject.prefill(inputs)
        if parallel.shape != inputs.shape:
            raise IncorrectSubjectError(
                f"outputs have shape {tuple(parallel.shape)}, expected {tuple(inputs.shape)}"
            )
        head, state = subject.prefill(inputs[:, :at_once], capacity=whole)
        outputs = [head]
        for token in inputs[:, at_once:].unbind(1):
            output, state = subject.decode(token, state)
            outputs.append(output.unsqueeze(1))
        sequential = torch.cat(outputs, dim=1)
        if from_nothing:
            state = subject.initial_state(inputs.shape[0], capacity=whole)
            outputs = []
            for token in inputs.unbind(1):
                output, state = subject.decode(token, state)
                outputs.append(output)
            streamed = torch.stack(outputs, dim=1)
            sequential = torch.cat([sequential, streamed])
            parallel = torch.cat([parallel, parallel])
    return compare("parallel and sequential", parallel, sequential)


def check_read(
    subject: Subject,
    width: int,
    dtype: torch.dtype,
    device: torch.device,
    tokens: int = READ_TOKENS,
) -> float:
    """Run the subject over more than one segment in parallel and by `read`; compare the ends.

    Returns:
        Largest absolute difference relative to the largest output.

    Raises:
        IncorrectSubjectError: outputs that are not finite or differ by more than `TOLERANCE`.
    """
    inputs = torch.randn(1, tokens, width, dtype=dtype, device=device)
    with calls_of(subject):
        return compare(
            "parallel and read", subject.prefill(inputs)[0][:, -1], subject.read(inputs)[0]
        )


def compare(ways: str, expected: Tensor, found: Tensor) -> float:
    """Largest difference relative to the largest output expected.

    Raises:
        IncorrectSubjectError: outputs that are not finite or differ by more than `TOLERANCE`.
    """
    if not (expected.isfinite().all() and found.isfinite().all()):
        raise IncorrectSubjectError("outputs are not finite")
    error, allowed = difference(expected, found), tolerance(expected.dtype)
    if error > allowed:
        raise IncorrectSubjectError(
            f"{ways} outputs differ by {error:.2g} of the largest output (allowed: {allowed:g})"
            f"{_first_token(expected, found, allowed)}"
        )
    return error


def _first_token(expected: Tensor, found: Tensor, allowed: float) -> str:
    """From which token on they differ, of outputs (batch, tokens, width)."""
    if expected.dim() != 3:
        return ""
    scale = expected.abs().max().clamp_min(torch.finfo(expected.dtype).tiny)
    apart = (expected - found).abs().amax(dim=(0, 2)) > allowed * scale
    return f", first at token {int(apart.nonzero()[0]) + 1} of {len(apart)}"


def difference(expected: Tensor, found: Tensor) -> float:
    """Largest difference relative to the largest output expected; infinite where it is none."""
    expected, found = expected.detach(), found.detach()
    scale = expected.abs().max().clamp_min(torch.finfo(expected.dtype).tiny)
    error = float((expected - found).abs().max() / scale)
    return error if math.isfinite(error) else math.inf


def tolerance(dtype: torch.dtype) -> float:
    """What `difference` may be; of half precision that of bfloat16."""
    return TOLERANCE.get(dtype, TOLERANCE[torch.bfloat16])
