from __future__ import annotations

from dataclasses import replace

import pytest
from bench_helpers import GPU, environment

from lmn_bench.cgroups import own_group
from lmn_bench.environment import _git_state, is_supported, noise_warnings, read_environment

QUIET = environment()


def codes(facts, throttled=0):
    return [warning.code for warning in noise_warnings(facts, throttled)]


def test_a_quiet_machine_gets_no_warning():
    assert codes(QUIET) == []
    assert codes(replace(QUIET, governor="performance", gpus=(GPU,))) == []


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        (replace(QUIET, load_average=2.0), "busy"),
        (replace(QUIET, governor="powersave"), "governor"),
        (replace(QUIET, available_memory_bytes=2**30), "low-memory"),
        (replace(QUIET, gpus=(replace(GPU, other_processes=2),)), "gpu-shared"),
        (replace(QUIET, gpus=(replace(GPU, throttle_reasons=("hot",)),)), "gpu-throttled"),
    ],
)
def test_what_would_disturb_a_measurement_gets_a_warning_with_a_hint(facts, code):
    (warning,) = noise_warnings(facts)
    assert warning.code == code
    assert warning.message
    assert warning.hint


def test_a_cpu_that_throttled_gets_a_warning():
    assert codes(QUIET, throttled=3) == ["throttled"]


def test_this_machine_can_be_read_and_measured_on():
    assert is_supported() is None
    facts = read_environment()
    assert facts.logical_cores >= facts.physical_cores >= 1
    assert facts.memory_bytes >= facts.available_memory_bytes > 0
    assert facts.torch[0].isdigit()


def test_a_limit_below_the_memory_of_the_machine_is_a_fact():
    group, facts = own_group(), read_environment()
    limit = None if group is None else group.limit_bytes()
    below = limit is not None and limit < facts.memory_bytes
    assert facts.memory_limit_bytes == (limit if below else None)


def test_the_same_machine_read_twice_is_the_same_machine():
    assert read_environment().machine == read_environment().machine


@pytest.mark.parametrize(
    "change",
    [{"cpu_model": "other"}, {"torch": "2.0.0"}, {"gpus": (GPU,)}, {"logical_cores": 8}],
)
def test_another_machine_is_another_machine(change):
    assert replace(QUIET, **change).machine != QUIET.machine


def test_the_hosts_name_makes_no_other_machine():
    assert replace(QUIET, hostname="3f2a9c81d7e0").machine == QUIET.machine


def test_load_does_not_make_another_machine():
    assert replace(QUIET, load_average=3.0, available_memory_bytes=1).machine == QUIET.machine


def test_what_git_says_in_another_encoding_is_read_all_the_same(tmp_path, monkeypatch):
    program = tmp_path / "git"
    program.write_text("#!/bin/sh\nprintf 'caf\\351'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert _git_state() == ("caf\ufffd", True)
