"""The process in which a model learns or writes: one job in, events out, JSON lines both.

In:   {"train": {...}}, {"learn": {...}} or {"generate": {...}}
Argument: a descriptor for what a model prints; without it, that goes to standard error.
Out:  what `train`, `learn_lesson` or `generate` tells, then {"failed": {"code": …, "message": …,
      "hint": …}} if it failed.
SIGINT asks for an end after the step that runs.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from types import FrameType
from typing import Any

from lmn_bench.errors import LmnBenchError, TrainingError
from lmn_bench.offspring import adopt_orphans, die_with_parent, end_relatives
from lmn_bench.outcomes import allocation_that_failed, says_out_of_memory
from lmn_bench.worker.learning.telling import Answers, LostPipeError


class _Stop:
    """Becomes true with the first SIGINT: a step or a checkpoint is never cut in two."""

    def __init__(self) -> None:
        self._asked = False
        signal.signal(signal.SIGINT, self._ask)

    def __call__(self) -> bool:
        return self._asked

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True


def main() -> None:
    """Do the one job that standard input holds."""
    stop = _Stop()
    die_with_parent()
    tell = Answers()
    # Whatever a library prints must not end up between our answers.
    os.dup2(int(sys.argv[1]) if len(sys.argv) > 1 else 2, 1)
    tell.be_alone()
    try:
        _do(json.loads(sys.stdin.readline()), tell, stop)
    except LostPipeError as error:
        # Its last words: nothing else of ours can be heard.
        sys.exit(str(error))


def _do(job: dict[str, Any], tell: Answers, stop: _Stop) -> None:
    """Do the job, and tell why it failed if it does."""
    try:
        _run(job, tell, stop)
    except LmnBenchError as error:
        tell({"failed": {"code": error.exit_code, "message": error.message, "hint": error.hint}})
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not says_out_of_memory(str(error)):
            raise
        failed = TrainingError(
            f"out of memory: {allocation_that_failed(str(error))}",
            "take a smaller model, batch or length",
        )
        tell({"failed": {"code": failed.exit_code, "message": failed.message, "hint": failed.hint}})


def _run(job: dict[str, Any], tell: Answers, stop: _Stop) -> None:
    if "train" in job:
        from lmn_bench.worker.learning.train import TrainJob, train

        train(TrainJob.from_dict(job["train"]), tell, stop)
        return
    if "learn" in job:
        from lmn_bench.worker.learning.lesson import LessonJob, learn_lesson

        adopt_orphans()
        learn_lesson(LessonJob.from_dict(job["learn"]), tell, stop, end_relatives)
        return
    from lmn_bench.worker.learning.generate import GenerateJob, generate

    generate(GenerateJob(**job["generate"]), tell)


if __name__ == "__main__":
    main()
