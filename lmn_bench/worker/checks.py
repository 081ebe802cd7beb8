"""A model that is wrong isn't timed: parallel and sequential outputs must agree."""

from __future__ import annotations

import torch
from torch import Tensor

from lmn_bench.subjects.protocol import Subject
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
) -> float:
    """Run the subject in parallel, and in parallel then step by step; compare.

    With `from_nothing`, also step by step from its initial state.

    Returns:
        Largest absolute difference relative to the largest output.

    Raises:
        IncorrectSubjectError: outputs that are not finite or differ by more than `TOLERANCE`.
    """
    inputs = torch.randn(2, TOKENS, width, dtype=dtype, device=device)
    with torch.inference_mode():
        parallel, _ = subject.prefill(inputs)
        if parallel.shape != inputs.shape:
            raise IncorrectSubjectError(
                f"outputs have shape {tuple(parallel.shape)}, expected {tuple(inputs.shape)}"
            )
        head, state = subject.prefill(inputs[:, :PARALLEL_TOKENS], capacity=TOKENS)
        outputs = [head]
        for token in inputs[:, PARALLEL_TOKENS:].unbind(1):
            output, state = subject.decode(token, state)
            outputs.append(output.unsqueeze(1))
        sequential = torch.cat(outputs, dim=1)
        if from_nothing:
            state = subject.initial_state(inputs.shape[0], capacity=TOKENS)
            outputs = []
            for token in inputs.unbind(1):
                output, state = subject.decode(token, state)
                outputs.append(output)
            streamed = torch.stack(outputs, dim=1)
            sequential = torch.cat([sequential, streamed])
            parallel = torch.cat([parallel, parallel])
    return compare("parallel and sequential", parallel, sequential)


def check_read(subject: Subject, width: int, dtype: torch.dtype, device: torch.device) -> float:
    """Run the subject over more than one segment in parallel and by `read`; compare the ends.

    Returns:
        Largest absolute difference relative to the largest output.

    Raises:
        IncorrectSubjectError: outputs that are not finite or differ by more than `TOLERANCE`.
    """
    inputs = torch.randn(1, READ_TOKENS, width, dtype=dtype, device=device)
    with torch.inference_mode():
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
    dtype = expected.dtype
    scale = expected.abs().max().clamp_min(torch.finfo(dtype).tiny)
    error = float((expected - found).abs().max() / scale)
    if error > TOLERANCE[dtype]:
        raise IncorrectSubjectError(
            f"{ways} outputs differ by {error:.2g} of the largest output "
            f"(allowed: {TOLERANCE[dtype]:g})"
        )
    return error
