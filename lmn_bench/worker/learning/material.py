"""What a lesson gives to read: windows of a text, or examples of a task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lmn_bench.errors import UsageError
from lmn_bench.learning.batches import Batch
from lmn_bench.learning.corpora import load_corpus
from lmn_bench.learning.tasks.presets import task_preset
from lmn_bench.learning.tasks.protocol import Task
from lmn_bench.learning.tokens import make_vocabulary
from lmn_bench.learning.windows import cut_windows
from lmn_bench.lessons import TEXT, Learning
from lmn_bench.schema import Case

# Test batches of a task are numbered; those of validations come before those of the last test.
_FIRST_OF_THE_TEST = 2**32
# All trainings are tested on the same examples, whatever their own seed.
_TEST_SEED = 0


@dataclass(frozen=True)
class Material:
    """Examples for learning and for testing; equal for all models of a case's setting.

    Attributes:
        vocabulary: ids go from 0 to this, itself excluded.
        training: the batch of a step, numbered from 0.
        validation: the batches of a validation, always the same.
        tests: batches of the last test by length; a text has none beside its validation.
        chance: accuracy of always giving the likeliest answer; of a text None.
    """

    vocabulary: int
    training: Callable[[int], Batch]
    validation: Callable[[], Iterator[Batch]]
    tests: dict[int, Callable[[], Iterator[Batch]]]
    chance: float | None


def material_of(case: Case, learning: Learning, seed: int) -> Material:
    """The material of a case; the order of its examples is a function of `seed` and step alone.

    Raises:
        UsageError: the corpus cannot be had, is too short, or is not the one that was planned with.
    """
    assert case.lesson is not None
    if case.lesson.task == TEXT:
        return _text(case, learning, seed)
    return _task(case, seed)


def _text(case: Case, learning: Learning, seed: int) -> Material:
    assert case.lesson is not None
    lesson, corpus = case.lesson, load_corpus(learning.corpus)
    if corpus.sha256 != lesson.corpus_sha256:
        raise UsageError(
            f"corpus {learning.corpus} has changed: sha256 {corpus.sha256[:16]}…, and "
            f"{lesson.corpus_sha256[:16]}… when the run began",
            "results of different texts are never mixed: start a new run",
        )
    vocabulary = make_vocabulary(learning.tokens, corpus.text)
    windows = cut_windows(vocabulary.encode(corpus.text), case.length, corpus.name)
    return Material(
        vocabulary.size,
        lambda step: windows.training_batch(case.batch, seed=seed, step=step),
        lambda: windows.validation_batches(case.batch, limit=lesson.examples),
        {},
        None,
    )


def _task(case: Case, seed: int) -> Material:
    assert case.lesson is not None
    preset, examples = task_preset(case.lesson.task), case.lesson.examples
    task, tokens = preset.train, case.batch * case.length
    return Material(
        task.vocabulary_size,
        lambda step: task.batch(case.batch, seed=seed, step=step),
        lambda: _examples(task, examples, tokens, 0),
        {
            # bound now: a closure would see the last test of all
            test.length: lambda test=test: _examples(test, examples, tokens, _FIRST_OF_THE_TEST)  # type: ignore[misc]
            for test in preset.tests
        },
        task.chance,
    )


def _examples(task: Task, count: int, tokens: int, first: int) -> Iterator[Batch]:
    """`count` examples in batches of about `tokens` tokens."""
    size = max(1, tokens // task.length)
    for number, done in enumerate(range(0, count, size)):
        yield task.batch(
            min(size, count - done), seed=_TEST_SEED, step=first + number, split="test"
        )
