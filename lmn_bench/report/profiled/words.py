"""The words that all forms of a profile share."""

from __future__ import annotations

from lmn_bench.profiles import Agreement, Energy, Operator, Part, Profile
from lmn_bench.schema import Case
from lmn_bench.units import (
    format_bytes,
    format_change,
    format_count,
    format_length,
    format_number,
    format_seconds,
    format_share,
    format_value,
)

NOTHING = "–"
# What stands for time outside of any operator, in the rows of operators.
BETWEEN = "Python and dispatch between"
OTHER_TITLE = "other: Python and dispatch"
# Parts named in a sentence.
_MOST_NAMED = 4


def depth_words(depth: int) -> str:
    """What the parts of a user's model are."""
    return (
        f"parts are modules down to level {depth} (--depth), with all that is inside of them; "
        '"(itself)" is what a module does outside of those below it'
    )


def part_title(name: str) -> str:
    """A part's name as a heading."""
    return OTHER_TITLE if name == "other" else name


def operator_title(name: str) -> str:
    """An operator without its namespace."""
    return name.removeprefix("aten::")


def calls_words(calls: float) -> str:
    """How often, per unit: 3, or 0.94 where it is not every time."""
    return f"{calls:,.0f}" if float(calls).is_integer() else format_number(calls, 2)


def rate_words(flops: float | None, seconds: float) -> str:
    """FLOPs per second."""
    if not flops or seconds <= 0:
        return NOTHING
    return format_value(flops / seconds, "FLOP/s")


def flops_words(flops: float | None) -> str:
    """FLOPs; nothing where there are none."""
    return format_count(flops) if flops else NOTHING


def bytes_words(count: int) -> str:
    """Bytes; nothing where there are none."""
    return format_bytes(count) if count else NOTHING


def unit_words(profile: Profile) -> str:
    """What times are of: "a token at a context of 4,096"."""
    length = format_length(profile.case.length)
    if profile.per == "token":
        return f"a token at a context of {length}"
    return f"a {profile.case.mode} of {length} tokens"


def title_of(profile: Profile) -> str:
    """The heading."""
    return case_title(profile.case)


def case_title(case: Case) -> str:
    """What is profiled: "lmn: prefill at 4,096 tokens"."""
    return f"{case.subject}: {case.mode} at {format_length(case.length)} tokens"


def answers(profile: Profile) -> tuple[str, ...]:
    """What a profile says, in sentences."""
    spread = format_share(profile.latency_spread)
    found = [
        f"{unit_words(profile).capitalize()} takes {format_seconds(profile.latency_s)} "
        f"(half the rounds within ±{spread}); its parts, timed apart, add up to "
        f"{format_seconds(profile.time.sum)}: {apart_words(profile.time)}.",
        f"Time goes to {_shares([(part.name, part.share) for part in profile.parts])}.",
        _memory_answer(profile),
        energy_words(profile.energy),
    ]
    return tuple(found)


def _memory_answer(profile: Profile) -> str:
    memory = profile.memory
    apart = f"not compared: {memory.reason}" if memory.reason else apart_words(memory)
    held = sum(part.bytes_at_peak for part in profile.parts)
    ranked = sorted(profile.parts, key=lambda part: -part.bytes_at_peak)
    shares = [(part.name, part.bytes_at_peak / held) for part in ranked if held]
    most = f" At that moment: {_shares(shares)}." if shares else ""
    return (
        f"Working memory peaks at {format_bytes(profile.working_bytes)} by the kernel's count, at "
        f"{format_bytes(memory.measured)} with malloc lean; tensors by part add up to "
        f"{format_bytes(memory.sum)}: {apart}.{most}"
    )


def apart_words(agreement: Agreement) -> str:
    """How far a sum is from the whole, with a sign of whether that is near enough."""
    if agreement.difference is None:
        return NOTHING
    sign = "✓" if agreement.within else "✗"
    return f"{sign} {format_change(1 + agreement.difference)}"


def energy_words(energy: Energy) -> str:
    """Energy of a token, or why it is not known."""
    said = [f"Energy: {energy.reason}" if energy.joules_per_token is None else
            f"Energy: {_joules(energy.joules_per_token)} a token ({energy.source})"]  # fmt: skip
    if energy.power_w is not None:
        said.append(f"power {format_number(energy.power_w)} W")
    if energy.clock_hz is not None:
        said.append(f"clock {format_number(energy.clock_hz / 1e6, 4)} MHz")
    if energy.throttle_reasons:
        said.append(f"held back by: {', '.join(energy.throttle_reasons)}")
    return f"{', '.join(said)}."


def _joules(joules: float) -> str:
    for scale, unit in ((1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ")):
        if joules >= scale:
            return f"{format_number(joules / scale)} {unit}"
    return f"{format_number(joules / 1e-9)} nJ"


def _shares(shares: list[tuple[str, float]]) -> str:
    shown = [f"{name} {share:.0%}" for name, share in shares[:_MOST_NAMED]]
    rest = sum(share for _, share in shares[_MOST_NAMED:])
    if rest >= 0.005:
        shown.append(f"the rest {rest:.0%}")
    return ", ".join(shown)


def operators_of(profile: Profile, part: Part) -> list[Operator]:
    """Operators of a part, those of the same name in several functions together."""
    merged: dict[str, Operator] = {}
    for one in profile.operators:
        if one.part != part.name:
            continue
        before = merged.get(one.name)
        merged[one.name] = one if before is None else _together(before, one)
    return sorted(merged.values(), key=lambda one: -one.self_s)


def _together(a: Operator, b: Operator) -> Operator:
    flops = None if a.flops is None and b.flops is None else (a.flops or 0.0) + (b.flops or 0.0)
    self_s = a.self_s + b.self_s
    return Operator(
        a.name, a.part, "", a.calls + b.calls, self_s, a.share + b.share, flops,
        flops / self_s if flops and self_s else None,
    )  # fmt: skip
