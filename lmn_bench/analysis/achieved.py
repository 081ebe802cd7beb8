"""How near a case comes to what its machine can do: work by time, beside measured ceilings."""

from __future__ import annotations

from dataclasses import dataclass

from lmn_bench.analysis.results import CaseResult, ResultSet
from lmn_bench.schema import Case, Ceiling


@dataclass(frozen=True)
class Achieved:
    """Rates of one case from its median latency; what isn't known is None.

    Attributes:
        flops_per_s: FLOPs of matrix products by time.
        bytes_per_s: the least bytes that must move, by time.
        matrix_share: `flops_per_s` as a share of the machine's matrix product.
        copy_share: `bytes_per_s` as a share of the machine's copy.
    """

    flops_per_s: float | None
    bytes_per_s: float | None
    matrix_share: float | None = None
    copy_share: float | None = None


def achieved(result: CaseResult, ceiling: Ceiling | None) -> Achieved | None:
    """The rates of a case, or None where neither its time nor its work is known."""
    latency = result.estimate("latency_s")
    if latency is None or latency.value <= 0:
        return None
    flops, moved = (result.estimate(metric) for metric in ("flops", "bytes_moved"))
    if flops is None and moved is None:
        return None
    flops_per_s = flops.value / latency.value if flops else None
    bytes_per_s = moved.value / latency.value if moved else None
    return Achieved(
        flops_per_s,
        bytes_per_s,
        flops_per_s / ceiling.matrix_flops_per_s if ceiling and flops_per_s else None,
        bytes_per_s / ceiling.copy_bytes_per_s if ceiling and bytes_per_s else None,
    )


def longest_common_length(results: ResultSet, setting: Case) -> int | None:
    """The longest length that every subject with a result in this setting has one at.

    Where they share none, the longest that any has; None without results.
    """
    lengths = [
        {n for n, result in results.series(setting, subject).items() if result.values}
        for subject in results.subjects(setting)
    ]
    measured = [found for found in lengths if found]
    if not measured:
        return None
    return max(set.intersection(*measured) or set.union(*measured))
