"""How far equal trainings differ by chance alone, pooled over everything that was repeated."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scipy import special

from lmn_bench.analysis.stats import CONFIDENCE


@dataclass(frozen=True)
class Spread:
    """A pooled standard deviation.

    Attributes:
        deviation: of one value around the mean of its group.
        freedom: degrees of freedom: values less groups.
    """

    deviation: float
    freedom: int

    def half_width(self, *counts: int) -> float:
        """Half the 95 % interval of a mean of `counts` values, or of a difference of two means.

        Student's t, at `freedom` degrees, times the deviation times sqrt(sum of 1 / n).

        Raises:
            ZeroDivisionError: a mean of no values.
        """
        quantile = float(special.stdtrit(self.freedom, (1 + CONFIDENCE) / 2))
        return quantile * self.deviation * math.sqrt(sum(1 / count for count in counts))


def pooled_spread(groups: Iterable[Sequence[float]]) -> Spread | None:
    """The spread of groups with one deviation in common; None where none has two values."""
    repeated = [group for group in groups if len(group) > 1]
    freedom = sum(len(group) - 1 for group in repeated)
    if not freedom:
        return None
    squares = 0.0
    for group in repeated:
        mean = math.fsum(group) / len(group)
        squares += math.fsum((value - mean) ** 2 for value in group)
    return Spread(math.sqrt(squares / freedom), freedom)
