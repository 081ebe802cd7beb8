"""An answer about hardware as a document: the answer first, then margins, charts, assumptions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lmn_bench.report.document import Document, Section, Table
from lmn_bench.report.sized.figures import latency_chart, memory_chart
from lmn_bench.report.sized.words import (
    FITS,
    NO_LIMIT,
    NOTHING,
    device_words,
    found_sentence,
    interval_words,
    latency_words,
    margin_words,
    most_words,
    need_words,
    question_sentence,
    saving_sentence,
    smallest_sentence,
    sought_sentence,
    time_left_words,
    unit_of,
    verdict_sentence,
    verdict_words,
)
from lmn_bench.sizing.find import Choice, DeviceAnswer, Sought
from lmn_bench.sizing.question import Answer, SubjectAnswer
from lmn_bench.sizing.trial import Trial, found_by_bisection
from lmn_bench.units import format_bytes, format_count, format_length


class Extras:
    """What was asked beside the main question.

    Args:
        most: of `--find width` or `--find layers`.
        devices: of `--find device`.
        front: of `--pareto`.
        trials: of `--verify`, in the order in which they were run.
    """

    def __init__(
        self,
        most: Sought | None = None,
        devices: Sequence[DeviceAnswer] = (),
        front: Sequence[Choice] | None = None,
        trials: Sequence[Trial] = (),
    ) -> None:
        self.most = most
        self.devices = devices
        self.front = front
        self.trials = trials


def sizing_document(answer: Answer, extras: Extras | None = None, machine: str = "") -> Document:
    """What is known, for a person who has to decide."""
    extras = extras or Extras()
    return Document(
        title=question_sentence(answer.question),
        subtitle=machine,
        answers=tuple(_answers(answer, extras)),
        sections=tuple(_sections(answer, extras)),
    )


def _answers(answer: Answer, extras: Extras) -> Iterator[str]:
    """What was asked for most comes first: the device, where one was looked for."""
    if extras.devices:
        yield smallest_sentence(extras.devices)
    yield from map(verdict_sentence, answer.subjects)
    first, *others = answer.subjects
    for other in others:
        said = saving_sentence(first, other)
        if said is not None:
            yield said


def _sections(answer: Answer, extras: Extras) -> Iterator[Section]:
    told = [one for one in answer.subjects if one.memory is not None]
    if told:
        memory, latency = memory_chart(answer), latency_chart(answer)
        for title, table, chart in (
            ("Memory", _memory_table(answer, told), memory),
            ("Time", _time_table(answer, told), latency),
        ):
            yield Section(title, tables=(table,), charts=() if chart is None else (chart,))
    far = _sought_sentences(extras.most) if extras.most is not None else ()
    yield Section("How far one could go", tuple(far), tables=(_most_table(answer, extras),))
    if extras.devices:
        yield Section("Devices", tables=(_device_table(extras.devices),))
    if extras.front is not None:
        yield Section("Worth having", _front_sentences(extras.front), _front_tables(extras.front))
    if extras.trials:
        found = tuple(map(found_sentence, found_by_bisection(extras.trials)))
        yield Section("Tried out under the cap", found, tables=(_trial_table(extras.trials),))
    yield Section("Assumptions", tuple(_as_sentence(text) for text in _grounds(answer)))


def _grounds(answer: Answer) -> Iterator[str]:
    yield from answer.assumptions
    for one in answer.subjects:
        if one.memory is None:
            continue
        time = "" if one.latency is None else f"; time: {one.latency.basis}"
        yield f"run for {one.name}: {one.evidence}; memory: {one.memory.basis}{time}"


def _as_sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _memory_table(answer: Answer, told: Sequence[SubjectAnswer]) -> Table:
    limit = answer.question.limits.memory_bytes
    rows = []
    for one in told:
        need = one.memory
        assert need is not None
        parts = (need.floor, need.parameters, need.state, need.working)
        rows.append(
            (one.name, *(format_bytes(part) for part in parts), need_words(need),
             interval_words(need.low, need.high, "B"), margin_words(need, limit))
        )  # fmt: skip
    return Table(
        "Memory of the process",
        ("model", "floor", "parameters", "state", "working", "total", "95 %", "left"),
        tuple(rows),
    )


def _time_table(answer: Answer, told: Sequence[SubjectAnswer]) -> Table:
    rows = []
    limit = answer.question.limits.latency_s
    for one in told:
        if one.latency is None:
            why = one.no_latency or NOTHING
            rows.append((one.name, NOTHING, NOTHING, NOTHING, NOTHING, why))
            continue
        seconds = one.latency.seconds
        rate = format_count(one.tokens_per_s or 0.0)
        rows.append(
            (one.name, latency_words(one.latency), interval_words(seconds.low, seconds.high, "s"),
             time_left_words(one.latency, limit), f"{rate} token/s", one.latency.basis)
        )  # fmt: skip
    return Table(
        f"Time of one {unit_of(answer.question.case)}",
        ("model", "latency", "95 %", "left", "throughput", "basis"),
        tuple(rows),
        words=(5,),
        whole=True,
    )


def _most_table(answer: Answer, extras: Extras) -> Table:
    titles = ["model", "verdict", "longest context", "largest batch"]
    if extras.most is not None:
        titles.append({"width": "largest width", "layers": "most layers"}[extras.most.what])
    rows = []
    for one in answer.subjects:
        cells = [one.name, verdict_words(one), most_words(one.longest_context),
                 most_words(one.largest_batch) if one.limits.any else NO_LIMIT]  # fmt: skip
        if extras.most is not None:
            cells.append(most_words(extras.most.most.get(one.name)))
        rows.append(tuple(cells))
    return Table(
        "The most that keeps all limits, and which of them stops it",
        tuple(titles),
        tuple(rows),
        note="≥: nothing stops it within what the measured lengths can promise. ~: an estimate, "
        "scaled from another size or batch that was measured.",
        words=(1,),
    )


def _sought_sentences(sought: Sought) -> Iterator[str]:
    for name, most in sought.most.items():
        if most is None:
            yield f"{name}: no other {sought.what} is foretold from what was measured"
            continue
        said = sought_sentence(name, sought.what, most)
        if said is not None:
            yield said


def _device_table(devices: Sequence[DeviceAnswer]) -> Table:
    rows = []
    for one in devices:
        need, latency = one.answer.memory, one.answer.latency
        rows.append(
            (one.profile.title, format_bytes(one.profile.memory_bytes),
             format_bytes(one.profile.system_bytes) if one.profile.system_bytes else NOTHING,
             NOTHING if need is None else need_words(need),
             NOTHING if latency is None else latency_words(latency), device_words(one))
        )  # fmt: skip
    return Table(
        "Devices, the smallest first: by memory, then peak and bandwidth",
        ("device", "memory", "system", "needed", "latency", "verdict"),
        tuple(rows),
        note="Latencies are rooflines at the share of them that was reached here: estimates, by "
        "which a limit is likely to be kept; where Python runs, no less than it takes to start a "
        "call's operations. What the system is allowed is not the program's. A GPU needs its "
        "context beside the model. Fits by count: no Python runs there, and weights, state and a "
        "buffer of one layer's activations were counted, not measured.",
        words=(5,),
    )


def _front_sentences(front: Sequence[Choice]) -> tuple[str, ...]:
    if not front:
        return ("No size that was tried keeps all limits.",)
    return (
        "Sizes that keep all limits, as far as can be foretold, and that no other beats in "
        "parameters, memory and time at once. ~: an estimate, scaled from what was measured.",
    )


def _front_tables(front: Sequence[Choice]) -> tuple[Table, ...]:
    if not front:
        return ()
    rows = tuple(
        (one.subject, str(one.model.width), str(one.model.layers), format_count(one.parameters),
         need_words(one.memory), latency_words(one.latency))
        for one in front
    )  # fmt: skip
    titles = ("model", "width", "layers", "parameters", "memory", "latency")
    return (Table("The memory and latency front", titles, rows),)


def _trial_table(trials: Sequence[Trial]) -> Table:
    rows = []
    for one in trials:
        rows.append(
            (one.subject, one.purpose, format_length(one.length), format_bytes(one.budget_bytes),
             one.mechanism, NOTHING if one.expected is None else FITS[one.expected],
             one.word, one.verdict)
        )  # fmt: skip
    return Table(
        "Run for real: the budget is what is left on top of the loaded model",
        ("model", "what", "length", "budget", "cap", "foretold", "found", "as foretold"),
        tuple(rows),
        words=(1, 4, 5, 6, 7),
        whole=True,
    )
