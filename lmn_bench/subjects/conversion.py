"""A user's model in the type that was asked for, without losing what another type means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

# The complex numbers whose parts have the type that was asked for; torch has none of bfloat16.
_COMPLEX = {torch.float64: torch.complex128}
_NAMED_AT_MOST = 3


def convert(model: nn.Module, dtype: torch.dtype, device: torch.device) -> list[str]:
    """Move a model to `device`, and its real numbers to `dtype` unless its maker saw to that.

    Complex numbers stay complex, integers and bools stay what they are. A model some of whose
    weights have `dtype` already was made for it: its other types are meant.

    Returns:
        What was changed, and what differs from the type asked for, in words.
    """
    weights = {weight.dtype for weight in model.parameters() if weight.dtype.is_floating_point}
    if dtype in weights:
        model.to(device)
        return _told(model, dtype)
    buffers = {b.dtype for b in model.buffers() if b.dtype.is_floating_point}
    if not weights and not any(weight.dtype.is_complex for weight in model.parameters()):
        # Without weights it was made for no type: its buffers follow the inputs.
        weights = buffers
    changed = [*_changed("weights", weights, dtype)] if weights else []

    def moved(tensor: Tensor) -> Tensor:
        if tensor.is_complex():
            return tensor.to(device=device, dtype=_COMPLEX.get(dtype, torch.complex64))
        return tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else None)

    model._apply(moved)
    return [*changed, *_told(model, dtype)]


def _changed(what: str, types: Iterable[torch.dtype], dtype: torch.dtype) -> Iterator[str]:
    others = sorted(_name(one) for one in types if one != dtype)
    # torch makes float32 where nothing is said: only another type was somebody's choice.
    if others and others != [_name(torch.get_default_dtype())]:
        yield f"{what} of {' and '.join(others)} were converted to {_name(dtype)}"


def _told(model: nn.Module, dtype: torch.dtype) -> list[str]:
    """What is not of the type that was asked for, and would count as it."""
    found: dict[torch.dtype, list[str]] = {}
    parts = _COMPLEX.get(dtype, torch.complex64)
    narrow = dtype.itemsize < torch.float32.itemsize
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        kind = tensor.dtype
        if (kind.is_floating_point and kind != dtype) or (
            kind.is_complex and (kind != parts or narrow)
        ):
            found.setdefault(kind, []).append(name)
    return [
        f"{', '.join(names[:_NAMED_AT_MOST])}{' …' * (len(names) > _NAMED_AT_MOST)} stayed "
        f"{_name(kind)}, asked for: {_name(dtype)}"
        for kind, names in found.items()
    ]


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
