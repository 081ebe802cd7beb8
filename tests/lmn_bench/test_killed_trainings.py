"""Trainings whose process is ended from outside: continued, recorded, left to go on with."""

from __future__ import annotations

import gc
import random
import resource
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from learned_helpers import LEARNING, lesson_case, trained

from lmn_bench.cli.train_progress import unsaved_words
from lmn_bench.errors import KilledError, OutOfMemoryError, TrainingError, WorkerError
from lmn_bench.lessons import Budget
from lmn_bench.run.backstop import Task
from lmn_bench.run.installation import Installation
from lmn_bench.run.interims import interim_file
from lmn_bench.run.learning import LearningProcess
from lmn_bench.run.lessons import Progressed, run_lessons
from lmn_bench.run.schedule import Finished
from lmn_bench.schema import ModelSpec, Outcome, Record
from lmn_bench.worker.learning.interim import Course, Interim
from lmn_bench.worker.learning.lesson import LessonJob, learn_lesson

STEPS = 6
SAVES_EVERY = 2
SHORT = replace(
    LEARNING, budget=Budget(STEPS), parameters=None, examples=4, validate_every=3,
    save_every=SAVES_EVERY,
)  # fmt: skip
TINY = {"task": "copy-16", "length": 32, "model": ModelSpec(width=8, heads=2, banks=1)}
KILL = KilledError("killed by signal 9")
ENDED = ("ended", {"outcome": "ok", "metrics": {"learning_s": 1.0}})


def tiny_tasks(seeds=1):
    case = replace(lesson_case("gru", learning=SHORT, **TINY), batch=2)
    return [Task(case, seed, seed) for seed in range(seeds)]


class Scripted:
    """A process that tells what its script says, and fails as it says."""

    foreign_lines = 0

    def cut(self):
        return []

    def __init__(self, script):
        self.script = script

    def __enter__(self):
        return self

    def __exit__(self, *how):
        pass

    def events(self):
        for item in self.script:
            if isinstance(item, BaseException):
                raise item
            yield item


class Killed(BaseException):
    """The end of a process, in this one."""


class Here(Scripted):
    """A process of a training that is this one, killed after so many steps, or at its end."""

    def __init__(self, job, after=None, *, at_end=False):
        self.job = LessonJob.from_dict(job["learn"])
        self.after, self.at_end = after, at_end

    def events(self):
        told, asked = [], []

        def stops():
            asked.append(None)
            if self.after is not None and len(asked) > self.after:
                raise Killed
            return False

        def end():
            if self.at_end:
                raise Killed
            return 0

        try:
            learn_lesson(self.job, told.append, stops, end)
        except Killed:
            told.append(KILL)
        for message in told:
            if isinstance(message, BaseException):
                raise message
            yield from message.items()


def run(folder, tasks, *processes, earlier=()):
    """Events of a run of these trainings, the processes in turn, and what they were to do."""
    jobs, left = [], list(processes)

    def start(job):
        jobs.append(job)
        return left.pop(0)(job) if callable(left[0]) else Scripted(left.pop(0))

    events = list(run_lessons(tasks, SHORT, 0, folder, earlier, start=start))
    assert not left
    return events, jobs


def records_of(events):
    return [event.record for event in events if isinstance(event, Finished)]


def kept(folder, task):
    """A checkpoint to go on from."""
    path = interim_file(folder, task)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"weights")
    return path


# --------------------------------------------------------------------- how it goes on by itself


@pytest.fixture(scope="module", autouse=True)
def little_to_collect():
    """Every lesson looks through all that Python holds for what is garbage."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What is learned by a training that nobody disturbs."""
    (record,) = records_of(run(tmp_path_factory.mktemp("whole"), tiny_tasks(), Here)[0])
    return record.learned


@pytest.mark.parametrize(
    ("how", "saved"),
    [({"after": 1}, 0), ({"after": 5}, 4), ({"at_end": True}, STEPS)],
    ids=["before anything is saved", "between two saves", "all learned, and nothing told"],
)
def test_a_killed_training_goes_on_by_itself_with_the_numbers_of_an_undisturbed_one(
    tmp_path, whole, how, saved
):
    events, _ = run(tmp_path, tiny_tasks(), lambda job: Here(job, **how), Here)
    (record,) = records_of(events)
    assert record.outcome is Outcome.OK, record.reason
    assert replace(record.learned, resumptions=0) == whole
    assert record.learned.resumptions == (1 if saved else 0)
    starts = [event.told["done"] for event in events
              if isinstance(event, Progressed) and event.what == "started"]  # fmt: skip
    assert starts == [0, saved]
    assert not (tmp_path / "interim").exists()


