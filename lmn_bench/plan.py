"""A suite into cases: the grid, stable ids, what is skipped and why, what it will cost.

The cost is a first-order forecast from formulas, for a person deciding whether to start; nothing
measured comes from it.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from lmn_bench import costs
from lmn_bench.errors import SubjectError
from lmn_bench.lessons import TEXT, Learning, Lesson
from lmn_bench.schema import MODES, Case, Environment, Measuring, ModelSpec, Suite, Sweep
from lmn_bench.subjects.learner_sizes import learner_feedforward_width
from lmn_bench.subjects.names import BUILTIN, WITH_CUDA_GRAPHS, is_user_subject

# Fork, build, check and load kernels in every process (measured: 0.1 to 0.25 s at small widths).
OVERHEAD_PER_PROCESS_S = 0.15
# Load torch's compiler and compile a block (measured: 5 to 40 s; later processes find what the
# first one compiled in torch's cache on disk).
COMPILE_S = 15.0
# A training starts an interpreter of its own, which loads torch.
LOADING_S = 2.0
# The memory pass, one warm-up and one sample at least.
MIN_CALLS_PER_PROCESS = 2
NO_GPU = "no NVIDIA GPU on this machine"


@dataclass(frozen=True)
class PlannedCase:
    """One case of the plan.

    Attributes:
        case: what is to be measured.
        skip: why it won't be, or None.
        memory_bytes: forecast of parameters + state + working memory; None for a user's model.
        seconds: forecast for all its processes together; None for a user's model.
        absent: it asks for a device that isn't here, or a mode that this version lacks: such
            cases are no part of a run on this machine, and leave no record.
    """

    case: Case
    skip: str | None
    memory_bytes: int | None
    seconds: float | None
    absent: bool = False


def plan(suite: Suite, environment: Environment, no_cuda: str = "") -> list[PlannedCase]:
    """All cases of a suite, each once, in the order of the file.

    Args:
        suite: what is to be measured.
        environment: the machine.
        no_cuda: why its GPUs cannot be used; empty where they can, or where there are none.
    """
    if suite.learning is not None:
        learning = suite.learning
        planned = [_planned_lesson(case, learning, environment) for case in all_cases(suite)]
    else:
        planned = [_planned(case, suite.measuring, environment) for case in all_cases(suite)]
    reason = no_cuda if environment.gpus else NO_GPU
    return [
        replace(item, skip=reason, absent=True) if reason and item.case.device == "cuda" else item
        for item in planned
    ]


def on_this_machine(planned: Iterable[PlannedCase]) -> list[PlannedCase]:
    """The cases that are part of a run on this machine, measured or skipped."""
    return [item for item in planned if not item.absent]


def left_out(planned: Iterable[PlannedCase]) -> dict[str, int]:
    """How many cases are no part of a run on this machine, by reason."""
    return Counter(item.skip or "" for item in planned if item.absent)


def all_cases(suite: Suite) -> list[Case]:
    """The grid of every sweep; a case that stands in two of them counts once."""
    return list(
        dict.fromkeys(
            itertools.chain.from_iterable(_grid(sweep, suite.learning) for sweep in suite.sweeps)
        )
    )


def runnable(planned: Iterable[PlannedCase]) -> list[Case]:
    """The cases that will be measured."""
    return [item.case for item in planned if item.skip is None]


def _grid(sweep: Sweep, learning: Learning | None) -> Iterator[Case]:
    sizes = itertools.product(sweep.width, sweep.heads, sweep.layers, sweep.banks, sweep.expansion)
    models = [ModelSpec(*size) for size in sizes]
    settings = itertools.product(
        sweep.device, sweep.dtype, sweep.threads, sweep.memory_cap, sweep.batch,
        itertools.product(sweep.compile, sweep.cuda_graph),
    )  # fmt: skip
    for (device, dtype, threads, cap, batch, forms), model in itertools.product(settings, models):
        compiled, cuda_graph = forms
        lessons = _lessons(sweep, learning)
        points = itertools.product(sweep.modes, lessons, sweep.subjects)
        for mode, (lesson, lengths), subject in points:
            for length in lengths:
                yield Case(
                    subject=subject, mode=mode, length=length, device=device, batch=batch,
                    dtype=dtype, threads=threads, memory_cap_bytes=cap, model=model,
                    compile=compiled, cuda_graph=cuda_graph, lesson=lesson,
                )  # fmt: skip


def _lessons(
    sweep: Sweep, learning: Learning | None
) -> list[tuple[Lesson | None, tuple[int, ...]]]:
    """What a sweep learns, each with its lengths; without learning, nothing at all of them."""
    if learning is None:
        return [(None, sweep.lengths)]
    return [
        (learning.lesson(task, rate), sweep.lengths if task == TEXT else (_task_length(task),))
        for task in sweep.task
        for rate in sweep.learning_rate
    ]


def _task_length(task: str) -> int:
    # It loads numpy, which no other plan needs.
    from lmn_bench.learning.tasks.presets import task_preset

    return task_preset(task).train.length


def _vocabulary(task: str) -> int:
    from lmn_bench.learning.tasks.presets import task_preset

    return task_preset(task).train.vocabulary_size


def _planned(case: Case, measuring: Measuring, environment: Environment) -> PlannedCase:
    if case.mode not in MODES:
        unknown = f"mode {case.mode!r} is unknown here: a newer lmn-bench measured it"
        return PlannedCase(case, unknown, None, None, absent=True)
    skip = _skip_reason(case, environment)
    if case.subject not in BUILTIN:
        return PlannedCase(case, skip, None, None)
    try:
        memory_bytes = costs.memory_bytes(case)
        call_s = costs.seconds(case)
    except SubjectError as error:
        return PlannedCase(case, skip or error.message, None, None)
    return PlannedCase(case, skip, memory_bytes, _case_seconds(case, call_s, measuring))


def _planned_lesson(case: Case, learning: Learning, environment: Environment) -> PlannedCase:
    """A training takes its steps' time; embedding, head and validation come on top."""
    assert case.lesson is not None
    skip = _skip_reason(case, environment) or _size_problem(case, case.lesson, learning)
    budget, seeds = case.lesson.budget, learning.seeds
    steps = budget.steps(case.batch, case.length)
    if steps is None:
        return PlannedCase(case, skip, None, (LOADING_S + budget.amount) * seeds)
    # How weights are drawn, and what positions are, make no difference.
    subject = case.subject.partition("@")[0].removesuffix("-learned")
    if subject not in BUILTIN:
        return PlannedCase(case, skip, None, None)
    try:
        step = replace(case, subject=subject, mode="train", lesson=None)
        memory_bytes, step_s = costs.memory_bytes(step), costs.seconds(step)
    except SubjectError as error:
        return PlannedCase(case, skip or error.message, None, None)
    return PlannedCase(case, skip, memory_bytes, (LOADING_S + steps * step_s) * seeds)


