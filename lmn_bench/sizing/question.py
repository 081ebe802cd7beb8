"""A question about hardware, and the shape of its answer: plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lmn_bench.analysis.intervals import Interval
from lmn_bench.devices import DeviceProfile
from lmn_bench.schema import Case

# Beyond this many times the longest measured length nothing is promised.
REACH = 4


class Basis(StrEnum):
    """What a number rests on, from the surest to the least sure."""

    MEASURED = "measured at this length"
    BETWEEN = "between measured lengths"
    LAW = "by the laws that the measured lengths allow"
    SCALED = "estimate: scaled from another size or batch that was measured"
    ROOFLINE = "estimate: a roofline of this device, at the share of it that was reached elsewhere"
    BOUND = "bound: no device can be faster than its roofline"
    ELSEWHERE = "estimate: measured on one machine, for another device"
    COUNTED = "native: weights + state + buffer of one layer's activations; no Python, not measured"
    AS_IN_TORCH = (
        "estimate: with the working memory that PyTorch takes, for a native program without a "
        "formula; not measured"
    )

    @property
    def is_estimate(self) -> bool:
        """Whether nothing of these sizes, on this device, was measured."""
        return self not in (Basis.MEASURED, Basis.BETWEEN, Basis.LAW)


class Doubt(StrEnum):
    """Why something can't be told."""

    NEAR = "too near to the limit"
    WIDE = "known too roughly"
    NO_INTERVAL = "an estimate without an interval"
    BEYOND = "beyond what was measured"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Limits:
    """What must not be exceeded; None where anything goes.

    Attributes:
        memory_bytes: of the whole process.
        latency_s: of one call; decode: of a token.
        tokens_per_s: at least, of all rows of the batch together.
    """

    memory_bytes: int | None = None
    latency_s: float | None = None
    tokens_per_s: float | None = None

    @property
    def any(self) -> bool:
        """Whether there is one at all."""
        return (self.memory_bytes, self.latency_s, self.tokens_per_s) != (None, None, None)


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        case: mode, context (`length`), batch, dtype, device and sizes; the subject asked about.
        subjects: that one first, then those to set beside it.
        limits: what must be kept.
        floor_bytes: what the process holds beside the model; None: as it was measured.
        profile: the device, if it isn't the one that was measured.
    """

    case: Case
    subjects: tuple[str, ...]
    limits: Limits = Limits()
    floor_bytes: int | None = None
    profile: DeviceProfile | None = None


@dataclass(frozen=True)
class MemoryNeed:
    """Memory of a process in bytes, by what it is for.

    Attributes:
        floor: interpreter, libraries and what they prepare; CUDA: the context.
        parameters: weights.
        state: what is kept of the context.
        working: input, result and what is needed in between.
        low, high: 95 % interval of the total.
        basis: what the least sure of them rests on.
    """

    floor: float
    parameters: float
    state: float
    working: float
    low: float
    high: float
    basis: Basis

    @property
    def total(self) -> float:
        """All of it."""
        return self.floor + self.parameters + self.state + self.working


@dataclass(frozen=True)
class Latency:
    """Time of one call (s); decode: of a token. An interval where there is one."""

    seconds: Interval
    basis: Basis


@dataclass(frozen=True)
class Most:
    """The largest number that keeps all limits, and what stops it from being larger.

    Attributes:
        value: 0 where not even 1 does.
        stopped_by: "memory", "latency", "throughput", "validated range", "search", or "sizes"
            that no model can be built in.
        scaled: whether that was foretold from another size or batch.
        beyond: the measured sizes, in words, where the value lies outside of them.
    """

    value: int
    stopped_by: str
    scaled: bool = False
    beyond: str | None = None


@dataclass(frozen=True)
class SubjectAnswer:
    """What is known of one subject.

    Attributes:
        name: of the subject.
        case: what was asked of it.
        limits: what was to be kept.
        fits: True or False if surely so, None if it cannot be told.
        memory, latency: None where nothing is promised, see `reasons`.
        longest_context, largest_batch: None where they can't be told.
        reasons: why it doesn't fit, or why it can't be told.
        evidence: the run and the series that the numbers come from, in words.
        elsewhere: the machine that they were measured on, if it isn't this one.
        doubts: what makes it untellable; empty where `fits` is told.
        sure: whether `fits` rests on what was measured, or on what is counted exactly.
        no_latency: why there is no latency; None where there is one.
    """

    name: str
    case: Case
    limits: Limits
    fits: bool | None
    memory: MemoryNeed | None
    latency: Latency | None
    longest_context: Most | None
    largest_batch: Most | None
    reasons: tuple[str, ...]
    evidence: str
    elsewhere: str | None = None
    doubts: tuple[Doubt, ...] = ()
    sure: bool = True
    no_latency: str | None = None

    @property
    def tokens_per_s(self) -> float | None:
        """Throughput of all rows of the batch."""
        if self.latency is None:
            return None
        tokens = 1 if self.case.mode == "decode" else self.case.length
        return self.case.batch * tokens / self.latency.seconds.estimate


@dataclass(frozen=True)
class Answer:
    """The answer to a question, subject by subject, and what it assumes."""

    question: Question
    subjects: tuple[SubjectAnswer, ...]
    assumptions: tuple[str, ...]
    curves: Mapping[str, tuple[CurvePoint, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class CurvePoint:
    """What a subject takes at one context: for the charts."""

    length: int
    memory: MemoryNeed
    latency: Latency | None
    measured_memory: float | None
    measured_latency: float | None
