"""Models that take their process apart, through real children: each a right outcome, none left."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
from process_helpers import MIB, environ, measured_by, rogue

from lmn_bench.run.process import ForkServer
from lmn_bench.schema import Outcome

MARK = f"OF_TEST=rogue {os.getpid()}"


@pytest.fixture(scope="module")
def measure():
    name, _, value = MARK.partition("=")
    with ForkServer(environ(**{name: value})) as server:
        yield partial(measured_by, server)
    assert processes() == 0


def processes():
    """Those of this test that run: the server and its warden between two cases."""
    count = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            count += MARK.encode() in (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
    return count


def said(record):
    return " / ".join([record.reason or "", *record.warnings])


@pytest.mark.parametrize(
    ("name", "outcome", "words"),
    [
        ("forks_twice", Outcome.OK, "still running at its end, and ended"),
        ("forks_twice_in_trials", Outcome.OK, "still running at its end, and ended"),
        ("forks_twice_and_hangs", Outcome.TIMEOUT, "still running at its end, and ended"),
        ("closes_all_descriptors", Outcome.OK, ""),
        ("writes_into_descriptors", Outcome.OK, ""),
        ("eats_descriptors", Outcome.ERROR, "may have 64 files open, and its code has used them"),
        ("prints_16_mib", Outcome.OK, "to stderr, of which the first 64.0 KiB and the last"),
        ("raises_much", Outcome.ERROR, "ValueError: xxx"),
    ],
)
def test_whatever_it_does_the_outcome_is_right_and_nobody_is_left(measure, name, outcome, words):
    hangs = outcome is Outcome.TIMEOUT
    record = measure(rogue(name), timeout_s=1 if hangs else 60)
    assert record.outcome is outcome, record.reason
    assert words in said(record)
    assert len(said(record)) < 5000
    assert processes() == 2


@pytest.mark.parametrize(
    ("name", "cap", "outcome", "words"),
    [
        ("holds_a_memory_file", 32, Outcome.OUT_OF_MEMORY, "48.0 MiB in memory that is shared"),
        ("holds_a_memory_file", 72, Outcome.OK, "with them the cap was kept"),
        ("holds_shared_memory", 32, Outcome.OUT_OF_MEMORY, "48.0 MiB in memory that is shared"),
        ("holds_by_others", 32, Outcome.OUT_OF_MEMORY, "in processes of its own"),
        ("starts_threads", 64, Outcome.OUT_OF_MEMORY, "no memory for another thread"),
        ("starts_threads", None, Outcome.OK, ""),
        ("good", 32, Outcome.OK, ""),
    ],
)
def test_what_the_limit_does_not_see_counts_all_the_same(measure, name, cap, outcome, words):
    record = measure(rogue(name), cap=cap and cap * MIB)
    assert record.outcome is outcome, record.reason
    assert words in said(record)
    if outcome is Outcome.OUT_OF_MEMORY:
        assert "latency_s" not in record.metrics
        assert record.samples_s == ()
