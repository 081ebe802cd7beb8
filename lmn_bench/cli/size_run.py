"""What `size` does: read the question, find runs, answer, try out, report."""

from __future__ import annotations

import math
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lmn_bench.cli.console import print_json, stderr_console, stdout_console
from lmn_bench.cli.outputs import require_form, require_writable, save_made
from lmn_bench.cli.size_evidence import find_evidence, making_command
from lmn_bench.devices import DeviceProfile, device, load_devices
from lmn_bench.errors import ExitCode, SubjectError, UnknownNameError, UsageError
from lmn_bench.report.markdown import render_markdown
from lmn_bench.report.sized.data import sizing_json, sizing_page
from lmn_bench.report.sized.document import Extras, sizing_document
from lmn_bench.report.text import render_document
from lmn_bench.schema import DEVICES, DTYPES, MODES, Case, ModelSpec
from lmn_bench.sizing.answer import answer
from lmn_bench.sizing.evidence import Evidence
from lmn_bench.sizing.find import Sought, deepest, on_devices, pareto_front, widest
from lmn_bench.sizing.memory import parameter_bytes
from lmn_bench.sizing.question import Answer, Doubt, Limits, Question
from lmn_bench.subjects.names import BUILTIN, is_user_subject
from lmn_bench.subjects.sizes import feedforward_width, require_mode
from lmn_bench.units import format_bytes, parse_bytes, parse_length, parse_seconds

