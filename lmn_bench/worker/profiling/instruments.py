"""Putting the rewritten functions in place of a subject's own, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import CodeType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lmn_bench.worker.profiling.parts import ELSEWHERE, Site, rules_of
from lmn_bench.worker.profiling.rewrite import ENTER, LEAVE, MARK, Place, place_of, rewritten

_MISSING = object()
_OWN_TO_MODULES = frozenset(dir(nn.Module))


class Probe(Protocol):
    """What is told where a call is; sites are numbers."""

    def enter(self, site: int) -> int:
        """A piece of code begins; what to hand to `leave` at its end."""
        ...

    def leave(self, before: int, value: Any) -> Any:
        """The piece has ended, and hands on `value`."""
        ...

    def mark(self, site: int) -> object:
        """The piece that began last goes on as another site."""
        ...

    def begin_backward(self, roots: Any) -> None:
        """Autograd is about to run."""
        ...

    def end_backward(self) -> None:
        """Autograd has run."""
        ...


class Instruments:
    """Copies of all functions of a subject that say which part they are in.

    Attributes:
        sites: by number; the first one is `ELSEWHERE`.

    Raises:
        WorkerError: the rules don't fit the code.
    """

    def __init__(self, name: str, subject: object) -> None:
        self.sites: list[Site] = [ELSEWHERE]
        self._copies: list[tuple[Place, CodeType]] = []
        for rule in rules_of(name):
            place = place_of(rule.path)
            self._copies.append((place, rewritten(rule, place, self._number)))
        model = getattr(subject, "model", None) if ":" in name else None
        self._children = [
            (child, method, self._number(Site(part, f"{type(child).__name__}.{method}")))
            for part, child, method in (_children_of(model) if model is not None else ())
        ]

    @property
    def places(self) -> list[Place]:
        """The functions that there are copies of."""
        return [place for place, _ in self._copies]

    @property
    def parts(self) -> list[str]:
        """Names of the parts, each once, in the order of the rules."""
        return list(dict.fromkeys(site.part for site in self.sites))

    def _number(self, site: Site) -> int:
        if site not in self.sites:
            self.sites.append(site)
        return self.sites.index(site)

    @contextmanager
    def installed(self, probe: Probe) -> Iterator[None]:
        """Let the subject tell `probe` where it is."""
        own_backward = torch.autograd.backward
        told = {ENTER: probe.enter, LEAVE: probe.leave, MARK: probe.mark}
        wrapped: list[tuple[nn.Module, str, object]] = []
        try:
            for place, code in self._copies:
                vars(place.module).update(told)
                place.function.__code__ = code
            for child, method, site in self._children:
                wrapped.append((child, method, vars(child).get(method, _MISSING)))
                vars(child)[method] = _wrapper(getattr(child, method), site, probe)
            torch.autograd.backward = partial(_backward, own_backward, probe)
            yield
        finally:
            torch.autograd.backward = own_backward
            for child, method, before in wrapped:
                if before is _MISSING:
                    del vars(child)[method]
                else:
                    vars(child)[method] = before
            for place, _ in self._copies:
                place.function.__code__ = place.code
                for name in told:
                    vars(place.module).pop(name, None)


def _backward(
    own: Callable[..., None], probe: Probe, tensors: Tensor, *args: Any, **kwargs: Any
) -> None:
    probe.begin_backward(tensors)
    try:
        own(tensors, *args, **kwargs)
    finally:
        probe.end_backward()


def _wrapper(method: Callable[..., Any], site: int, probe: Probe) -> Callable[..., Any]:
    enter, leave = probe.enter, probe.leave

    def call(*args: Any, **kwargs: Any) -> Any:
        return leave(enter(site), method(*args, **kwargs))

    return call


def _children_of(model: object) -> Iterator[tuple[str, nn.Module, str]]:
    """Part, module and method of what a user's model is made of: its top-level modules.

    Lists and dictionaries of modules, and a single module that holds everything, are looked into.
    """
    if isinstance(model, nn.Module):
        children = list(model.named_children())
    else:
        children = [(k, v) for k, v in vars(model).items() if isinstance(v, nn.Module)]
    while len(children) == 1 and isinstance(children[0][1], _CONTAINERS):
        ((prefix, only),) = children
        children = [(f"{prefix}.{name}", child) for name, child in only.named_children()]
    for name, child in children:
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            for inner, module in child.named_children():
                yield from _methods_of(f"{name}.{inner}", module)
        else:
            yield from _methods_of(name, child)


_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def _methods_of(part: str, module: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """`forward`, and whatever else of its own the module can be called by."""
    yield part, module, "forward"
    for name in sorted(set(dir(type(module))) - _OWN_TO_MODULES):
        if not name.startswith("_") and _is_method(type(module), name):
            yield part, module, name


def _is_method(kind: type, name: str) -> bool:
    """Whether `name` is a plain method, not a property or a class's own constant."""
    for base in kind.__mro__:
        if name in vars(base):
            return callable(vars(base)[name]) and not isinstance(vars(base)[name], type)
    return False
