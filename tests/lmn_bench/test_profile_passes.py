"""Memory by part, energy and lines: the passes of a profile, each by itself."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from lmn_bench.errors import StoreError  # noqa: E402
from lmn_bench.worker.profiling.energy import watch_packages  # noqa: E402
from lmn_bench.worker.profiling.held import held_by_site  # noqa: E402
from lmn_bench.worker.profiling.lines import functions_of, memory_by_line  # noqa: E402
from lmn_bench.worker.profiling.operators import Allocation, save_gzipped  # noqa: E402


def test_memory_is_charged_to_who_allocated_it_until_it_is_given_back():
    held = held_by_site(
        [Allocation(10, 0xA, 100, 1), Allocation(20, 0xB, 50, 2), Allocation(30, 0xA, -100, 0),
         Allocation(40, 0xA, 20, 0)],
        3, 0,
    )  # fmt: skip
    assert held.peak_bytes == (0, 100, 50)
    assert held.seconds[held.peak_at] == pytest.approx(20e-9)
    assert held.points[-1] == (20, 0, 50)


def test_what_was_there_before_and_is_given_back_is_told_apart():
    held = held_by_site([Allocation(1, 0xA, -70, 0), Allocation(2, 0xB, 100, 1)], 2, 0)
    assert held.peak_bytes == (0, 100)
    assert held.freed_bytes == 70


def test_a_call_that_allocates_nothing_has_no_peak():
    held = held_by_site([], 2, 0)
    assert held.peak_bytes == (0, 0)
    assert held.points == ((0, 0),)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 1000), st.booleans()), max_size=700))
def test_the_peak_is_the_highest_sum_whatever_is_left_out_of_the_timeline(steps):
    allocations, live, total, highest = [], {}, 0, 0
    for moment, (site, size, frees) in enumerate(steps):
        if frees and live:
            address, size = live.popitem()
            allocations.append(Allocation(moment, address, -size, 0))
            total -= size
        else:
            live[moment] = size
            allocations.append(Allocation(moment, moment, size, site))
            total += size
        highest = max(highest, total)
    held = held_by_site(allocations, 4, 0)
    assert sum(held.peak_bytes) == highest
    assert sum(held.points[held.peak_at]) == highest


@pytest.fixture
def powercap(tmp_path):
    """A tree as Linux shows it, with two packages, a part of one, and the whole system."""

    def make(**energy):
        names = {"intel-rapl:0": "package-0", "intel-rapl:0:0": "core",
                 "intel-rapl:1": "package-1", "intel-rapl:2": "psys"}  # fmt: skip
        for folder, name in names.items():
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / "name").write_text(f"{name}\n")
            (tmp_path / folder / "max_energy_range_uj").write_text("999999\n")
            (tmp_path / folder / "energy_uj").write_text(f"{energy.get(name, 0)}\n")
        return tmp_path

    return make


def put(root, folder, value):
    (root / folder / "energy_uj").write_text(f"{value}\n")


def test_energy_is_that_of_the_packages_alone(powercap):
    root = powercap()
    with watch_packages(root) as used:
        for folder in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1", "intel-rapl:2"):
            put(root, folder, 250_000)
        assert (used().joules, used().reason) == (pytest.approx(0.5), None)


def test_a_counter_may_wrap_around(powercap):
    root = powercap()
    put(root, "intel-rapl:0", 900_000)
    with watch_packages(root) as used:
        put(root, "intel-rapl:0", 100_000)
        assert used().joules == pytest.approx(0.2)


def test_a_machine_without_counters_says_so(tmp_path):
    with watch_packages(tmp_path / "nothing") as used:
        assert used().joules is None
        assert "no RAPL counters" in used().reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_counters_for_root_alone_say_what_to_do(powercap):
    root = powercap()
    (root / "intel-rapl:0" / "energy_uj").chmod(0)
    with watch_packages(root) as used:
        assert "sudo chmod a+r" in used().reason


def test_counters_that_cannot_be_read_give_the_reason(powercap):
    root = powercap()
    (root / "intel-rapl:0" / "energy_uj").unlink()
    with watch_packages(root) as used:
        assert used().joules is None
        assert "cannot be read" in used().reason


def grows():
    # Larger than any block that malloc would take from free room in its heap.
    kept = []
    kept.append(torch.ones(2**24))
    return kept[0].sum()


def test_lines_that_allocate_are_found():
    (found,) = memory_by_line(grows, [grows])
    rows = {row["source"].strip(): row for row in found["lines"]}
    assert found["function"] == "grows"
    assert rows["kept.append(torch.ones(2**24))"]["increment_bytes"] > 32 * 2**20
    assert rows["def grows():"]["increment_bytes"] is None
    assert rows["return kept[0].sum()"]["calls"] == 1


def test_the_functions_of_a_users_model_are_its_own():
    class Mine(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.nn.Linear(2, 2)

        def forward(self, x):
            return self.inner(x)

    names = {function.__qualname__.rpartition(".")[2] for function in functions_of(Mine())}
    assert names == {"__init__", "forward"}


class _Exported:
    """A profile of torch whose export writes this much of a trace."""

    def __init__(self, text):
        self._text = text

    def export_chrome_trace(self, path):
        Path(path).write_text(self._text)


def test_a_trace_is_kept_packed_and_alone(tmp_path):
    save_gzipped(_Exported('{"traceEvents": []}\n'), tmp_path / "trace.json.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["trace.json.gz"]
    assert json.loads(gzip.decompress((tmp_path / "trace.json.gz").read_bytes()))


def test_a_trace_that_finds_no_room_names_the_disk_and_is_left_nowhere(tmp_path):
    with pytest.raises(StoreError, match="the disk is full"):
        save_gzipped(_Exported('{"traceEve'), tmp_path / "trace.json.gz")
    assert list(tmp_path.iterdir()) == []
