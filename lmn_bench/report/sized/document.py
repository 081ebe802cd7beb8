"""An answer about hardware as a document: the answer first, then margins, charts, assumptions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lmn_bench.report.document import Document, Section, Table
from lmn_bench.report.sized.figures import latency_chart, memory_chart
from lmn_bench.report.sized.words import (
    FITS,
    NOTHING,
    device_words,
    found_sentence,
    interval_words,
    latency_words,
    margin_words,
    most_words,
    question_sentence,
    time_left_words,
    unit_of,
    verdict_sentence,
)
from lmn_bench.sizing.find import Choice, DeviceAnswer
from lmn_bench.sizing.question import Answer, Most, SubjectAnswer
from lmn_bench.sizing.trial import Trial, found_by_bisection
from lmn_bench.units import format_bytes, format_count, format_length, format_ratio


class Extras:
    """What was asked beside the main question.

    Args:
        most: of `--find width` or `--find layers`: what was looked for, and the most per subject.
        devices: of `--find device`.
        front: of `--pareto`.
        trials: of `--verify`, in the order in which they were run.
    """

    def __init__(
        self,
        most: tuple[str, dict[str, Most | None]] | None = None,
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
        answers=tuple(verdict_sentence(one) for one in answer.subjects) + _saving(answer),
        sections=tuple(_sections(answer, extras)),
    )


def _saving(answer: Answer) -> tuple[str, ...]:
    """What the choice of model saves: the first subject against the others."""
    first, *others = answer.subjects
    if first.memory is None:
        return ()
    said = []
    for other in others:
        if other.memory is None:
            continue
        mine = first.memory.state + first.memory.working
        theirs = other.memory.state + other.memory.working
        if mine > 0:
            said.append(
                f"On top of program and weights, {other.name} takes {format_bytes(theirs)}, "
                f"{format_ratio(theirs / mine)} what {first.name} takes ({format_bytes(mine)})."
            )
    return tuple(said)


def _sections(answer: Answer, extras: Extras) -> Iterator[Section]:
    told = [one for one in answer.subjects if one.memory is not None]
    if told:
        memory, latency = memory_chart(answer), latency_chart(answer)
        yield Section("Memory", tables=(_memory_table(answer, told),), charts=(memory,))
        charts = () if latency is None else (latency,)
        yield Section("Time", tables=(_time_table(answer, told),), charts=charts)
    yield Section("How far one could go", tables=(_most_table(answer, extras),))
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
        parts = (need.floor, need.parameters, need.state, need.working, need.total)
        rows.append(
            (one.name, *(format_bytes(part) for part in parts),
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
            why = "; ".join(one.reasons) or NOTHING
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
        titles.append({"width": "largest width", "layers": "most layers"}[extras.most[0]])
    rows = []
    for one in answer.subjects:
        cells = [one.name, FITS[one.fits], most_words(one.longest_context, one.case),
                 most_words(one.largest_batch, one.case)]  # fmt: skip
        if extras.most is not None:
            cells.append(most_words(extras.most[1].get(one.name), one.case))
        rows.append(tuple(cells))
    return Table(
        "The most that keeps all limits, and which of them stops it",
        tuple(titles),
        tuple(rows),
        note="≥: nothing stops it within what the measured lengths can promise. ~: an estimate, "
        "scaled from another size or batch that was measured.",
        words=(1,),
    )


def _device_table(devices: Sequence[DeviceAnswer]) -> Table:
    rows = []
    for one in devices:
        need, latency = one.answer.memory, one.answer.latency
        rows.append(
            (one.profile.title, format_bytes(one.profile.memory_bytes),
             NOTHING if need is None else format_bytes(need.total),
             NOTHING if latency is None else latency_words(latency), device_words(one))
        )  # fmt: skip
    return Table(
        "Devices by memory",
        ("device", "memory", "needed", "latency", "verdict"),
        tuple(rows),
        note="Latencies are rooflines at the share of them that was reached here: estimates, by "
        "which a limit is likely to be kept; where Python runs, no less than it takes to start a "
        "call's operations. A GPU needs its context beside the model; where no Python runs, "
        "nothing is counted for the program itself.",
        words=(4,),
    )


def _front_sentences(front: Sequence[Choice]) -> tuple[str, ...]:
    if not front:
        return ("No size that was tried keeps all limits.",)
    return (
        "Sizes that keep all limits and that no other beats in parameters, memory and time at "
        "once; scaled from what was measured.",
    )


def _front_tables(front: Sequence[Choice]) -> tuple[Table, ...]:
    if not front:
        return ()
    rows = tuple(
        (one.subject, str(one.model.width), str(one.model.layers), format_count(one.parameters),
         format_bytes(one.memory.total), latency_words(one.latency))
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
