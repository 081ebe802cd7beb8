"""What a profile says: time and memory of one call by parts, functions and operators.

`profile_of` makes it from what the measuring process saw; nothing here measures, and nothing is
scaled: what was measured with different instruments stands side by side, and `Agreement` says how
far it is apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from lmn_bench.schema import Case, Environment

PROFILE_SCHEMA: Final = 1
# Sums of parts further from the whole than this are warned of.
WITHIN: Final = 0.05
# Below this, memory is a matter of pages, of the heap's own book-keeping and of what libraries
# keep: the kernel's number and the sum of tensors have little to do with each other.
LEAST_COMPARED_BYTES: Final = 4 * 2**20


@dataclass(frozen=True)
class Function:
    """Code of a part: seconds and FLOPs of a unit, and what of the peak it allocated.

    `between_s` is what torch's profiler saw of it outside of operators: Python and dispatch.
    """

    name: str
    seconds: float
    flops: float | None
    bytes_at_peak: int
    between_s: float


@dataclass(frozen=True)
class Part:
    """A part of the model: norm, project, attend …; `share` is of the sum of all parts."""

    name: str
    seconds: float
    share: float
    flops: float | None
    bytes_at_peak: int
    functions: tuple[Function, ...]


@dataclass(frozen=True)
class Operator:
    """An operator of torch within a function of a part.

    Attributes:
        name: as torch names it.
        part, function: where it ran.
        calls: per unit.
        self_s: its own time in a unit, under torch's profiler, whose cost is in it.
        share: of the own times of all operators.
        flops: of a unit, where it has a formula.
        flops_per_s: of that time.
    """

    name: str
    part: str
    function: str
    calls: float
    self_s: float
    share: float
    flops: float | None
    flops_per_s: float | None


@dataclass(frozen=True)
class Agreement:
    """A sum of parts beside the whole, which was measured without instruments.

    Attributes:
        measured, sum: in seconds or bytes.
        difference: of the sum from the whole, relative to it; None where they are not compared.
        within: whether that is at most `WITHIN`; None likewise.
        reason: why they are not compared.
    """

    measured: float
    sum: float
    difference: float | None
    within: bool | None
    reason: str | None = None


@dataclass(frozen=True)
class Instruments:
    """What the instruments themselves took, in seconds of a unit.

    Attributes:
        clocked_s: a unit with the clock that tells parts apart.
        clock_cost_s: what of that is the clock's, by its own calibration; taken off the parts.
        profiled_s: a unit under torch's profiler.
    """

    clocked_s: float
    clock_cost_s: float
    profiled_s: float


@dataclass(frozen=True)
class Energy:
    """Energy of a token, or why it is not known; and of a GPU its clock and what held it back."""

    joules_per_token: float | None
    reason: str | None
    source: str | None = None
    power_w: float | None = None
    clock_hz: float | None = None
    throttle_reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class MemoryTimeline:
    """Bytes held by tensors of each part over time, beyond those from before the call.

    Attributes:
        seconds: since the call began, under torch's profiler.
        bytes: for each part, one value per moment.
        peak_at: place of the moment at which all together are the most.
    """

    seconds: tuple[float, ...]
    bytes: Mapping[str, tuple[int, ...]]
    peak_at: int


@dataclass(frozen=True)
class Profile:
    """Where time and memory of one call go.

    Attributes:
        case: what was run.
        per: what times, FLOPs and calls are divided by: "token" (decode) or "sequence".
        latency_s: of a unit, without instruments: the mean of the faster half of all rounds.
        latency_spread: half the distance between the quartiles of the rounds, relative.
        working_bytes: what the call took at most beyond what was held before, by the kernel.
        lean_bytes: what it takes at most with malloc lean (`lmn_bench.malloc`), touched or not:
            without the holes of an ordinary heap. Sums of tensors are held against this.
        parameters: of the model.
        depth: the last level of modules that are parts of their own; None where parts are told by
            what they do. A module's own part, where there are deeper ones, is "NAME (itself)".
        resident_timeline: (seconds, bytes) of the whole process, sampled in a call of its own.
        lines: memory line by line, by function, if it was asked for.
        stderr: what a user's model wrote to standard error, each different line once.
    """

    case: Case
    per: str
    latency_s: float
    latency_spread: float
    working_bytes: int
    lean_bytes: int
    parameters: int
    parts: tuple[Part, ...]
    operators: tuple[Operator, ...]
    time: Agreement
    memory: Agreement
    instruments: Instruments
    energy: Energy
    memory_timeline: MemoryTimeline
    resident_timeline: tuple[tuple[float, float], ...]
    lines: tuple[Mapping[str, Any], ...] | None
    warnings: tuple[str, ...]
    environment: Environment
    created_at: str
    command: tuple[str, ...] = ()
    depth: int | None = None
    stderr: tuple[str, ...] = ()


def profile_of(
    case: Case,
    seen: Mapping[str, Any],
    environment: Environment,
    created_at: str,
    command: Sequence[str] = (),
    *,
    depth: int | None = None,
) -> Profile:
    """A profile from what `lmn_bench.worker.profiling.job.run_profile` returned."""
    parts = _parts(seen)
    total_s = sum(part.seconds for part in parts)
    held = sum(part.bytes_at_peak for part in parts) - seen["freed_bytes"]
    time = _agreement(seen["latency_s"], total_s)
    memory = _memory_agreement(seen["lean_bytes"], held)
    return Profile(
        case=case,
        per=seen["per"],
        latency_s=seen["latency_s"],
        latency_spread=seen["spread"],
        working_bytes=seen["working_bytes"],
        lean_bytes=seen["lean_bytes"],
        parameters=seen["parameters"],
        parts=parts,
        operators=_operators(seen),
        time=time,
        memory=memory,
        instruments=Instruments(seen["clocked_s"], seen["cost_s"], seen["profiled_s"]),
        energy=Energy(**{**seen["energy"], "throttle_reasons":
                         tuple(seen["energy"]["throttle_reasons"])}),
        memory_timeline=_timeline(seen),
        resident_timeline=tuple((moment, held) for moment, held in seen["resident_timeline"]),
        lines=None if seen["lines"] is None else tuple(seen["lines"]),
        warnings=(*seen.get("told", ()), *seen["warnings"], *_apart(time, memory)),
        environment=environment,
        created_at=created_at,
        command=tuple(command),
        depth=depth,
        stderr=tuple(seen.get("stderr", ())),
    )  # fmt: skip


def _parts(seen: Mapping[str, Any]) -> tuple[Part, ...]:
    """Parts that took any time or memory, the longest first."""
    flops = _site_flops(seen)
    functions: dict[str, list[Function]] = {}
    for site, (part, name) in enumerate(seen["sites"]):
        seconds, held = seen["site_s"][site], seen["peak_bytes"][site]
        if seconds or held:
            count = None if flops is None else flops[site]
            function = Function(name, seconds, count, held, seen["between_s"][site])
            functions.setdefault(part, []).append(function)
    total_s = sum(one.seconds for found in functions.values() for one in found) or 1.0
    parts = []
    for name, found in functions.items():
        found.sort(key=lambda one: -one.seconds)
        seconds = sum(one.seconds for one in found)
        parts.append(Part(
            name, seconds, seconds / total_s,
            None if flops is None else sum(one.flops or 0.0 for one in found),
            sum(one.bytes_at_peak for one in found), tuple(found),
        ))  # fmt: skip
    return tuple(sorted(parts, key=lambda part: -part.seconds))


def _site_flops(seen: Mapping[str, Any]) -> list[float] | None:
    if seen["flops"] is None:
        return None
    counts = [0.0] * len(seen["sites"])
    for site, _, count in seen["flops"]:
        counts[site] += count
    return counts


def _operators(seen: Mapping[str, Any]) -> tuple[Operator, ...]:
    """Operators, the longest first; each function's stand apart."""
    flops = {(site, name): count for site, name, count in seen["flops"] or ()}
    total_s = sum(use[3] for use in seen["uses"]) or 1.0
    found = []
    for site, name, calls, self_s in seen["uses"]:
        part, function = seen["sites"][site]
        count = flops.get((site, name))
        rate = count / self_s if count and self_s else None
        found.append(Operator(name, part, function, calls, self_s, self_s / total_s, count, rate))
    return tuple(sorted(found, key=lambda one: -one.self_s))


