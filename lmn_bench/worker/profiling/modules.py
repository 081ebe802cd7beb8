"""Where a user's model is made of modules, and which part each of them belongs to.

A module's level is how many modules it is inside of, the model itself not counted. Lists and
dictionaries of modules that are no more than that are looked through: what they hold has their
level. A sequential is a level like any module.

A module belongs to one part whoever calls it, and a part of one depth is cut into those of the
next: so what parts of a depth add up to, those of the next do. One that is registered in several
places counts where it is registered at the lowest level; if these are several, where it is called.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn

from lmn_bench.subjects.user import has_forward

# Of a module whose children are parts of their own.
ITSELF: Final = "{} (itself)"
# What torch.compile and torch.compiler.disable leave on functions, and the latter alone.
_COMPILED: Final = "_torchdynamo_orig_callable"
_NOT_COMPILED: Final = "_torchdynamo_disable"
_OWN_TO_MODULES: Final = frozenset(dir(nn.Module))


@dataclass(frozen=True, eq=False)
class Node:
    """A module at a place where it is registered.

    Attributes:
        path: "layers.0.attention".
        level: from 1.
        module: itself.
        owner: the module around it; None for the model.
        part: what its time belongs to.
        deep: whether its level is beyond the depth that was asked for.
    """

    path: str
    level: int
    module: nn.Module
    owner: Node | None
    part: str
    deep: bool


def nodes_of(model: object, depth: int) -> list[Node]:
    """All modules of a model, level by level.

    Args:
        model: a module, or whatever else holds some.
        depth: the last level whose modules are parts of their own.
    """
    found: list[Node] = []
    seen = {id(model)}
    level = 0
    around: list[Node | None] = [None]
    while around:
        level += 1
        here: list[Node] = []
        for owner in around:
            of_owner: set[int] = set()
            for name, module in children_of(owner.module if owner else model):
                if id(module) in seen | of_owner:
                    continue
                of_owner.add(id(module))
                here.append(_node(name, level, module, owner, depth))
        seen.update(id(node.module) for node in here)
        found += here
        around = [*here]
    return found


def _node(name: str, level: int, module: nn.Module, owner: Node | None, depth: int) -> Node:
    path = f"{owner.path}.{name}" if owner else name
    if level > depth:
        assert owner is not None
        return Node(path, level, module, owner, owner.part, deep=True)
    inside = level < depth and next(iter(children_of(module)), None) is not None
    return Node(path, level, module, owner, ITSELF.format(path) if inside else path, deep=False)


def children_of(holder: object) -> Iterator[tuple[str, nn.Module]]:
    """Names and modules right inside of `holder`; none where it runs as one compiled piece."""
    if isinstance(holder, nn.Module):
        if not is_opaque(holder):
            yield from _modules_in(holder._modules)
    elif isinstance(holder, functools.partial):
        yield from children_of(holder.func)
    elif inspect.ismethod(holder):
        yield from children_of(holder.__self__)
    elif inspect.isfunction(holder):
        cells = zip(holder.__code__.co_freevars, holder.__closure__ or (), strict=True)
        yield from _modules_in({name: _content(cell) for name, cell in cells})
    elif not isinstance(holder, type):
        yield from _modules_in(_attributes(holder))


def _content(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _attributes(thing: object) -> dict[str, object]:
    found = dict(getattr(thing, "__dict__", {}))
    for kind in type(thing).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name != "__dict__" and hasattr(thing, name):
                found[name] = getattr(thing, name)
    return found


def _modules_in(named: Mapping[str, object]) -> Iterator[tuple[str, nn.Module]]:
    for name, value in named.items():
        inner = _inside(value)
        if inner is not None:
            yield from ((f"{name}.{key}", module) for key, module in _modules_in(inner))
        elif isinstance(value, nn.Module):
            yield name, value


def _inside(value: object) -> Mapping[str, object] | None:
    """What is in a list or a dictionary; None where it is none, or a module that can be called."""
    if isinstance(value, nn.ModuleList | nn.ModuleDict) and not has_forward(value):
        return value._modules
    if isinstance(value, list | tuple):
        return {str(place): one for place, one in enumerate(value) if isinstance(one, nn.Module)}
    if isinstance(value, dict):
        return {str(key): one for key, one in value.items() if isinstance(one, nn.Module)}
    return None


def is_opaque(module: nn.Module) -> bool:
    """Whether what is in it runs as one piece: a script, or something that was compiled.

    To be told where it is, it would have to be compiled again, and would be another one.
    """
    if isinstance(module, torch.jit.ScriptModule) or module._compiled_call_impl is not None:
        return True
    compiler = sys.modules.get("torch._dynamo.eval_frame")
    if compiler is None:
        return False
    kinds = (vars(kind).values() for kind in type(module).__mro__ if kind is not nn.Module)
    own: Iterable[Any] = (*vars(module).values(), *(one for kind in kinds for one in kind))
    return isinstance(module, compiler.OptimizedModule) or any(
        inspect.isroutine(one) and hasattr(one, _COMPILED) and not hasattr(one, _NOT_COMPILED)
        for one in own
    )


def methods_of(module: nn.Module) -> list[str]:
    """`forward`, and whatever else of its own the module can be called by.

    Where hooks run around its forward pass they belong to it. What was compiled as a whole is
    called as a whole: its forward pass alone would be compiled again.
    """
    if isinstance(module, torch.jit.ScriptModule):
        return ["forward"]
    if module._compiled_call_impl is not None:
        return ["_compiled_call_impl"]
    hooked = module._forward_hooks or module._forward_pre_hooks
    own = [
        name
        for name in sorted(set(dir(type(module))) - _OWN_TO_MODULES)
        if not name.startswith("_") and _is_method(type(module), name)
    ]
    if isinstance(getattr(module, "_orig_mod", None), nn.Module):
        own = []
    return [*(["_call_impl"] if hooked else []), "forward", *own]


def _is_method(kind: type, name: str) -> bool:
    """Whether `name` is a plain method, not a property or a class's own constant."""
    for base in kind.__mro__:
        if name in vars(base):
            return callable(vars(base)[name]) and not isinstance(vars(base)[name], type)
    return False