# How memory is counted, in words.
COUNTED = {
    "cgroup": "memory is what is used: pages that are touched",
    "rlimit": "memory is what is reserved, touched or not, as RLIMIT_DATA counts it",
}
_BASELINES = ("transformer", "lstm")
# The one quantity that may be none.
_NOTHING = re.compile(r"\s*0+\s*([kmgt]?i?b?)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Asked:
    """The question as it was typed; see the options of `size`."""

    model: str
    against: str | None
    mode: str
    context: str
    spec: ModelSpec
    batch: int
    dtype: str
    threads: int | None
    memory: str | None
    latency: str | None
    throughput: float | None
    floor: str | None
    devices: tuple[str, ...]


@dataclass(frozen=True)
class Wanted:
    """What to do with it."""

    runs: tuple[str, ...]
    find: str | None
    pareto: bool
    verify: str | None
    cap_mechanism: str
    timeout_s: float
    html: Path | None
    markdown: Path | None
    as_json: bool


def run_size(asked: Asked, wanted: Wanted, results: Path) -> ExitCode:
    """Answer, and return whether it fits as an exit code."""
    question, profiles = read_question(asked)
    _check(question, wanted)
    counted_by = "cgroup" if wanted.verify is None else wanted.cap_mechanism
    found, machine = find_evidence(question, wanted.runs, results, counted_by)
    if not any(one.series.subject == question.subjects[0] for one in found):
        case = question.case
        raise UsageError(
            f"there is no run that {case.subject} in {case.mode} could be foretold from",
            f"make one: {making_command(question)}",
        )
    if wanted.find not in ("width", "layers"):
        # What a device has is a question; what was typed below the weights is a slip.
        _require_possible(question, typed=asked.memory is not None)
    told = answer(question, found, COUNTED[counted_by])
    extras = _extras(question, profiles, told, found, wanted)
    _warn(question, told, tried=wanted.verify is not None)
    _tell_commands(extras)
    written = _report(told, extras, machine, wanted)
    return exit_code(told) or (ExitCode.OK if written else ExitCode.USAGE)


def read_question(asked: Asked) -> tuple[Question, list[DeviceProfile]]:
    """The question, and the profiles of several devices where it asks for more than one.

    Raises:
        UsageError: a quantity, name or mode that cannot be read.
    """
    if asked.mode == "stream":
        raise UsageError("nothing is foretold of stream", "--mode decode tells of its every token")
    for kind, name, known in (("mode", asked.mode, MODES), ("dtype", asked.dtype, DTYPES)):
        if name not in known:
            raise UnknownNameError(kind, name, known)
    subjects = _subjects(asked)
    here = [name for name in asked.devices if name in DEVICES]
    if here and len(asked.devices) > 1:
        raise UsageError(
            f"--device {here[0]} is this machine and stands alone",
            "name profiles of other devices together, or this machine",
        )
    profiles = [device(name) for name in asked.devices if name not in DEVICES]
    case = Case(
        subjects[0], asked.mode, parse_length(asked.context), here[0] if here else "cpu",
        asked.batch, asked.dtype, asked.threads or 0, None, asked.spec,
    )  # fmt: skip
    if subjects[0] in BUILTIN:
        require_mode(subjects[0], asked.mode)
    profile = profiles[0] if len(profiles) == 1 else None
    memory = None if asked.memory is None else parse_bytes(asked.memory)
    if memory is None and profile is not None:
        memory = profile.usable_bytes
    latency = None if asked.latency is None else parse_seconds(asked.latency)
    if asked.throughput is not None and not 0 < asked.throughput < math.inf:
        raise UsageError(f"--throughput expects tokens a second above 0, got {asked.throughput:g}")
    floor = None
    if asked.floor is not None:
        floor = 0 if _NOTHING.fullmatch(asked.floor) else parse_bytes(asked.floor)
    limits = Limits(memory, latency, asked.throughput)
    return Question(case, subjects, limits, floor, profile), profiles if len(profiles) > 1 else []


def _subjects(asked: Asked) -> tuple[str, ...]:
    others = _BASELINES if asked.against is None else [
        name.strip() for name in asked.against.split(",") if name.strip()
    ]  # fmt: skip
    names = dict.fromkeys((asked.model, *others))
    for name in names:
        if name not in BUILTIN and not is_user_subject(name):
            raise UnknownNameError(
                "model", name, BUILTIN, "; your own model is package.module:factory"
            )
    return tuple(names)


def _check(question: Question, wanted: Wanted) -> None:
    if wanted.verify is not None:
        if wanted.verify not in ("once", "bisect"):
            raise UsageError(f"--verify knows only bisect, got {wanted.verify!r}")
        if question.limits.memory_bytes is None:
            raise UsageError("--verify runs under a cap, and there is none", "give --memory SIZE")
        if question.profile is not None or question.case.device != "cpu":
            raise UsageError(
                "--verify runs on the CPU of this machine",
                "leave out --device; a GPU's cap would be emulated",
            )
    files = (("--html", wanted.html, "html"), ("--markdown", wanted.markdown, "md"))
    for option, path, form in files:
        require_form(option, path, form)
        if path is not None:
            require_writable(option, path)


def _require_possible(question: Question, *, typed: bool) -> None:
    """A limit below the weights alone is a slip, not a question.

    Raises:
        UsageError: saying how much they take.
    """
    case, limit = question.case, question.limits.memory_bytes
    if case.subject not in BUILTIN:
        return
    try:
        feedforward_width(case.subject, case.model)
    except SubjectError as error:
        raise UsageError(error.message, error.hint) from None
    weights = parameter_bytes(case)
    if typed and limit is not None and limit < weights:
        raise UsageError(
            f"{format_bytes(limit)} cannot hold the parameters of {case.subject} alone: "
            f"{format_bytes(weights)} at {case.model.label} in {case.dtype}",
            "give more memory, less --width or --layers, or a shorter --dtype",
        )


def _extras(
    question: Question, profiles: Sequence[DeviceProfile], told: Answer, found: list[Evidence],
    wanted: Wanted,
) -> Extras:  # fmt: skip
    extras = Extras()
    if wanted.find in ("width", "layers"):
        extras.most = _sought(wanted.find, question, found)
    if wanted.find == "device" or profiles:
        chosen = profiles or list(load_devices().values())
        extras.devices = on_devices(replace(question, profile=None), found, chosen)
    if wanted.pareto:
        extras.front = pareto_front(question, found)
    if wanted.verify is not None:
        from lmn_bench.cli.size_verify import verify

        extras.trials = verify(
            told, found, bisect=wanted.verify == "bisect", mechanism=wanted.cap_mechanism,
            timeout_s=wanted.timeout_s,
        )  # fmt: skip
    return extras


def _sought(what: str, question: Question, found: list[Evidence]) -> Sought:
    search = widest if what == "width" else deepest
    most = {one: search(one, question, found) for one in question.subjects}
    commands = {}
    for name, one in most.items():
        if one is not None and one.scaled and one.value:
            sized = replace(question.case.model, **{what: one.value})
            case = replace(question.case, subject=name, model=sized)
            commands[name] = making_command(replace(question, case=case, subjects=(name,)))
    return Sought(what, most, commands)


def _warn(question: Question, told: Answer, *, tried: bool) -> None:
    """What makes the answer less sure, and the command that would make it surer."""
    first = told.subjects[0]
    uncertain = first.memory is None or (
        question.profile is None and first.memory.basis.is_estimate
    )
    lacking = tuple(one.name for one in told.subjects if not one.evidence)
    if uncertain:
        _hint(f"measure these sizes for a surer answer: {making_command(question)}")
    elif lacking:
        command = making_command(replace(question, subjects=lacking))
        _hint(f"no run tells of {', '.join(lacking)}: {command}")
    if uncertain or question.profile is not None:
        return
    if Doubt.NEAR in first.doubts and not tried and question.limits.memory_bytes is not None:
        again = shlex.join(("lmn-bench", *sys.argv[1:], "--verify"))
        _hint(f"try it out, under the limit as a cap: {again}")
    if {Doubt.WIDE, Doubt.NO_INTERVAL, Doubt.NOT_MEASURED} & {*first.doubts}:
        _hint(f"measure this length itself: {making_command(question, whole=True)}")


def _tell_commands(extras: Extras) -> None:
    """What would measure the sizes that were found: whole lines, to be typed."""
    for name, command in extras.most.commands.items() if extras.most is not None else ():
        _hint(f"measure what was found for {name}: {command}")


def _hint(text: str) -> None:
    stderr_console().print(f"hint: {text}", style="yellow", markup=False, soft_wrap=True)


def _report(told: Answer, extras: Extras, machine: str, wanted: Wanted) -> bool:
    """Write and say everything; whether every file is written."""
    document = sizing_document(told, extras, machine)
    texts = ((wanted.html, lambda: sizing_page(told, extras, machine)),
             (wanted.markdown, lambda: render_markdown(document)))  # fmt: skip
    written = True
    for path, make in texts:
        if path is None:
            continue
        if save_made(path, make):
            stderr_console().print(f"wrote {path}", markup=False, soft_wrap=True)
        else:
            written = False
    if wanted.as_json:
        print_json(sizing_json(told, extras))
        return written
    console = stdout_console()
    console.print(render_document(document, console))
    return written


def exit_code(told: Answer) -> ExitCode:
    """0 it fits, 1 it does not, 4 it cannot be told."""
    fits = told.subjects[0].fits
    if fits is None:
        return ExitCode.INCONCLUSIVE
    return ExitCode.OK if fits else ExitCode.CASES_FAILED
