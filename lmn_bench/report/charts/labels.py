"""Labels beside marks that lie anywhere: none on another, on a mark, or on a line."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Of a label's height: how far its middle stays from a line, and from a mark.
_CLEAR = 0.75
# Places are tried in steps of this share of a label's height, so many on either side.
_STEP, _TRIES = 0.25, 40


@dataclass(frozen=True)
class Label:
    """A text that begins at `x`, `width` long, and belongs at `y`; all on linear scales."""

    name: str
    x: float
    width: float
    y: float


def free_places(
    labels: Sequence[Label],
    height: float,
    within: tuple[float, float],
    *,
    marks: Sequence[tuple[float, float]] = (),
    line: float | None = None,
    taken: Sequence[Label] = (),
) -> dict[str, float]:
    """Where each label goes upwards: the nearest free place to where it belongs.

    Args:
        labels: in the order in which they choose.
        height: of a label.
        within: lowest and highest place there is.
        marks: that no label may cover, (x, y) each.
        line: across the whole chart, which may go through no label.
        taken: labels that stand already.

    A label that finds no free place stays where it belongs.
    """
    placed = list(taken)
    found: dict[str, float] = {}
    for label in labels:
        own = (label.x, label.y)
        near = [y for x, y in marks if (x, y) != own and label.x < x < label.x + label.width]
        beside = [one.y for one in placed if _meet(one, label)]
        for place in _tried(label.y, height):
            if (
                within[0] <= place <= within[1]
                and all(abs(place - y) >= height for y in beside)
                and all(abs(place - y) >= height * _CLEAR for y in near)
                and (line is None or abs(place - line) >= height * _CLEAR)
            ):
                break
        else:
            place = label.y
        found[label.name] = place
        placed.append(Label(label.name, label.x, label.width, place))
    return found


def _meet(one: Label, other: Label) -> bool:
    return one.x < other.x + other.width and other.x < one.x + one.width


def _tried(middle: float, height: float) -> Iterator[float]:
    """The place itself, then further and further above and below."""
    yield middle
    for step, side in itertools.product(range(1, _TRIES + 1), (1, -1)):
        yield middle + side * step * _STEP * height
