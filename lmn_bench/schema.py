"""The shared vocabulary: suites, cases, records, environments. Frozen data, standard library only.

`SCHEMA` is written into every run folder and every record. Raise it when a stored field changes
its meaning or goes away; a new optional field needs no new number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from functools import cached_property
from operator import attrgetter
from typing import Any

from lmn_bench.lessons import LEARN, TEXT, Budget, Learned, Learning, Lesson
from lmn_bench.units import format_cap

SCHEMA = 1

MODES = {
    "train": "forward and backward over a whole sequence",
    "prefill": "parallel inference over a whole sequence, returning the state",
    "read": "a whole sequence in segments with bounded memory, keeping the state and the last "
    "token's output",
    "decode": "one token at a context of n tokens",
    "stream": "n tokens one by one from nothing",
}
# Learning is no computation to be timed: what it costs and what came of it are measured together.
ALL_MODES = {**MODES, LEARN: "a training on a text or a task: loss, accuracy, time, memory, state"}
DTYPES = ("float32", "bfloat16", "float64")
DEVICES = ("cpu", "cuda")
# What enforces memory caps on the CPU; on CUDA they are emulated in one way.
DEFAULT_CAP_MECHANISM = "rlimit"
CAP_MECHANISMS = (DEFAULT_CAP_MECHANISM, "cgroup")
DEFAULT_MALLOC, LEAN_MALLOC = "default", "lean"
MALLOCS = (DEFAULT_MALLOC, LEAN_MALLOC)
# The growth functions that data are held against, from the slowest to the fastest.
LAWS = ("constant", "log n", "log^2 n", "sqrt n", "n", "n log n", "n log^2 n", "n^2")


class Outcome(StrEnum):
    """How a replicate ended. Each of them is a result."""

    OK = "ok"
    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    KILLED = "killed"
    ERROR = "error"
    INCORRECT = "incorrect"
    DIVERGED = "diverged"
    SKIPPED = "skipped"


# After these, confirmed by a second process, longer lengths of the series are not worth trying.
BACKSTOP_OUTCOMES = frozenset({Outcome.OUT_OF_MEMORY, Outcome.TIMEOUT, Outcome.KILLED})


@dataclass(frozen=True, order=True)
class ModelSpec:
    """The size of a subject: what every family is built from.

    Attributes:
        width: features per token.
        heads: attention heads (subjects without attention ignore it).
        layers: stacked blocks.
        banks: summaries per tree node (LMN only).
        expansion: vectors that a node gains per level (`lmn-expander` only).
    """

    width: int = 64
    heads: int = 4
    layers: int = 1
    banks: int = 1
    expansion: int = 1

    @property
    def label(self) -> str:
        """Short form for case ids: w64-h4-l1-k1-v1."""
        return f"w{self.width}-h{self.heads}-l{self.layers}-k{self.banks}-v{self.expansion}"


@dataclass(frozen=True, order=True)
class Case:
    """One point of a suite's grid. `length` is tokens; for decode it is the context.

    `compile`: the computation goes through torch.compile. `cuda_graph`: every step of decode is a
    recorded CUDA graph. `lesson`: of mode learn alone.
    """

    subject: str
    mode: str
    length: int
    device: str = "cpu"
    batch: int = 1
    dtype: str = "float32"
    threads: int = 1
    memory_cap_bytes: int | None = None
    model: ModelSpec = ModelSpec()
    compile: bool = False
    cuda_graph: bool = False
    lesson: Lesson | None = None

    @property
    def forms(self) -> tuple[str, ...]:
        """How the computation is run, other than plainly, in words."""
        return ("compiled",) * self.compile + ("CUDA graphs",) * self.cuda_graph

    @cached_property
    def id(self) -> str:
        """A stable, readable name: the same point has the same id in every run."""
        return "/".join(
            (
                self.subject,
                self.mode,
                str(self.length),
                f"{self.device}-t{self.threads}",
                self.dtype,
                f"b{self.batch}",
                self.model.label,
                f"cap-{format_cap(self.memory_cap_bytes)}",
                # Ids from before there were these axes stay as they are.
                *(form.lower().replace(" ", "-") for form in self.forms),
                *((self.lesson.label,) if self.lesson else ()),
            )
        )

    @cached_property
    def series(self) -> Case:
        """What cases that differ only in length share: this case at length 0."""
        return replace(self, length=0)

    @cached_property
    def setting(self) -> Case:
        """What cases must share to be set side by side: all but subject and length."""
        return replace(self, length=0, subject="")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Case:
        """The case that `dataclasses.asdict` turned into `data`."""
        lesson = data.get("lesson")
        if lesson is not None:
            lesson = Lesson(**{**lesson, "budget": Budget(**lesson["budget"])})
        return cls(**{**data, "model": ModelSpec(**data["model"]), "lesson": lesson})


_CASE_FIELDS = tuple(f.name for f in fields(Case))
_values_of_case = attrgetter(*_CASE_FIELDS)


@dataclass(frozen=True)
class Measuring:
    """How every case of a run is measured.

    Attributes:
        processes: replicates per case, each a process of its own.
        timeout_s: wall-clock limit of one process, building and warm-up included.
        time_goal_s: time spent on timed samples in one process, at least.
        precision_goal: stop early once the interval of the median is this narrow (relative).
        min_samples: timed samples per process, at least.
        max_samples: timed samples per process, at most.
        warmup_limit_s: warm-up ends here even if the samples are not steady yet.
        quiet_wait_s: sample this much longer while the machine itself is slow (see the metric
            `reference_loop_s`).
        quiet_extra_s: when all is measured, spend at most this much on further processes of cases
            that have fewer than three undisturbed ones.
        decode_window: tokens decoded one by one in each timed pass of decode.
        timing: take timed samples; without, a case is built, checked, called once for its memory,
            and counted.
        counters: count FLOPs, operations and allocator events (first process of a case only).
        memory_timeline: sample resident memory over time in a pass of its own.
        needs: measure what a case needs in all (`needed_bytes`), for sizing; with `timing` off,
            nothing else.
        blank_context: decode starts from a state of blank tokens, of the size that read ones would
            have: no time is spent on reading them. Only builtin models have one.
        ceilings: measure the machine's ceilings before the first case (see `Ceiling`).
        cap_mechanism: what enforces memory caps on the CPU: "rlimit" (what a process asks for) or
            "cgroup" (what it uses; needs a group of its own).
        malloc: "default", or "lean": the least memory, at some cost of time (`lmn_bench.malloc`).
    """

    processes: int = 5
    timeout_s: float = 60.0
    time_goal_s: float = 0.15
    precision_goal: float = 0.005
    min_samples: int = 1
    max_samples: int = 200
    warmup_limit_s: float = 0.5
    quiet_wait_s: float = 0.1
    quiet_extra_s: float = 0.0
    decode_window: int = 32
    timing: bool = True
    counters: bool = True
    memory_timeline: bool = False
    needs: bool = False
    blank_context: bool = False
    ceilings: bool = False
    cap_mechanism: str = DEFAULT_CAP_MECHANISM
    malloc: str = DEFAULT_MALLOC


@dataclass(frozen=True)
class Sweep:
    """One grid of a suite: the product of its axes, each a tuple of values.

    `task` and `learning_rate` are of mode learn alone. Tasks other than text have lengths of their
    own: where there is no text, `lengths` may be empty.
    """

    subjects: tuple[str, ...]
    modes: tuple[str, ...]
    lengths: tuple[int, ...]
    device: tuple[str, ...] = ("cpu",)
    batch: tuple[int, ...] = (1,)
    dtype: tuple[str, ...] = ("float32",)
    threads: tuple[int, ...] = (1,)
    memory_cap: tuple[int | None, ...] = (None,)
    width: tuple[int, ...] = (64,)
    heads: tuple[int, ...] = (4,)
    layers: tuple[int, ...] = (1,)
    banks: tuple[int, ...] = (1,)
    expansion: tuple[int, ...] = (1,)
    compile: tuple[bool, ...] = (False,)
    cuda_graph: tuple[bool, ...] = (False,)
    task: tuple[str, ...] = (TEXT,)
    learning_rate: tuple[float, ...] = (1e-3,)


@dataclass(frozen=True)
class Claim:
    """How a suite says that a metric of a subject grows with length.

    Attributes:
        law: one of `LAWS`.
        at_most: whether slower growth keeps the claim too ("n log n or better").
    """

    subject: str
    mode: str
    metric: str
    law: str
    at_most: bool = False

    @property
    def text(self) -> str:
        """The law as it is claimed: "~ log n", "at most n log n"."""
        return f"at most {self.law}" if self.at_most else f"~ {self.law}"


@dataclass(frozen=True)
class Suite:
    """What to measure and how: the content of a suite file after validation.

    A suite with `learning` has cases of mode learn and no others.

    Attributes:
        reference: the subject that reports compare the others with; None leaves it to them.
    """

    name: str
    description: str
    measuring: Measuring
    sweeps: tuple[Sweep, ...]
    claims: tuple[Claim, ...] = ()
    learning: Learning | None = None
    reference: str | None = None

    @property
    def replicates(self) -> int:
        """Times that every case is measured: processes, or seeds of a training."""
        return self.learning.seeds if self.learning else self.measuring.processes


@dataclass(frozen=True)
class NoiseWarning:
    """Something that makes numbers less sure: what it is, what was seen, what to do."""

    code: str
    message: str
    hint: str


@dataclass(frozen=True)
class CapMechanism:
    """A way to enforce memory caps, and whether this session has it.

    Attributes:
        name: "rlimit", "cgroup" or "cuda fraction".
        available: whether it can be used here.
        detail: by what it is enforced here, or why it cannot be.
    """

    name: str
    available: bool
    detail: str


@dataclass(frozen=True)
class Gpu:
    """One GPU as NVML describes it (bytes, watts)."""

    name: str
    memory_bytes: int
    driver: str
    power_limit_w: float | None = None
    other_processes: int = 0
    throttle_reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Environment:
    """Facts of the machine and its software when a run starts."""

    hostname: str
    cpu_model: str
    logical_cores: int
    physical_cores: int
    memory_bytes: int
    available_memory_bytes: int
    memory_limit_bytes: int | None
    os: str
    kernel: str
    python: str
    lmn_bench: str
    torch: str
    governor: str | None
    load_average: float
    git_commit: str | None
    git_dirty: bool | None
    gpus: tuple[Gpu, ...] = ()
    warnings: tuple[NoiseWarning, ...] = ()

    @property
    def machine(self) -> tuple[object, ...]:
        """What must agree for two measurements to be set side by side.

        The host's name is no part of it: a container draws one anew each time.
        """
        gpus = tuple(gpu.name for gpu in self.gpus)
        # Rounded: what the kernel keeps for itself differs from boot to boot.
        memory_gib = round(self.memory_bytes / 2**30)
        return (self.cpu_model, self.logical_cores, memory_gib, gpus, self.python, self.torch)


@dataclass(frozen=True)
class Ceiling:
    """The most that a device was seen to do: what a model's own rates are held against.

    Attributes:
        device: cpu or cuda.
        threads: CPU threads (0 on CUDA, where they make no difference).
        dtype: of the numbers.
        matrix_flops_per_s: of a product of two large square matrices.
        copy_bytes_per_s: of a copy far larger than any cache, bytes read and written together.
    """

    device: str
    threads: int
    dtype: str
    matrix_flops_per_s: float
    copy_bytes_per_s: float


@dataclass(frozen=True)
class Watched:
    """What the machine did while a process built, checked and timed its case.

    Attributes:
        wall_s: how long that took.
        cores: that the process could use.
        own_cpu_s: CPU time of the process and its children.
        others_cpu_s: CPU time of everything else on these cores.
        stolen_s: time for which a hypervisor kept these cores from us.
        switches: times that a core was taken from a thread of the process.
        load_average: of the machine over the last minute, at the end.
        pressure_s: time in which anything (where there are groups: in ours) waited for a core.
        timed_s: length of all timed rounds.
        timed_cpu_s: CPU time of the process in them.
        waited_s: of that, how long the thread that waited most in each had no core; None where
            the kernel doesn't tell.
        counted_s: length of the rounds that count.
        counted_waited_s: as `waited_s`, of the rounds that count.
    """

    wall_s: float
    cores: int
    own_cpu_s: float
    others_cpu_s: float
    stolen_s: float
    switches: int
    load_average: float
    pressure_s: float | None = None
    timed_s: float = 0.0
    timed_cpu_s: float = 0.0
    waited_s: float | None = None
    counted_s: float = 0.0
    counted_waited_s: float | None = None


@dataclass(frozen=True)
class SeriesLimit:
    """Where a series ended: longer lengths of it were not worth trying.

    Attributes:
        length: the shortest at which no process finished.
        ends: how many of its processes ended in which way.
    """

    length: int
    ends: Mapping[Outcome, int]


@dataclass(frozen=True)
class Record:
    """One outcome of one replicate: a line of `records.jsonl`.

    Attributes:
        metrics: base units (s, B, FLOP, tokens); keys are those of `lmn_bench.metrics`.
        samples_s: every timed sample in order. In decode each pass adds `decode_window` + 1
            steps: the step to token n first, then the window after it.
        warmup_samples_s: samples before the timing was steady; never part of a statistic.
        disturbed_samples_s: samples taken while the machine itself was slow, set apart.
        order: place of this replicate in the shuffled sweep.
        cap_mechanism: what enforced the memory cap: "rlimit", "cgroup v1", "cgroup v2" or "cuda
            fraction" (emulated); None without a cap, or where it came to none.
        lesson: of mode learn, what was to be learned.
        learned: of mode learn, how it went.
        limit: of what was skipped because its series had ended at this or a shorter length.
        watched: of what was timed, what the machine did meanwhile.
        stderr: lines that a user's code wrote to standard error, each different one once.
    """

    case_id: str
    subject: str
    mode: str
    device: str
    length: int
    batch: int
    dtype: str
    threads: int
    memory_cap_bytes: int | None
    model: ModelSpec
    replicate: int
    outcome: Outcome
    compile: bool = False
    cuda_graph: bool = False
    reason: str | None = None
    cap_mechanism: str | None = None
    metrics: dict[str, float | int] = field(default_factory=dict)
    samples_s: tuple[float, ...] = ()
    warmup_samples_s: tuple[float, ...] = ()
    disturbed_samples_s: tuple[float, ...] = ()
    memory_timeline: tuple[tuple[float, float], ...] = ()
    lesson: Lesson | None = None
    learned: Learned | None = None
    limit: SeriesLimit | None = None
    watched: Watched | None = None
    warnings: tuple[str, ...] = ()
    stderr: tuple[str, ...] = ()
    order: int = 0
    started_at: str = ""
    wall_s: float = 0.0
    schema: int = SCHEMA

    @classmethod
    def of(cls, case: Case, replicate: int, outcome: Outcome, **rest: Any) -> Record:
        """A record of `case`, with the case's own fields filled in."""
        shared = {name: getattr(case, name) for name in _CASE_FIELDS}
        return cls(case_id=case.id, replicate=replicate, outcome=outcome, **shared, **rest)

    @cached_property
    def case(self) -> Case:
        """The case this record is of."""
        return Case(*_values_of_case(self))

    @property
    def is_failure(self) -> bool:
        """Whether this end was not to be expected.

        Running out of memory under a cap, or of the suite's time, is a result that was asked for.
        """
        if self.outcome is Outcome.OUT_OF_MEMORY or self.outcome is Outcome.KILLED:
            return self.memory_cap_bytes is None
        return self.outcome in {Outcome.ERROR, Outcome.INCORRECT}

    @property
    def can_go_on(self) -> bool:
        """Whether it stands for a training that was killed, which `run --resume` goes on with.

        A later record of the same replicate takes its place.
        """
        return self.mode == LEARN and self.outcome is Outcome.KILLED

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, schema first and empty optional fields left out."""
        data = asdict(self)
        data = {"schema": data.pop("schema"), **data}
        optional = ("compile", "cuda_graph", "cap_mechanism", "warmup_samples_s",
                    "disturbed_samples_s", "memory_timeline", "lesson", "learned",
                    "limit", "watched", "warnings", "stderr")  # fmt: skip
        return {k: v for k, v in data.items() if k not in optional or v}


@dataclass(frozen=True)
class RunInfo:
    """What a run folder knows about itself: `run.json`.

    Attributes:
        ceilings: of the machine when the run began, where the suite asks for them.
        sources: of a baseline, the runs that it was made of.
        no_cuda: why the GPUs of the machine could not be used; empty where they could, or where
            there are none.
    """

    run_id: str
    created_at: str
    suite: Suite
    seed: int
    environment: Environment
    command: tuple[str, ...] = ()
    finished_at: str | None = None
    ceilings: tuple[Ceiling, ...] = ()
    sources: tuple[str, ...] = ()
    no_cuda: str = ""
    schema: int = SCHEMA

    @property
    def origins(self) -> tuple[str, ...]:
        """The runs that these records come from: this one, or those of a baseline."""
        return self.sources or (self.run_id,)

    def ceiling(self, case: Case) -> Ceiling | None:
        """The ceiling of a case's device, threads and dtype, if it was measured."""
        threads = case.threads if case.device == "cpu" else 0
        wanted = (case.device, threads, case.dtype)
        found = (c for c in self.ceilings if (c.device, c.threads, c.dtype) == wanted)
        return next(found, None)
