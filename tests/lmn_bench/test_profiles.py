"""What a profile says, from made-up measurements."""

from __future__ import annotations

import json

import pytest
from bench_helpers import SMALL, case, environment
from profile_helpers import seen

from lmn_bench.profiles import profile_json, profile_of


def profile(mode="prefill", **changes):
    return profile_of(case("lmn", mode, 4096), seen(**changes), environment(), "2026-01-01")


def test_shares_of_parts_and_of_operators_add_up_to_one():
    found = profile()
    assert sum(part.share for part in found.parts) == pytest.approx(1)
    assert sum(one.share for one in found.operators) == pytest.approx(1)


def test_a_part_is_the_sum_of_its_functions():
    (project,) = [part for part in profile().parts if part.name == "project"]
    assert project.seconds == pytest.approx(5e-3)
    assert [one.name for one in project.functions] == ["_attend", "_project"]
    assert project.bytes_at_peak == 5 * 2**20
    assert project.flops == 3e6


def test_parts_come_with_the_longest_first():
    assert [part.name for part in profile().parts] == ["project", "norm", "other"]


def test_every_operator_has_a_part():
    found = profile()
    names = {part.name for part in found.parts}
    assert {one.part for one in found.operators} <= names


def test_sums_near_the_whole_are_within_and_not_warned_of():
    found = profile()
    assert found.time.difference == pytest.approx(-0.02)
    assert found.time.within
    assert found.memory.within
    assert found.warnings == ()


def test_sums_far_from_the_whole_are_warned_of_and_not_mended():
    found = profile(latency_s=12e-3, lean_bytes=16 * 2**20)
    assert found.time.sum == pytest.approx(9.8e-3)
    assert found.time.within is False
    assert found.memory.within is False
    assert len(found.warnings) == 2
    assert "-18.3%" in found.warnings[0]


def test_little_memory_is_not_compared():
    found = profile(lean_bytes=40_960, peak_bytes=[0, 0, 1024, 0])
    assert (found.memory.difference, found.memory.within) == (None, None)
    assert "4 MiB" in found.memory.reason


def test_what_was_given_back_counts_against_what_was_taken():
    assert profile(freed_bytes=2**20).memory.sum == profile().memory.sum - 2**20


def test_memory_over_time_is_told_by_part():
    timeline = profile().memory_timeline
    assert timeline.bytes["project"] == (0, 5 * 2**20, 2**20)
    assert "norm" in timeline.bytes
    assert "other" not in timeline.bytes  # never held anything
    assert timeline.seconds[timeline.peak_at] == 2e-3


def test_flops_that_were_not_counted_are_unknown_and_not_zero():
    found = profile(flops=None)
    assert {part.flops for part in found.parts} == {None}
    assert {one.flops for one in found.operators} == {None}


def test_the_json_is_the_contract_of_the_readme():
    data = json.loads(json.dumps(profile_json(profile("decode"), {"json": "profile.json"})))
    assert {
        "schema", "subject", "mode", "length", "device", "batch", "dtype", "threads", "model",
        "per", "latency_s", "latency_spread", "working_bytes", "lean_bytes", "parameters",
        "parts", "operators", "agreement", "instruments", "energy", "memory_timeline",
        "resident_timeline", "lines", "depth",
        "warnings", "environment", "created_at", "command", "stderr", "files",
    } == data.keys()  # fmt: skip
    assert data["model"]["width"] == SMALL.width
    assert data["parts"][0].keys() == {
        "name", "seconds", "share", "flops", "bytes_at_peak", "functions",
    }  # fmt: skip
    assert data["operators"][0].keys() == {
        "name", "part", "function", "calls", "self_s", "share", "flops", "flops_per_s",
    }  # fmt: skip
    assert data["agreement"].keys() == {"time", "memory"}
    assert data["agreement"]["time"].keys() == {
        "measured", "sum", "difference", "within", "reason",
    }  # fmt: skip
    assert {"joules_per_token", "reason"} <= data["energy"].keys()
    assert data["memory_timeline"].keys() == {"seconds", "bytes", "peak_at"}
    assert data["files"] == {"json": "profile.json"}
