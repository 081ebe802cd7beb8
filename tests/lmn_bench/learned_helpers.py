"""Made-up trainings: texts and recall tasks, several models, learning rates and seeds."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from bench_helpers import environment

from lmn_bench.analysis.results import result_set
from lmn_bench.lessons import LEARN, TEXT, Budget, Learned, Learning, Lesson
from lmn_bench.report.build import RunResults
from lmn_bench.schema import Case, Measuring, ModelSpec, Outcome, Record, RunInfo, Suite, Sweep

SHA = "2a95af4ac93f5b719944030ce3769070ddf827d847cba42192afa8da989e5dc4"
OTHER_SHA = "86c4e6aa9db7c042ec79f339dcb29d42b0075e16b8fc2e86bf0ca57e2dc565ed"
LEARNING = Learning(
    corpus_name="python-docs", corpus_sha256=SHA, tokens_name="characters",
    budget=Budget(1000), seeds=3, parameters=71489,
)  # fmt: skip
STATES = {"lmn": 3840, "lmn@published": 3840, "transformer": 65536, "transformer-learned": 65536,
          "lstm": 2048, "gru": 1024}  # fmt: skip
CHANCES = {"mqar-64": 1 / 4096, "induction-heads-64": 1 / 15, "copy-16": 1 / 26}


def lesson_case(
    subject: str = "lmn", task: str = TEXT, rate: float = 1e-3, length: int = 128, **rest: Any
) -> Case:
    """A case of mode learn; `learning` and fields of the case may be given."""
    learning: Learning = rest.pop("learning", LEARNING)
    model = rest.pop("model", ModelSpec(width=32, layers=2, banks=2))
    return Case(subject, LEARN, length, batch=16, model=model,
                lesson=learning.lesson(task, rate), **rest)  # fmt: skip


def trained(of: Case, seed: int = 0, score: float = 2.0, **metrics: float) -> Record:
    """A training that came to this loss (text) or accuracy (task), with a curve on the way."""
    assert of.lesson is not None
    lesson: Lesson = of.lesson
    text = lesson.task == TEXT
    steps = int(lesson.budget.amount) if lesson.budget.unit == "steps" else 800
    loss = score if text else 3.0 * (1 - score) + 0.01
    accuracy = 1 - score / 6 if text else score
    marks = range(steps // 4, steps + 1, steps // 4)
    learned = Learned(
        seed=seed,
        steps=steps,
        training=tuple((s, loss + 2 * math.exp(-6 * s / steps)) for s in range(10, steps + 1, 10)),
        validation=tuple(
            (s, loss + 2 * math.exp(-6 * s / steps) * (s < steps), accuracy * s / steps)
            for s in marks
        ),
        tests=_tests(of, score),
        chance=None if text else CHANCES.get(lesson.task, 0.1),
        vocabulary=100,
    )
    step_s = 0.01 if of.subject.startswith("lmn") else 0.008
    values: dict[str, float] = {
        "validation_loss": loss, "accuracy": accuracy, "learning_s": step_s * steps,
        "latency_s": step_s, "tokens_per_s": of.batch * of.length / step_s,
        "peak_memory_bytes": 420 * 2**20, "working_memory_bytes": 200 * 2**20,
        "parameters": 71559, "parameter_bytes": 286236,
        "state_bytes": STATES.get(of.subject, 4096),
    }  # fmt: skip
    return Record.of(of, seed, Outcome.OK, metrics={**values, **metrics}, learned=learned)


def diverged(of: Case, seed: int = 0) -> Record:
    """A training whose loss was no number any more."""
    return Record.of(of, seed, Outcome.DIVERGED, reason="the loss is nan at step 17")


def group(
    scores: dict[str, float], spread: float = 0.01, seeds: int = 3, **rest: Any
) -> list[Record]:
    """`seeds` trainings of each subject, `spread` apart, around these scores.

    Which seed does best differs from subject to subject, and a little how far it is from the rest.
    """
    middle = (seeds - 1) / 2
    return [
        trained(
            lesson_case(subject, **rest), seed,
            score + spread * ((seed + place) % seeds - middle) * (1 + place / 10),
        )
        for place, (subject, score) in enumerate(scores.items())
        for seed in range(seeds)
    ]  # fmt: skip


def learned_run(records: list[Record], learning: Learning = LEARNING, **info: Any) -> RunResults:
    """A run of a suite that learns, with these records."""
    tasks = tuple(dict.fromkeys(r.lesson.task for r in records if r.lesson)) or (TEXT,)
    subjects = tuple(dict.fromkeys(r.subject for r in records)) or ("lmn",)
    sweep = Sweep(subjects, (LEARN,), (128,), batch=(16,), width=(32,), layers=(2,), banks=(2,),
                  task=tasks)  # fmt: skip
    suite = Suite("language", "how models learn", Measuring(), (sweep,), learning=learning)
    told = RunInfo("language-20260101-000000", "2026-01-01T00:00:00+00:00", suite, 0,
                   environment(), ("lmn-bench", "run", "--suite", "language"))  # fmt: skip
    return RunResults(replace(told, **info), result_set(records), records, len(records))


def _tests(of: Case, score: float) -> tuple[tuple[int, float], ...]:
    assert of.lesson is not None
    if of.lesson.task == TEXT:
        return ()
    if not of.lesson.task.startswith("induction"):
        return ((of.length, score),)
    return tuple((64 * 2**k, score / 2**k) for k in range(4))


TEXTS = [
    *group({"lmn": 2.296, "lmn@published": 2.41, "transformer": 2.25, "transformer-learned": 2.30,
            "lstm": 2.10, "gru": 2.12}),
    *group({"lmn": 2.35, "lmn@published": 2.45, "transformer": 2.22, "transformer-learned": 2.33,
            "lstm": 2.30}, rate=3e-3),
    trained(lesson_case("gru", rate=3e-3), 0, 2.05),
    diverged(lesson_case("gru", rate=3e-3), 1),
    trained(lesson_case("gru", rate=3e-3), 2, 2.06),
]  # fmt: skip
TASKS = [
    *group({"lmn": 0.12, "lmn@published": 0.08, "transformer": 0.99, "transformer-learned": 0.985,
            "lstm": 0.2, "gru": 0.25}, 0.005, task="mqar-64", length=64),
    *group({"lmn": 0.99, "lmn@published": 0.96, "transformer": 0.99, "transformer-learned": 0.7,
            "lstm": 0.96, "gru": 0.98}, 0.005, task="induction-heads-64", length=64),
    *group({"lmn": 0.4, "transformer": 0.8, "gru": 0.3}, 0.01, task="copy-16", length=32),
]  # fmt: skip
