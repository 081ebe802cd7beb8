"""Tasks by name, with published settings or smaller ones, and tasks from plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lmn_bench.errors import UnknownNameError
from lmn_bench.learning.names import TASK_KINDS, TASKS
from lmn_bench.learning.tasks.copying import Copy, SelectiveCopying
from lmn_bench.learning.tasks.induction import InductionHeads
from lmn_bench.learning.tasks.listops import ListOps
from lmn_bench.learning.tasks.protocol import Task
from lmn_bench.learning.tasks.recall import MultiQueryRecall

_KINDS: dict[str, Callable[..., Task]] = {
    "mqar": MultiQueryRecall,
    "selective-copying": SelectiveCopying,
    "induction-heads": InductionHeads,
    "copy": Copy,
    "listops": ListOps,
}


@dataclass(frozen=True)
class TaskPreset:
    """A task to train on, and those to test on, the trained one among them.

    Attributes:
        train: drawn with split "train".
        tests: drawn with split "test", by length.
    """

    train: Task
    tests: tuple[Task, ...]


def _alone(task: Task) -> TaskPreset:
    return TaskPreset(task, (task,))


def _induction(length: int, tests: range) -> TaskPreset:
    return TaskPreset(
        InductionHeads(length), tuple(InductionHeads(2**exponent) for exponent in tests)
    )


def _copy(string: int, *tests: int) -> TaskPreset:
    return TaskPreset(Copy(string), tuple(Copy(tested) for tested in tests))


# The docstring of each task says what is published and where.
_PRESETS: dict[str, TaskPreset] = {
    "mqar-64": _alone(MultiQueryRecall(64, 4)),
    # Every key and value has to be learned by itself: of 64 a transformer learns them in a minute.
    "mqar-64-small": _alone(MultiQueryRecall(64, 4, vocabulary_size=64)),
    "mqar-128": _alone(MultiQueryRecall(128, 8)),
    "mqar-256": _alone(MultiQueryRecall(256, 16)),
    "mqar-512": _alone(MultiQueryRecall(512, 64)),
    "selective-copying": _alone(SelectiveCopying()),
    # 256 and 16: "selective copying" of Poli et al., arXiv 2403.17844
    "selective-copying-256": _alone(SelectiveCopying(256, 16)),
    "selective-copying-64": _alone(SelectiveCopying(64, 8)),
    "induction-heads": _induction(256, range(6, 15)),
    "induction-heads-64": _induction(64, range(6, 10)),
    "copy": _copy(50, 50, 100, 200),
    "copy-16": _copy(16, 16, 32),
    "listops": _alone(ListOps()),
    "listops-256": _alone(ListOps(256, 64, 6, 5)),
    "listops-64": _alone(ListOps(64, 16, 5, 5)),
}


def task_preset(name: str) -> TaskPreset:
    """The task of a name in `TASKS`.

    Raises:
        UnknownNameError: with the nearest name.
    """
    if name not in _PRESETS:
        raise UnknownNameError("task", name, TASKS)
    return _PRESETS[name]


def make_task(kind: str, settings: Mapping[str, Any]) -> Task:
    """A task of a kind in `TASK_KINDS` with these settings; those left out have their defaults.

    Raises:
        UnknownNameError: no such kind, or a setting that it does not have.
        UsageError: a setting out of range.
    """
    if kind not in _KINDS:
        raise UnknownNameError("task kind", kind, TASK_KINDS)
    known = task_settings(_KINDS[kind]())
    for name in settings:
        if name not in known:
            raise UnknownNameError("setting", name, known, f"; of the task {kind!r}")
    return _KINDS[kind](**settings)


def task_settings(task: Task) -> dict[str, Any]:
    """The settings of a task as plain data, for a record; `make_task` reads them."""
    return asdict(task)  # type: ignore[call-overload, no-any-return]
