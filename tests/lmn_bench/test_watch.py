"""What the machine did meanwhile, read from a made-up /proc."""

from __future__ import annotations

import os

import pytest

pytest.importorskip("torch")

from lmn_bench.schema import Watched
from lmn_bench.worker.watch import Watch

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Machine:
    """A machine of four cores whose counters a test sets; CPU times in seconds by core."""

    def __init__(self, folder):
        self.proc, self.groups = folder / "proc", folder / "groups"
        (self.proc / "pressure").mkdir(parents=True)
        (self.proc / "self").mkdir()
        self.now_s = self.own_s = 0.0
        self.set()

    def set(self, busy=(0.0,) * 4, stolen=(0.0,) * 4, waited_s=0.0, load=0.0):
        lines = ["cpu  9 9 9 9 9 9 9 9 9 9"]
        for core, (b, s) in enumerate(zip(busy, stolen, strict=True)):
            # A fifth of the busy time for each of user, nice, system, irq and softirq.
            part, taken = round(b * TICKS_PER_S / 5), round(s * TICKS_PER_S)
            lines.append(f"cpu{core} {part} {part} {part} 777 888 {part} {part} {taken} 0 0")
        (self.proc / "stat").write_text("\n".join([*lines, "intr 5", "ctxt 6"]) + "\n")
        (self.proc / "loadavg").write_text(f"{load} 0.5 0.1 1/99 1234\n")
        text = f"some avg10=0.00 total={round(waited_s * 1e6)}\nfull avg10=0.00 total=1\n"
        (self.proc / "pressure/cpu").write_text(text)

    def watch(self, cores=frozenset({0, 1})):
        return Watch(
            self.proc, self.groups, cores, now=lambda: self.now_s, own_cpu_s=lambda: self.own_s
        )


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_what_others_took_is_what_was_busy_but_not_ours(machine):
    machine.set(busy=(5.0, 5.0, 5.0, 5.0))
    watch = machine.watch()
    machine.now_s, machine.own_s = 10.0, 4.0
    machine.set(busy=(13.0, 11.0, 5.0, 5.0))
    seen = Watched(**watch.seen())
    assert (seen.wall_s, seen.own_cpu_s, seen.cores) == (10.0, 4.0, 2)
    assert seen.others_cpu_s == pytest.approx(8 + 6 - 4)


def test_cores_that_we_may_not_use_are_nobody_s_business(machine):
    watch = machine.watch()
    machine.set(busy=(0.0, 0.0, 50.0, 50.0), stolen=(0.0, 0.0, 9.0, 9.0))
    seen = Watched(**watch.seen())
    assert (seen.others_cpu_s, seen.stolen_s) == (0.0, 0.0)


def test_rough_ticks_never_make_others_take_less_than_nothing(machine):
    watch = machine.watch()
    machine.own_s = 0.008
    assert watch.seen()["others_cpu_s"] == 0.0


def test_stolen_time_pressure_and_load_are_told(machine):
    machine.set(stolen=(1.0, 1.0, 0.0, 0.0), waited_s=3.0)
    watch = machine.watch()
    machine.set(stolen=(2.0, 1.5, 0.0, 0.0), waited_s=5.5, load=6.25)
    seen = Watched(**watch.seen())
    assert (seen.stolen_s, seen.pressure_s, seen.load_average) == (1.5, 2.5, 6.25)


def test_the_pressure_of_our_own_group_goes_before_that_of_the_machine(machine):
    (machine.proc / "self/cgroup").write_text("3:cpuset:/\n0::/jobs/ours\n")
    own = machine.groups / "jobs/ours"
    own.mkdir(parents=True)
    (own / "cpu.pressure").write_text("some avg10=0.00 total=0\n")
    watch = machine.watch()
    machine.set(waited_s=99.0)
    (own / "cpu.pressure").write_text("some avg10=0.00 total=250000\n")
    assert watch.seen()["pressure_s"] == 0.25


def test_what_the_kernel_does_not_tell_is_not_made_up(tmp_path):
    watch = Watch(tmp_path, tmp_path, frozenset({0}), now=lambda: 0.0, own_cpu_s=lambda: 0.0)
    seen = Watched(**watch.seen())
    assert (seen.pressure_s, seen.others_cpu_s, seen.stolen_s) == (None, 0.0, 0.0)


def test_this_machine_tells_something():
    seen = Watched(**Watch().seen())
    assert seen.cores == len(os.sched_getaffinity(0))
    assert seen.wall_s >= 0
