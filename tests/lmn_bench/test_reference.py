"""Reference loops, and how long threads waited for a core, read from a made-up /proc."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from lmn_bench.disturbance import LOOP, PARALLEL_LOOP  # noqa: E402
from lmn_bench.worker.best_loops import BestLoops  # noqa: E402
from lmn_bench.worker.reference import ReferenceLoops, RunQueue  # noqa: E402


@pytest.fixture
def tasks(tmp_path):
    """Writes the files of threads: CPU time, time on a run queue (ns), time slices."""

    def write(**waited_ns):
        for name, value in waited_ns.items():
            folder = tmp_path / name.removeprefix("t")
            folder.mkdir(exist_ok=True)
            (folder / "schedstat").write_text(f"123456 {value} 7\n")
        return tmp_path

    return write


def test_the_thread_that_waited_most_counts(tasks):
    queue = RunQueue(tasks(t1=10, t2=10))
    queue.since_last()
    tasks(t1=10 + 2_000_000, t2=10 + 5_000_000)
    assert queue.since_last() == pytest.approx(5e-3)


def test_waiting_is_counted_from_call_to_call(tasks):
    queue = RunQueue(tasks(t1=0))
    queue.since_last()
    tasks(t1=4_000_000)
    assert queue.since_last() == pytest.approx(4e-3)
    assert queue.since_last() == 0.0


def test_what_a_thread_waited_before_it_was_seen_is_not_counted(tasks):
    queue = RunQueue(tasks(t1=0))
    queue.since_last()
    tasks(t2=10**12)
    assert queue.since_last() == 0.0


def test_without_the_kernels_count_nothing_is_said(tmp_path):
    assert RunQueue(tmp_path / "no such folder").since_last() is None
    (tmp_path / "1").mkdir()
    assert RunQueue(tmp_path).since_last() is None


def test_a_file_of_another_form_is_no_count(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1/schedstat").write_text("0\n")
    assert RunQueue(tmp_path).since_last() is None


@pytest.mark.parametrize(("threads", "loops"), [(1, 1), (2, 2), (5, 2)])
def test_a_case_of_several_threads_has_a_loop_on_all_of_them(threads, loops):
    loops_s = ReferenceLoops(threads).measure()
    assert len(loops_s) == loops
    assert all(loop_s > 0 for loop_s in loops_s)


def test_the_fastest_loop_of_the_run_is_kept():
    reference = ReferenceLoops(2, (1e-12, 1e9))
    alone_s, parallel_s = reference.measure()
    assert alone_s > 1e-12
    assert reference.best_s == (1e-12, parallel_s)


def test_the_loop_on_all_threads_leaves_autograd_and_random_numbers_as_they_are():
    before = torch.random.get_rng_state()
    ReferenceLoops(2).measure()
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_best_loops_of_several_threads_are_kept_by_their_number():
    best = BestLoops(7e-5)
    best.learn(2, {LOOP: 8e-5, PARALLEL_LOOP: 4e-5})
    best.learn(4, {LOOP: 6e-5, PARALLEL_LOOP: 9e-5})
    best.learn(2, {LOOP: 9e-5, PARALLEL_LOOP: 5e-5})
    best.learn(2, {})
    assert best.of(1) == (6e-5,)
    assert best.of(2) == (6e-5, 4e-5)
    assert best.of(4) == (6e-5, 9e-5)
    assert best.of(8) == (6e-5, float("inf"))
