"""Memory as the kernel counts it, in this very process."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from lmn_bench.errors import CapError  # noqa: E402
from lmn_bench.schema import ModelSpec  # noqa: E402
from lmn_bench.subjects.build import build  # noqa: E402
from lmn_bench.worker.caps import Cap, is_out_of_memory, memory_budget  # noqa: E402
from lmn_bench.worker.memory import allocator_peak, peak_of  # noqa: E402

CPU = torch.device("cpu")
MIB = 2**20


def touch(mib):
    """Allocate this much, touch it, and give it back."""
    return lambda: torch.ones(mib * MIB // 4).shape


def test_a_peak_is_what_a_call_touched_and_a_second_call_reads_the_same():
    touch(1)()
    for _ in range(2):
        peak, _ = peak_of(touch(64), CPU)
        assert peak.peak - peak.before == pytest.approx(64 * MIB, abs=0.5 * MIB)


ASK = """
import torch
from lmn_bench.worker.memory import peak_of

torch.empty(96 * 2**18)
for _ in range(3):
    peak, _ = peak_of(lambda: torch.empty(64 * 2**18).shape, torch.device("cpu"))
    print(peak.reserved, peak.peak - peak.before)
"""


def test_what_is_asked_for_and_never_touched_is_reserved_however_often():
    """In a process of its own: an old heap has room for it. What was freed must not hide it."""
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines()[1:]:  # the first call starts torch's own machinery
        reserved, touched = map(int, line.split())
        assert reserved == pytest.approx(64 * MIB, abs=0.5 * MIB)
        assert touched < MIB


def test_a_peak_hands_back_what_the_call_returned():
    assert peak_of(lambda: "result", CPU)[1] == "result"


def test_the_allocators_peak_is_the_highest_sum_of_live_bytes():
    def call():
        first = torch.empty(MIB)
        del first
        second = torch.empty(MIB)
        third = torch.empty(MIB)
        return second, third

    assert allocator_peak(call, CPU) == 2 * 4 * MIB


@pytest.mark.parametrize("name", ["lmn", "lstm"])
def test_what_a_read_holds_at_once_does_not_grow_with_its_length(name):
    subject = build(name, ModelSpec(width=32, heads=2), dtype=torch.float32, device=CPU, seed=0)
    peaks = []
    with torch.inference_mode():
        for length in (65_536, 262_144):
            x = torch.randn(1, length, 32)
            peaks.append(allocator_peak(lambda x=x: subject.read(x), CPU))
    assert peaks[1] == pytest.approx(peaks[0], rel=0.1)


def test_a_budget_allows_less_than_it_and_refuses_more():
    """In a process of its own, as cases have: an old heap's free room comes on top of a budget."""
    script = """
import torch
from lmn_bench.worker.caps import is_out_of_memory, memory_budget
with memory_budget(64 * 2**20, torch.device("cpu")):
    torch.empty(60 * 2**20, dtype=torch.uint8)
    try:
        torch.empty(68 * 2**20, dtype=torch.uint8)
    except RuntimeError as error:
        print("refused:", is_out_of_memory(error))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "refused: True\n", done.stderr


def test_a_budget_ends_with_its_block():
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with memory_budget(64 * MIB, CPU):
        assert resource.getrlimit(resource.RLIMIT_DATA) != before
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


@pytest.mark.parametrize("error", [ValueError("no"), RuntimeError("shape mismatch")])
def test_other_errors_are_not_out_of_memory(error):
    assert not is_out_of_memory(error)


def test_a_budget_tells_what_enforces_it_and_what_was_held():
    told = []
    with memory_budget(64 * MIB, CPU, Cap(tell=told.append)) as applied:
        assert told == [applied]
    assert applied.mechanism == "rlimit"
    assert applied.floor_bytes > MIB


def test_without_a_budget_nothing_is_told():
    told = []
    with memory_budget(None, CPU, Cap(tell=told.append)) as applied:
        assert applied is None
    assert told == []


def test_a_process_without_a_group_refuses_caps_by_one():
    with pytest.raises(CapError, match="not started for memory caps by cgroup"):
        Cap().by("cgroup")
