"""Which part an autograd node belongs to: that in whose code its forward operation ran.

torch numbers nodes as they are made. The trail notes the next number whenever a part begins, so
that a node's number tells its part. Backward runs nodes by falling number: the root first, and a
node as soon as all that use its output are done, which have higher ones.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch._C._autograd import _get_sequence_nr

# Nodes that add to a parameter's gradient have no place in the order: they run at once.
_UNNUMBERED = 1 << 62


class Trail:
    """Where a forward pass was when, counted in autograd nodes."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._sites: list[int] = []

    def note(self, site: int) -> None:
        """From here on, nodes belong to `site`."""
        self._numbers.append(_get_sequence_nr())
        self._sites.append(site)

    def clear(self) -> None:
        """Forget everything."""
        self._numbers.clear()
        self._sites.clear()

    def site_of(self, number: int) -> int:
        """The site of the node of that number; 0 where it is older than the trail."""
        place = bisect_right(self._numbers, number)
        return self._sites[place - 1] if place else 0


def numbered_nodes(roots: Tensor | Iterable[Tensor]) -> list[tuple[int, Any]]:
    """Numbers and nodes of the graph behind `roots`, in the order in which backward runs them."""
    tensors = [roots] if isinstance(roots, Tensor) else list(roots)
    waiting = [tensor.grad_fn for tensor in tensors if tensor.grad_fn is not None]
    seen = set(waiting)
    found = []
    while waiting:
        node = waiting.pop()
        number = node._sequence_nr()
        if number < _UNNUMBERED:
            found.append((number, node))
        for further, _ in node.next_functions:
            if further is not None and further not in seen:
                seen.add(further)
                waiting.append(further)
    return sorted(found, key=lambda pair: -pair[0])
