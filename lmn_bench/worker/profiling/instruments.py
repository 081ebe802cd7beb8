"""Putting the rewritten functions in place of a subject's own, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import CodeType
from typing import Any, Protocol

import torch
from torch import Tensor

from lmn_bench.worker.profiling.modules import nodes_of
from lmn_bench.worker.profiling.parts import ELSEWHERE, Site, rules_of
from lmn_bench.worker.profiling.rewrite import ENTER, LEAVE, MARK, Place, place_of, rewritten
from lmn_bench.worker.profiling.watched import ModuleProbe, WatchedModules


class Probe(ModuleProbe, Protocol):
    """What is told where a call is, in functions that were rewritten too."""

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

    Args:
        name: of the subject.
        subject: a user's model is told by its modules.
        depth: the last level of modules that are parts of their own.

    Raises:
        WorkerError: the rules don't fit the code.
    """

    def __init__(self, name: str, subject: object, depth: int = 1) -> None:
        self._numbers: dict[Site, int] = {ELSEWHERE: 0}
        self._copies: list[tuple[Place, CodeType]] = []
        for rule in rules_of(name):
            place = place_of(rule.path)
            self._copies.append((place, rewritten(rule, place, self._number)))
        model = getattr(subject, "model", None) if ":" in name else None
        nodes = [] if model is None else nodes_of(model, depth)
        self._modules = WatchedModules(nodes, self._number)

    @property
    def sites(self) -> list[Site]:
        """By number; the first one is `ELSEWHERE`."""
        return list(self._numbers)

    @property
    def places(self) -> list[Place]:
        """The functions that there are copies of."""
        return [place for place, _ in self._copies]

    @property
    def parts(self) -> list[str]:
        """Names of the parts, each once, in the order of the rules."""
        return list(dict.fromkeys(site.part for site in self.sites))

    def _number(self, site: Site) -> int:
        return self._numbers.setdefault(site, len(self._numbers))

    def watch(self, call: Callable[[], object]) -> None:
        """Learn from one call what need be told of modules; without it all of them tell."""
        self._modules.watch(call)

    @contextmanager
    def installed(self, probe: Probe) -> Iterator[None]:
        """Let the subject tell `probe` where it is."""
        own_backward = torch.autograd.backward
        told = {ENTER: probe.enter, LEAVE: probe.leave, MARK: probe.mark}
        try:
            for place, code in self._copies:
                vars(place.module).update(told)
                place.function.__code__ = code
            torch.autograd.backward = partial(_backward, own_backward, probe)
            with self._modules.installed(probe):
                yield
        finally:
            torch.autograd.backward = own_backward
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