def test_a_training_killed_twice_goes_on_from_there_in_the_next_run(tmp_path, whole):
    events, _ = run(tmp_path, tiny_tasks(), lambda job: Here(job, 3), lambda job: Here(job, 3))
    (record,) = records_of(events)
    assert record.outcome is Outcome.KILLED
    events, _ = run(tmp_path, tiny_tasks(), Here, earlier=[record])
    (record,) = records_of(events)
    assert replace(record.learned, resumptions=0) == whole
    assert record.learned.resumptions == 2


def test_the_record_and_the_terminal_say_that_it_was_killed_and_continued(tmp_path):
    events, jobs = run(tmp_path, tiny_tasks(), [("step", {"step": 4}), KILL], [ENDED])
    (record,) = records_of(events)
    assert record.outcome is Outcome.OK
    assert record.warnings == (
        "its process was killed by signal 9, after step 4 or later: continued once by itself, "
        "from what it had saved last",
    )
    assert [event.what for event in events if isinstance(event, Progressed)] == ["step", "killed"]
    assert jobs[0] == jobs[1]


def test_a_training_killed_twice_is_recorded_so_and_keeps_what_it_saved(tmp_path):
    (task,) = tiny_tasks()
    checkpoint = kept(tmp_path, task)
    events, _ = run(
        tmp_path, [task], [("step", {"step": 4}), KILL], [("started", {"done": 2}), KILL]
    )
    (record,) = records_of(events)
    assert (record.outcome, record.can_go_on) == (Outcome.KILLED, True)
    assert record.reason == (
        "killed by signal 9, after step 2 or later; it had been continued once by itself, after "
        "step 4; run --resume goes on from what it saved last"
    )
    assert checkpoint.exists()


def test_a_kill_says_nothing_of_other_seeds_but_a_lack_of_memory_does(tmp_path):
    killed, _ = run(tmp_path, tiny_tasks(4), *[[KILL]] * 8)
    assert Counter(r.outcome for r in records_of(killed)) == {Outcome.KILLED: 4}
    lacking, _ = run(tmp_path, tiny_tasks(4), *[[OutOfMemoryError("out of memory: no")]] * 2)
    ends = Counter(record.outcome for record in records_of(lacking))
    assert ends == {Outcome.OUT_OF_MEMORY: 2, Outcome.SKIPPED: 2}


def test_earlier_kills_skip_nothing_either(tmp_path):
    tasks = tiny_tasks(3)
    earlier = [Record.of(task.case, task.replicate, Outcome.KILLED) for task in tasks[:2]]
    events, _ = run(tmp_path, tasks[2:], [ENDED], earlier=earlier)
    assert [record.outcome for record in records_of(events)] == [Outcome.OK]


def test_a_stop_that_nobody_here_asked_for_is_continued_like_a_kill(tmp_path):
    events, _ = run(tmp_path, tiny_tasks(), [("stopped", 3)], [ENDED])
    (record,) = records_of(events)
    assert record.outcome is Outcome.OK
    assert "stopped by a signal from outside, after step 3" in record.warnings[0]


@pytest.mark.parametrize(
    ("script", "stopped", "error", "words"),
    [
        ("kill -9 $$", False, KilledError, "killed by signal 9"),
        ("kill -TERM $$", False, KilledError, "ended from outside, by signal 15"),
        ("kill -9 $$", True, KeyboardInterrupt, "^$"),
        ("kill -SEGV $$", False, WorkerError, "died: exit code -11"),
        ("echo std::bad_alloc >&2; kill -ABRT $$", False, OutOfMemoryError, "bad_alloc"),
    ],
)
def test_what_is_known_of_a_process_that_died(tmp_path, script, stopped, error, words):
    python = tmp_path / "python"
    # Deaf to the request to stop, as one is that hangs.
    python.write_text(f"#!/bin/sh\ntrap '' INT\nread job\n{script}\n")
    python.chmod(0o755)
    installation = Installation(python=str(python))
    with LearningProcess({"learn": {}}, installation) as process:
        if stopped:
            process.stop()
        with pytest.raises(error, match=words):
            list(process.events())


# ------------------------------------------------------------------------- what is left behind


