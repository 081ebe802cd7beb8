"""The job behind a case of mode learn: one model, one lesson, one seed."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from lmn_bench.errors import DeviceError, DivergedError, SubjectError
from lmn_bench.lessons import Budget, Learned, Learning, Lesson
from lmn_bench.outcomes import allocation_that_failed, says_out_of_memory
from lmn_bench.plain import said_at, said_by, user_place
from lmn_bench.schema import Case, Outcome
from lmn_bench.subjects.learner_sizes import learner_state_bytes
from lmn_bench.subjects.learners import LMNLearner, build_learner
from lmn_bench.subjects.names import is_user_subject
from lmn_bench.subjects.printed import Printed
from lmn_bench.subjects.sequence_model import WrappedModel
from lmn_bench.subjects.user_body import copy_of
from lmn_bench.typed import typed
from lmn_bench.worker.learning.interim import Course, Interim
from lmn_bench.worker.learning.keeping import Keeper
from lmn_bench.worker.learning.loop import Lessons, Schedule, learn
from lmn_bench.worker.learning.material import Material, material_of
from lmn_bench.worker.learning.randomness import seed_random
from lmn_bench.worker.learning.remarks import Remarks
from lmn_bench.worker.learning.scoring import Score, score_of
from lmn_bench.worker.learning.telling import Tell, Ticker
from lmn_bench.worker.memory import held_bytes, marked_bytes, start_mark
from lmn_bench.worker.settings import Settings

# Points of a stored curve: more than a chart can show.
_MOST_POINTS = 200
# Of a curve, for the eye; final scores are kept as they are.
_LOSS_DIGITS = 6
_WARM_UP_TOKENS = 16


@dataclass(frozen=True)
class LessonJob:
    """What the parent asks for.

    Attributes:
        case: of mode learn.
        learning: of its suite.
        seed: of the weights and of the order of examples.
        interim: path of the file to go on from, and to keep what is done in.
    """

    case: Case
    learning: Learning
    seed: int
    interim: str

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> LessonJob:
        """Read what came as JSON."""
        learning = {**plain["learning"], "budget": Budget(**plain["learning"]["budget"])}
        return cls(
            Case.from_dict(plain["case"]), Learning(**learning), plain["seed"], plain["interim"]
        )


def learn_lesson(
    job: LessonJob,
    tell: Tell,
    stops: Callable[[], bool],
    end_helpers: Callable[[], int] = lambda: 0,
) -> None:
    """Train and test one model; tells "started", "step", "validation" and how it "ended".

    A model that cannot be built, a training that diverges or runs out of memory: each is a result.
    One that is broken off tells "stopped": its file has all that is needed to go on.

    Args:
        job: what to learn.
        tell: is told.
        stops: whether to break off.
        end_helpers: ends the processes that the model has started; how many there were.

    Raises:
        UsageError: the corpus cannot be had, or is another one.
        DeviceError: there is no such device.
        TrainingError: what is to be kept cannot be written, twice in a row.
    """
    printed = Printed()
    try:
        ending = _ending(job, tell, stops)
    finally:
        left = end_helpers()
    if "ended" in ending and is_user_subject(job.case.subject):
        ending["ended"] |= {"left": left, "stderr": printed.lines()}
    tell(ending)


def _ending(job: LessonJob, tell: Tell, stops: Callable[[], bool]) -> dict[str, Any]:
    """What is to be told of a training at its end."""
    try:
        return _learn(job, tell, stops)
    except DivergedError as error:
        return {"ended": {"outcome": Outcome.DIVERGED, "reason": error.message}}
    except SubjectError as error:
        return {"ended": {"outcome": Outcome.ERROR, "reason": error.message}}
    except (Exception, SystemExit) as error:
        if isinstance(error, MemoryError) or says_out_of_memory(said_by(error)):
            reason = allocation_that_failed(said_by(error))
            return {"ended": {"outcome": Outcome.OUT_OF_MEMORY, "reason": reason}}
        if user_place(error) is None:
            raise  # ours, or a case that cannot be learned here
        return {"ended": {"outcome": Outcome.ERROR, "reason": said_at(error)}}


def _learn(job: LessonJob, tell: Tell, stops: Callable[[], bool]) -> dict[str, Any]:
    case = job.case
    lesson = _lesson_of(case)
    torch.set_num_threads(case.threads)
    settings = Settings.now()
    device = _device(case.device)
    material = material_of(case, job.learning, job.seed)
    told = Remarks(settings, case)
    _warm_up(job, material, device, told)
    held = held_bytes(device)
    start_mark(device)
    model, optimizer = _new(job, material, device, told)
    interim = Interim(Path(job.interim), f"{case.id} seed {job.seed}")
    course, warning = interim.restore(model, optimizer, device)
    steps = lesson.budget.steps(case.batch, case.length)
    parameters = list(model.parameters())
    tell({"started": {
        "done": len(course.losses), "steps": steps,
        "parameters": sum(weight.numel() for weight in parameters),
    }})  # fmt: skip

    def mark() -> None:
        peak = marked_bytes(device)
        course.peak_bytes = max(course.peak_bytes, peak)
        course.working_bytes = max(course.working_bytes, peak - held)

    keeper = Keeper(
        lambda _: interim.save(model, optimizer, course), len(course.losses) or None, tell,
        lambda saved: _next_time(job, saved),
    )  # fmt: skip
    watcher = _Watcher(lesson, steps, course, keeper, mark, tell, stops)
    done = learn(
        model, optimizer, Lessons(
            material.training, lambda: score_of(model, material.validation(), device), device
        ),
        Schedule(steps=steps, validate_every=job.learning.validate_every,
                 save_every=job.learning.save_every, gradient_clip=lesson.gradient_clip),
        watcher, done=len(course.losses),
    )  # fmt: skip
    told.look_after_steps()
    if not watcher.is_complete(done):
        return {"stopped": done}
    return {"ended": {
        "outcome": Outcome.OK,
        "metrics": {
            **_metrics(case, course),
            "parameters": sum(weight.numel() for weight in parameters),
            "parameter_bytes": sum(weight.nbytes for weight in parameters),
            **_state_metric(case),
        },
        "learned": asdict(Learned(
            seed=job.seed, steps=done, training=thinned(course.losses),
            validation=tuple(course.validation), tests=_tests(model, material, device),
            chance=material.chance, vocabulary=material.vocabulary,
            resumptions=course.resumptions,
        )),
        "warnings": [*([warning] if warning else []), *told.warnings],
    }}  # fmt: skip


def _next_time(job: LessonJob, saved: int | None) -> str:
    """How to go on with the run of a training that cannot be kept here any more."""
    where = f"go on from step {saved:,}" if saved else "begin it again"
    return f"{where} with `{typed('run', '--resume', Path(job.interim).parents[1])}`"


def _new(
    job: LessonJob, material: Material, device: torch.device, told: Remarks
) -> tuple[LMNLearner | WrappedModel, torch.optim.Optimizer]:
    """The model as its seed draws it, and its optimizer; the process is set as before.

    So is what it draws while it learns, for dropout or a choice of its own.
    """
    case, lesson = job.case, _lesson_of(job.case)
    seed_random(job.seed)
    model = build_learner(
        case.subject, case.model, vocabulary=material.vocabulary, length=case.length,
        budget=lesson.parameters, tied=lesson.tie_weights, seed=job.seed, device=device,
    )  # fmt: skip
    told.look_at(model)
    return model, _optimizer(model, lesson)


def _optimizer(model: LMNLearner | WrappedModel, lesson: Lesson) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        model.parameters(), lr=lesson.learning_rate, weight_decay=lesson.weight_decay
    )


def _warm_up(job: LessonJob, material: Material, device: torch.device, told: Remarks) -> None:
    """A step of another copy: what libraries take once is neither a model's time nor memory."""
    model, optimizer = _new(job, material, device, told)
    if isinstance(model, WrappedModel) and is_user_subject(job.case.subject):
        # Its factory may return one and the same model: that is not to have learned anything.
        width = job.case.model.width
        model.body = copy_of(model.body) or torch.nn.Linear(width, width, device=device)
        optimizer = _optimizer(model, _lesson_of(job.case))
    few = torch.zeros(1, min(_WARM_UP_TOKENS, job.case.length), dtype=torch.int64, device=device)
    try:
        model.loss(few, few).backward()
    except Exception:
        if not is_user_subject(job.case.subject) or few.shape[1] == job.case.length:
            raise
        # It does not take any number of tokens: then as many as it is to learn from.
        few = torch.zeros(1, job.case.length, dtype=torch.int64, device=device)
        model.loss(few, few).backward()
    optimizer.step()
    told.look_after_steps()