def _size_problem(case: Case, lesson: Lesson, learning: Learning) -> str | None:
    """Why a learner cannot have its budget of parameters, as far as its vocabulary is known."""
    vocabulary = learning.vocabulary if lesson.task == TEXT else _vocabulary(lesson.task)
    if not vocabulary or is_user_subject(case.subject):
        return None
    try:
        learner_feedforward_width(
            case.subject, case.model, vocabulary=vocabulary, length=case.length,
            budget=lesson.parameters, tied=lesson.tie_weights,
        )  # fmt: skip
    except SubjectError as error:
        return f"{error.message} ({error.hint})"
    return None


def _skip_reason(case: Case, environment: Environment) -> str | None:
    if case.device == "cpu" and case.threads > environment.logical_cores:
        return f"{case.threads} threads asked for, {_cores(environment.logical_cores)} here"
    if case.compile and case.memory_cap_bytes is not None:
        return "a compiler needs memory of its own: compiled cases are measured without a cap"
    return _graph_skip_reason(case) if case.cuda_graph else None


def _cores(count: int) -> str:
    return f"{count} core{'s' * (count != 1)}"


def _graph_skip_reason(case: Case) -> str | None:
    if case.compile:
        return "a case is compiled or runs as CUDA graphs, not both"
    if case.mode != "decode" or case.subject not in WITH_CUDA_GRAPHS:
        return f"CUDA graphs are there for decode of {', '.join(sorted(WITH_CUDA_GRAPHS))} alone"
    return None


def _case_seconds(case: Case, call_s: float, measuring: Measuring) -> float:
    # A context is prefilled once; its steps are short.
    once = case.mode == "decode" or not measuring.timing
    calls = 1 if once else MIN_CALLS_PER_PROCESS
    timed_s = max(calls * call_s, measuring.time_goal_s if measuring.timing else 0.0)
    process_s = OVERHEAD_PER_PROCESS_S + timed_s + (COMPILE_S if case.compile else 0.0)
    return min(process_s, measuring.timeout_s) * measuring.processes
