"""Questions the other way round: how wide, how deep, on which device; and what is worth having."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lmn_bench.devices import DeviceProfile
from lmn_bench.errors import SubjectError
from lmn_bench.schema import Case, ModelSpec
from lmn_bench.sizing.answer import stopped_by, subject_answer
from lmn_bench.sizing.evidence import Evidence, alike
from lmn_bench.sizing.predictor import predictor
from lmn_bench.sizing.question import (
    Basis,
    Doubt,
    Latency,
    MemoryNeed,
    Most,
    Question,
    SubjectAnswer,
)
from lmn_bench.subjects.names import BUILTIN
from lmn_bench.subjects.sizes import feedforward_width, parameters

WIDEST, DEEPEST = 2**14, 2**10
# The front is searched in these steps around the sizes asked for.
_WIDTHS, _DEPTHS = (0.25, 0.5, 1, 2, 4), (0.5, 1, 2, 4)


@dataclass(frozen=True)
class DeviceAnswer:
    """What is known of one subject on one device."""

    profile: DeviceProfile
    answer: SubjectAnswer

    @property
    def enough(self) -> bool | None:
        """Whether the device is enough; by an estimate of its speed, where it keeps the limits."""
        one, limits = self.answer, self.answer.limits
        if one.fits is not None or one.memory is None or one.latency is None:
            return one.fits
        quick = one.doubts == (Doubt.NO_INTERVAL,) and one.latency.basis is Basis.ROOFLINE
        in_time = limits.latency_s is None or one.latency.seconds.estimate <= limits.latency_s
        enough = (one.tokens_per_s or 0.0) >= (limits.tokens_per_s or 0.0)
        return True if quick and in_time and enough else None


@dataclass(frozen=True)
class Sought:
    """The most of a size that keeps all limits: of `--find width` and `--find layers`.

    Attributes:
        what: "width" or "layers".
        most: by subject; None where another size is not foretold.
        commands: by subject, what would measure the size that was found where it wasn't.
    """

    what: str
    most: Mapping[str, Most | None]
    commands: Mapping[str, str] = field(default_factory=dict)


def smallest_enough(devices: Sequence[DeviceAnswer]) -> DeviceAnswer | None:
    """The first device, in the order of `on_devices`, that is enough."""
    return next((one for one in devices if one.enough), None)


@dataclass(frozen=True)
class Choice:
    """A configuration that keeps the limits, and that no other one beats in all respects."""

    subject: str
    model: ModelSpec
    parameters: int
    memory: MemoryNeed
    latency: Latency


def widest(subject: str, question: Question, found: Sequence[Evidence]) -> Most | None:
    """The largest width that keeps all limits, in steps that every head can share."""
    step = 2 * question.case.model.heads

    def sized(count: int) -> ModelSpec:
        return replace(question.case.model, width=count * step)

    most = _largest(subject, question, found, sized, WIDEST // step)
    if most is None:
        return None
    return _placed(replace(most, value=most.value * step), subject, question, found, "width")


def deepest(subject: str, question: Question, found: Sequence[Evidence]) -> Most | None:
    """The largest number of layers that keeps all limits."""

    def sized(count: int) -> ModelSpec:
        return replace(question.case.model, layers=count)

    most = _largest(subject, question, found, sized, DEEPEST)
    return None if most is None else _placed(most, subject, question, found, "layers")


def _placed(
    most: Most, subject: str, question: Question, found: Sequence[Evidence], key: str
) -> Most:
    """A size beside those that were measured: one of them, between them, or beyond them."""
    case = replace(question.case, subject=subject)
    measured = sorted(
        {
            getattr(one.series.model, key)
            for one in alike(found, case)
            if replace(one.series.model, **{key: getattr(case.model, key)}) == case.model
        }
    )
    outside = not measured or not measured[0] <= most.value <= measured[-1]
    words = ", ".join(str(size) for size in measured) or "another size"
    return replace(
        most, scaled=most.value not in measured, beyond=f"{key} {words}" if outside else None
    )


def _largest(
    subject: str,
    question: Question,
    found: Sequence[Evidence],
    sized: Callable[[int], ModelSpec],
    limit: int,
) -> Most | None:
    known = predictor(subject, question, found)
    if known is None or question.case.length > known.longest or subject not in BUILTIN:
        return None

    def stop(count: int) -> str | None:
        case = replace(question.case, subject=subject, model=sized(count))
        # Of each size what foretells that size: the answer must be the one that it would get.
        near = predictor(subject, question, found, case)
        assert near is not None  # there is one for every size, as there is one for this
        return stopped_by(near, case) if is_possible(case) else "sizes"

    low, why = 0, "search"
    high = limit + 1
    while high - low > 1:
        middle = (low + high) // 2
        stopped = stop(middle)
        if stopped is None:
            low = middle
        else:
            high, why = middle, stopped
    return Most(low, why)


def on_devices(
    question: Question, found: Sequence[Evidence], profiles: Iterable[DeviceProfile]
) -> list[DeviceAnswer]:
    """The first subject on every device, the smallest first: see `DeviceProfile.by_size`."""
    answers = []
    for profile in sorted(profiles, key=lambda one: one.by_size):
        usable = profile.usable_bytes
        limits = replace(
            question.limits, memory_bytes=min(usable, question.limits.memory_bytes or usable)
        )
        asked = replace(question, profile=profile, limits=limits)
        known = predictor(question.subjects[0], asked, found)
        if known is not None:
            answers.append(DeviceAnswer(profile, subject_answer(known, asked.case)))
    return answers


def pareto_front(question: Question, found: Sequence[Evidence]) -> list[Choice]:
    """Configurations of all subjects that keep the limits, and that no other one beats.

    One beats another if it has as many parameters or more in no more memory and no more time, and
    is better in one of the three. Parameters stand for what a model can learn: all subjects of a
    size have as many, within 1 %.
    """
    choices = list(_choices(question, found))
    front = [one for one in choices if not any(_beats(other, one) for other in choices)]
    return sorted(front, key=lambda one: (one.parameters, one.memory.total))


def _choices(question: Question, found: Sequence[Evidence]) -> Iterator[Choice]:
    model = question.case.model
    step = 2 * model.heads
    widths = {max(step, round(model.width * factor / step) * step) for factor in _WIDTHS}
    depths = {max(1, round(model.layers * factor)) for factor in _DEPTHS}
    for subject in question.subjects:
        if subject not in BUILTIN:
            continue
        for width in sorted(widths):
            for layers in sorted(depths):
                sized = replace(model, width=width, layers=layers)
                case = replace(question.case, subject=subject, model=sized)
                known = predictor(subject, question, found, case)
                if known is None or case.length > known.longest or not is_possible(case):
                    continue
                latency = known.latency(case)
                if latency is None or stopped_by(known, case) is not None:
                    continue
                yield Choice(
                    subject, sized, parameters(subject, sized), known.memory(case), latency
                )


def _beats(one: Choice, other: Choice) -> bool:
    # Sizes made equal differ by up to 1 %: less than that is no difference.
    mine = (-round(one.parameters, -2), one.memory.total, one.latency.seconds.estimate)
    theirs = (-round(other.parameters, -2), other.memory.total, other.latency.seconds.estimate)
    more = one.parameters >= 0.99 * other.parameters
    no_worse = more and all(a <= b for a, b in zip(mine[1:], theirs[1:], strict=True))
    return no_worse and (one.parameters > 1.01 * other.parameters or mine[1:] != theirs[1:])


def is_possible(case: Case) -> bool:
    """Whether a model of these sizes can be built."""
    if case.subject not in BUILTIN:
        return True
    try:
        feedforward_width(case.subject, case.model)
    except SubjectError:
        return False
    return True