class _Watcher:
    """Keeps the course, saves it, tells the parent, and knows when a budget is spent."""

    def __init__(
        self, lesson: Lesson, steps: int | None, course: Course, keeper: Keeper,
        mark: Callable[[], None], tell: Tell, stops: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._lesson, self._steps, self._course = lesson, steps, course
        self._keeper, self._mark, self.stops = keeper, mark, stops
        self._tell, self._ticker = tell, Ticker()
        self._spent_s = sum(course.step_s)

    def stepped(self, step: int, loss: float, seconds: float) -> None:
        """Add to the course; tell now and then."""
        self._course.losses.append(loss)
        self._course.step_s.append(seconds)
        self._spent_s += seconds
        if self._ticker.is_due():
            self._tell({"step": self._state(step)})

    def validated(self, step: int, score: Score) -> None:
        """Add to the course, and tell."""
        self._course.validation.append((step, score.loss, score.accuracy))
        self._tell({"validation": {**self._state(step), **asdict(score)}})

    def save(self, step: int, *, last: bool) -> bool:
        """Keep it. At its end that may fail: its record is what is kept then."""
        self._mark()
        return self._keeper.keep(step, can_wait=not last or self.is_complete(step))

    def enough(self) -> bool:
        """Whether the time is spent, or the task is learned well enough."""
        budget, wanted = self._lesson.budget, self._lesson.enough_accuracy
        if budget.unit == "s" and self._spent_s >= budget.amount:
            return True
        last = self._course.validation[-1:]
        return wanted is not None and bool(last) and last[0][2] >= wanted

    def is_complete(self, step: int) -> bool:
        """Whether the training is over after this step, and not just broken off."""
        return step == self._steps or (step > 0 and self.enough())

    def _state(self, step: int) -> dict[str, Any]:
        return {"step": step, "loss": self._course.losses[-1], "seconds": self._spent_s}


def thinned(losses: list[float]) -> tuple[tuple[int, float], ...]:
    """Points of (step, mean of the losses since the point before), at most so many."""
    size = -(-len(losses) // _MOST_POINTS) or 1
    blocks = (losses[first : first + size] for first in range(0, len(losses), size))
    return tuple(
        (min((number + 1) * size, len(losses)), round(statistics.fmean(block), _LOSS_DIGITS))
        for number, block in enumerate(blocks)
    )


def _metrics(case: Case, course: Course) -> dict[str, float]:
    """What was measured; the time of a step is the median, so that a slow spell counts little."""
    _, loss, accuracy = course.validation[-1]
    step_s = statistics.median(course.step_s)
    return {
        "validation_loss": loss, "accuracy": accuracy, "learning_s": sum(course.step_s),
        "latency_s": step_s, "tokens_per_s": case.batch * case.length / step_s,
        "peak_memory_bytes": course.peak_bytes, "working_memory_bytes": course.working_bytes,
    }  # fmt: skip


def _state_metric(case: Case) -> dict[str, int]:
    """Bytes to keep after as many tokens as were learned at a time; a user's model cannot tell."""
    if is_user_subject(case.subject):
        return {}
    return {"state_bytes": learner_state_bytes(case.subject, case.model, case.length)}


def _tests(
    model: LMNLearner | WrappedModel, material: Material, device: torch.device
) -> tuple[tuple[int, float], ...]:
    longest = model.longest
    return tuple(
        (length, score_of(model, batches(), device).accuracy)
        for length, batches in material.tests.items()
        if longest is None or length <= longest
    )


def _lesson_of(case: Case) -> Lesson:
    if case.lesson is None:
        raise ValueError(f"{case.id} has no lesson")
    return case.lesson


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError("torch cannot use a GPU here", "take --device cpu")
    return torch.device(name)
