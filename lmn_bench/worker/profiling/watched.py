"""Calls of a user's modules that tell which part they are in.

Which part a call belongs to may depend on who calls: of a module that is registered in two blocks,
on the block; of one deeper than was asked for, on whether its block runs. To find that out takes
time at every call. So one call of the model is watched first: where every module turns out to
belong to one part, each tells just that, and those that are always inside of theirs tell nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import nn

from lmn_bench.worker.profiling.modules import Node, methods_of
from lmn_bench.worker.profiling.parts import Site

_MISSING = object()


class ModuleProbe(Protocol):
    """What is told where a call is; sites are numbers."""

    def enter(self, site: int) -> int:
        """A piece of code begins; what to hand to `leave` at its end."""
        ...

    def leave(self, before: int, value: Any) -> Any:
        """The piece has ended, and hands on `value`."""
        ...


class _Nobody:
    """A probe that does nothing with what it is told."""

    def enter(self, site: int) -> int:
        return site

    def leave(self, before: int, value: Any) -> Any:
        return value


@dataclass(frozen=True, eq=False)
class _Entry:
    """A method of a module: where it is registered, the site of each place, and those it was in.

    `seen` has None for calls in which it told nothing, as its caller had told the same.
    """

    module: nn.Module
    method: str
    nodes: tuple[Node, ...]
    sites: tuple[int, ...]
    seen: set[int | None] = field(default_factory=set)

    @property
    def is_fixed(self) -> bool:
        """Whether it has one site whoever calls it."""
        told = self.seen - {None}
        return len(self.nodes) == 1 or (len(told) <= 1 and not (told and None in self.seen))

    @property
    def tells_nothing(self) -> bool:
        """Whether nobody need be told of it."""
        return self.seen == {None} or (not self.seen and self.nodes[0].deep)

    @property
    def site(self) -> int:
        """The one that it has, where it `is_fixed`."""
        return next((site for site in self.seen if site is not None), self.sites[0])


class WatchedModules:
    """All modules of a user's model, ready to tell where they are.

    Args:
        nodes: where they are registered.
        number: of a site.
    """

    def __init__(self, nodes: list[Node], number: Callable[[Site], int]) -> None:
        places: dict[int, list[Node]] = {}
        for node in nodes:
            places.setdefault(id(node.module), []).append(node)
        self._entries = [
            _Entry(found[0].module, method, tuple(found),
                   tuple(number(_site(node, method)) for node in found))
            for found in places.values()
            for method in methods_of(found[0].module)
        ]  # fmt: skip
        self._frames: list[tuple[Node, int]] = []
        self._fixed: list[_Entry] | None = None

    def watch(self, call: Callable[[], object]) -> None:
        """Find out in one call of the model which modules belong to one part whoever calls."""
        for entry in self._entries:
            entry.seen.clear()
        self._fixed = None
        if not self._entries:
            return
        with self.installed(_Nobody()):
            call()
        if all(entry.is_fixed for entry in self._entries):
            self._fixed = [entry for entry in self._entries if not entry.tells_nothing]

    @contextmanager
    def installed(self, probe: ModuleProbe) -> Iterator[None]:
        """Let the modules tell `probe` where they are."""
        wrapped: list[tuple[nn.Module, str, object]] = []
        self._frames.clear()
        try:
            for entry in self._entries if self._fixed is None else self._fixed:
                own = vars(entry.module)
                method = getattr(entry.module, entry.method)
                told = (
                    _telling(method, entry.site, probe)
                    if self._fixed is not None
                    else _finding_out(method, entry, self._frames, probe)
                )
                wrapped.append((entry.module, entry.method, own.get(entry.method, _MISSING)))
                own[entry.method] = told
            yield
        finally:
            for module, name, before in reversed(wrapped):
                if before is _MISSING:
                    del vars(module)[name]
                else:
                    vars(module)[name] = before


def _site(node: Node, method: str) -> Site:
    if node.deep:
        above = node
        while above.deep:
            assert above.owner is not None
            above = above.owner
        return Site(node.part, f"modules of {type(above.module).__name__}")
    name = "forward" if method.startswith("_") else method
    return Site(node.part, f"{type(node.module).__name__}.{name}")


def _telling(method: Callable[..., Any], site: int, probe: ModuleProbe) -> Callable[..., Any]:
    enter, leave = probe.enter, probe.leave

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        before = enter(site)
        try:
            value = method(*args, **kwargs)
        except BaseException:
            # A model may catch what its modules raise, and go on.
            leave(before, None)
            raise
        return leave(before, value)

    return call


def _finding_out(
    method: Callable[..., Any], entry: _Entry, frames: list[tuple[Node, int]], probe: ModuleProbe
) -> Callable[..., Any]:
    """As `_telling`, of whichever site the modules make out that are running."""
    calls = {site: _telling(method, site, probe) for site in entry.sites}

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        place = _place(entry.nodes, frames)
        node, site = entry.nodes[place], entry.sites[place]
        told: int | None = site
        if frames:
            around, current = frames[-1]
            if site == current or (node.deep and node.part == around.part):
                told, site = None, current
        entry.seen.add(told)
        frames.append((node, site))
        try:
            return method(*args, **kwargs) if told is None else calls[told](*args, **kwargs)
        finally:
            frames.pop()

    return call


def _place(nodes: tuple[Node, ...], frames: list[tuple[Node, int]]) -> int:
    """Which of several places a module is called at: that inside of what runs, or the first."""
    if len(nodes) > 1:
        owners = [node.owner for node in nodes]
        for around, _ in reversed(frames):
            if around in owners:
                return owners.index(around)
    return 0