def _timeline(seen: Mapping[str, Any]) -> MemoryTimeline:
    timeline = seen["timeline"]
    columns: dict[str, list[int]] = {}
    for site, (part, _) in enumerate(seen["sites"]):
        values = [point[site] for point in timeline["points"]]
        before = columns.get(part, [0] * len(values))
        columns[part] = [a + b for a, b in zip(before, values, strict=True)]
    held = {part: tuple(values) for part, values in columns.items() if any(values)}
    return MemoryTimeline(tuple(timeline["seconds"]), held, timeline["peak_at"])


def _agreement(measured: float, total: float) -> Agreement:
    difference = total / measured - 1 if measured else 0.0
    return Agreement(measured, total, difference, abs(difference) <= WITHIN)


def _memory_agreement(working: int, held: int) -> Agreement:
    if max(working, held) < LEAST_COMPARED_BYTES:
        reason = "under 4 MiB, pages and the heap's own book-keeping decide"
        return Agreement(working, held, None, None, reason)
    return _agreement(working, held)


def _apart(time: Agreement, memory: Agreement) -> list[str]:
    found = []
    for what, agreement, whole in (
        ("time", time, "the latency measured without instruments"),
        ("memory", memory, "the kernel's high-water mark (malloc lean)"),
    ):
        if agreement.within is False and agreement.difference is not None:
            found.append(
                f"parts of {what} add up to {agreement.difference:+.1%} of {whole}: further apart "
                f"than {WITHIN:.0%}"
            )
    return found


def profile_json(profile: Profile, files: Mapping[str, str]) -> dict[str, Any]:
    """The profile for programs: a contract, described in the README.

    Args:
        profile: what it says.
        files: where the files are that belong to it, by kind.
    """
    case = profile.case
    data = asdict(profile)
    data.pop("case")
    time, memory = data.pop("time"), data.pop("memory")
    return {
        "schema": PROFILE_SCHEMA,
        "subject": case.subject, "mode": case.mode, "length": case.length,
        "device": case.device, "batch": case.batch, "dtype": case.dtype,
        "threads": case.threads, "model": asdict(case.model),
        **data,
        "agreement": {"time": time, "memory": memory},
        "files": dict(files),
    }  # fmt: skip