def test_checkpoints_of_finished_trainings_and_halves_are_swept_by_the_next_run(tmp_path):
    waiting, finished = tiny_tasks(2)
    whole = kept(tmp_path, waiting)
    for name in (f".{whole.name}.01234567.part", f"{whole.name}.partial"):
        whole.with_name(name).write_bytes(b"half")
    mine = kept(tmp_path, finished).with_name("notes.pt")
    mine.write_text("of the user")
    seen = []

    def look(job):
        seen.extend(path.name for path in mine.parent.iterdir())
        return Scripted([ENDED])

    run(tmp_path, [waiting], look)
    assert sorted(seen) == sorted([mine.name, interim_file(tmp_path, waiting).name])
    assert [path.name for path in mine.parent.iterdir()] == [mine.name]


def test_a_finished_run_is_swept_too(tmp_path):
    kept(tmp_path, *tiny_tasks())
    run(tmp_path, [])
    assert not (tmp_path / "interim").exists()


def test_a_run_folder_that_was_tidied_up_meanwhile_is_no_error(tmp_path):
    def tidy(job):
        (tmp_path / "interim").rmdir()
        return Here(job)

    (record,) = records_of(run(tmp_path, tiny_tasks(), tidy)[0])
    assert record.outcome is Outcome.OK


# ------------------------------------------------------------------------------ what is saved


def interim(path, about="one"):
    model = torch.nn.Linear(100, 100)
    return Interim(path, about), model, torch.optim.AdamW(model.parameters())


def test_random_numbers_go_on_where_they_were(tmp_path):
    def draw():
        return torch.rand(1).item(), random.random(), np.random.rand()

    one, model, optimizer = interim(tmp_path / "one.pt")
    one.save(model, optimizer, Course())
    drawn = draw()
    one.restore(model, optimizer, torch.device("cpu"))
    assert draw() == drawn


@contextmanager
def little_room(size):
    """As on a disk that is full after so many bytes of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_checkpoint_that_finds_no_room_leaves_the_older_one_and_no_half(tmp_path):
    one, model, optimizer = interim(tmp_path / "one.pt")
    one.save(model, optimizer, Course([1.0], [0.1]))
    before = (tmp_path / "one.pt").read_bytes()
    with little_room(20_000), pytest.raises(OSError, match="File too large"):
        one.save(model, optimizer, Course([1.0, 2.0], [0.1, 0.1]))
    assert (tmp_path / "one.pt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["one.pt"]


def lesson_job(folder):
    (task,) = tiny_tasks()
    (folder / "run" / "interim").mkdir(parents=True)
    return LessonJob(task.case, SHORT, 0, str(folder / "run" / "interim" / "one.pt"))


def test_a_save_that_fails_once_costs_nothing_and_is_told(tmp_path, whole):
    told = []
    with little_room(100) as make_room:

        def tell(message):
            told.append(message)
            if "unsaved" in message:
                make_room()

        learn_lesson(lesson_job(tmp_path), tell, lambda: False)
    (said,) = [message["unsaved"] for message in told if "unsaved" in message]
    assert unsaved_words(said) == (
        "step 2 cannot be saved: files may not grow any further here (ulimit -f); nothing is "
        "saved yet; a second failure in a row "
        "ends the training"
    )
    learned = told[-1]["ended"]["learned"]
    assert tuple(learned["validation"]) == whole.validation
    assert learned["training"] == whole.training
    assert (tmp_path / "run" / "interim" / "one.pt").exists()


def test_a_training_that_cannot_be_saved_twice_ends_and_says_how_to_go_on(tmp_path):
    told = []
    with little_room(100), pytest.raises(TrainingError) as caught:
        learn_lesson(lesson_job(tmp_path), told.append, lambda: False)
    assert caught.value.message == (
        "what was learned by step 4 cannot be kept: files may not grow any further here (ulimit -f)"
    )
    assert caught.value.hint == (
        f"make room, then begin it again with `lmn-bench run --resume {tmp_path / 'run'}`"
    )


def test_a_last_save_that_fails_is_no_loss_where_the_record_follows(tmp_path, whole):
    told = []
    job = lesson_job(tmp_path)
    with little_room(100) as make_room:
        make_room()

        def tell(message):
            told.append(message)
            # Between the last but one save and the last.
            if "validation" in message and message["validation"]["step"] == STEPS:
                resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))

        learn_lesson(job, tell, lambda: False)
    assert told[-1]["ended"]["learned"]["training"] == whole.training


def test_a_superseded_record_is_none_that_stands():
    killed = Record.of(trained(lesson_case()).case, 0, Outcome.KILLED)
    assert killed.can_go_on
    assert not trained(lesson_case()).can_go_on
    assert not replace(killed, mode="prefill", lesson=None).can_go_on
