"""What is inside of what a user's model returns: its outputs, and the tensors of its state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn


def output_of(result: Any, x: Tensor | None = None) -> Any:
    """The outputs in what a forward pass returned.

    A tensor is itself; of several the first of the shape of `x` counts, in tuples, dicts, data
    classes and objects with attributes; else the first tensor; what holds none comes back as it is.
    """
    if isinstance(result, Tensor):
        return result
    found = [part for part in _parts(result) if isinstance(part, Tensor)]
    fitting = [part for part in found if x is not None and part.shape == x.shape]
    return next(iter(fitting or found), result)


def _parts(result: Any) -> list[Any]:
    """What a container holds, without looking further."""
    if isinstance(result, list | tuple):
        return list(result)
    if isinstance(result, Mapping):
        return list(result.values())
    if is_dataclass(result) and not isinstance(result, type):
        return [getattr(result, field.name, None) for field in fields(result)]
    return list(_attributes(result))


def _attributes(thing: Any) -> Iterator[Any]:
    yield from getattr(thing, "__dict__", {}).values()
    for kind in type(thing).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(thing, name):
                yield getattr(thing, name)


def state_bytes(state: Any, model: Any) -> int:
    """Bytes of all tensors and arrays inside `state`, each counted once, those of the model not."""
    own = model_parts(model)
    return sum(_size(part) for part in _leaves(state, set(own)))


def model_parts(model: Any) -> dict[int, Any]:
    """What belongs to the model and to no state, by identity: modules, weights, buffers."""
    parts = {id(model): model}
    if isinstance(model, nn.Module):
        for part in (*model.modules(), *model.parameters(), *model.buffers()):
            parts[id(part)] = part
    return parts


def _size(leaf: Any) -> int:
    if isinstance(leaf, Tensor):
        return leaf.numel() * leaf.element_size()
    return int(leaf.nbytes)


def _leaves(thing: Any, seen: set[int]) -> Iterator[Any]:
    """Tensors and arrays inside containers and objects."""
    if id(thing) in seen or isinstance(thing, type | torch.dtype | torch.device):
        return
    seen.add(id(thing))
    if isinstance(thing, Tensor) or isinstance(getattr(thing, "nbytes", None), int):
        yield thing
    elif isinstance(thing, set | frozenset):
        for part in thing:
            yield from _leaves(part, seen)
    elif not isinstance(thing, str | bytes | int | float) and not callable(thing):
        for part in _parts(thing):
            yield from _leaves(part, seen)
    elif isinstance(thing, nn.Module):
        for part in (*thing.parameters(), *thing.buffers()):
            yield from _leaves(part, seen)


def is_plain(state: Any) -> bool:
    """Whether `state` is made of tensors, numbers and text in plain containers alone."""
    if isinstance(state, dict):
        return all(map(is_plain, state)) and all(map(is_plain, state.values()))
    if type(state) in (list, tuple, set, frozenset):
        return all(map(is_plain, state))
    return state is None or type(state) in (Tensor, int, float, bool, str, bytes)
