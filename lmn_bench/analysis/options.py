"""What a comparison looks at and by which rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lmn_bench.analysis.paired import Rules

DEFAULT_METRICS = ("latency_low_s",)


UNTIMED = "nothing was timed on either side: counters alone are compared"


@dataclass(frozen=True)
class Options:
    """What to compare and how.

    Attributes:
        rules: of the decision.
        metrics: measured metrics that gate; counters always do.
        across_machines: set runs of different machines side by side, counters only.
        allowed: by how much counters may grow, by metric (0.01: 1 %).
    """

    rules: Rules = field(default_factory=Rules)
    metrics: tuple[str, ...] = DEFAULT_METRICS
    across_machines: bool = False
    allowed: Mapping[str, float] = field(default_factory=dict)

    def lacking(self, there: Iterable[str]) -> list[str]:
        """Metrics that somebody asked for and that no case has, as sentences."""
        gone = [metric for metric in self.metrics if metric not in set(there)]
        return [f"no case has {metric}" for metric in gone if metric not in DEFAULT_METRICS]
