"""What a case needs in all, and contexts that are put there instead of read: in real processes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from bench_helpers import SMALL, case

from lmn_bench.run.process import ForkServer
from lmn_bench.run.schedule import order_tasks, run_tasks
from lmn_bench.schema import Measuring, ModelSpec, Outcome
from lmn_bench.subjects.build import build
from lmn_bench.subjects.names import BUILTIN

MIB = 2**20
ALONE = Measuring(processes=1, timeout_s=60, timing=False, counters=False, needs=True)
WIDE = ModelSpec(width=256, heads=4, layers=2)


@pytest.fixture(scope="module")
def server():
    with ForkServer() as running:
        yield running


@pytest.fixture(scope="module")
def needs(server):
    """The record of a case of which only the needs are measured."""

    def one(subject, mode, length, **rest):
        of = case(subject, mode, length, **{"model": WIDE, **rest})
        return list(run_tasks(order_tasks([of], 1, 0), ALONE, 0, server))[-1].record

    return one


def test_without_times_the_needs_are_all_that_is_measured(needs):
    record = needs("lmn", "prefill", 64)
    assert record.outcome is Outcome.OK, record.reason
    assert not record.samples_s
    assert "latency_s" not in record.metrics
    assert record.metrics["loaded_bytes"] > record.metrics["parameter_bytes"]


@pytest.mark.parametrize("subject", ["lmn", "transformer", "lstm"])
def test_input_state_and_result_are_part_of_what_a_prefill_needs(needs, subject):
    short, long = (needs(subject, "prefill", n).metrics["needed_bytes"] for n in (4096, 16384))
    tokens = (16384 - 4096) * WIDE.width * 4
    # Input and output at least. A Transformer's blocks take 16 to 24 vectors a token, by how they
    # come to lie in the heap; its matrix of scores would take 340.
    assert 2 * tokens <= long - short <= 48 * tokens


def test_the_state_of_a_context_is_what_decoding_needs(needs):
    short, long = (needs("transformer", "decode", n).metrics["needed_bytes"] for n in (4096, 65536))
    cache = (65536 - 4096) * 2 * WIDE.width * 4 * WIDE.layers
    assert cache <= long - short <= 1.5 * cache


def test_a_context_of_a_trillion_tokens_costs_an_lmn_nothing(needs):
    record = needs("lmn", "decode", 2**40)
    assert record.outcome is Outcome.OK, record.reason
    assert record.metrics["needed_bytes"] < 8 * MIB


@pytest.mark.parametrize("mode", ["decode", "prefill", "train", "read"])
def test_what_was_needed_fits_under_a_cap_of_it_and_not_under_half(needs, mode):
    subject, length = ("transformer", 65536) if mode == "decode" else ("lmn", 16384)
    whole = needs(subject, mode, length).metrics
    need = max(whole["needed_bytes"], whole.get("needed_reserved_bytes", 0))
    enough = needs(subject, mode, length, memory_cap_bytes=round(1.1 * need) + 4 * MIB)
    assert enough.outcome is Outcome.OK, enough.reason
    short = needs(subject, mode, length, memory_cap_bytes=round(need / 3))
    assert short.outcome is Outcome.OUT_OF_MEMORY


@pytest.mark.parametrize("subject", sorted(BUILTIN))
@pytest.mark.parametrize("tokens", [1, 37])
def test_a_blank_state_is_as_large_as_one_that_was_read(subject, tokens):
    model = build(subject, SMALL, dtype=torch.float32, device=torch.device("cpu"), seed=0)
    with torch.inference_mode():
        x = torch.randn(2, tokens, SMALL.width)
        _, state = model.prefill(x, capacity=tokens + 4)
        read = model.copy_state(state)
        blank = model.blank_state(2, tokens, capacity=tokens + 4)
        assert model.state_bytes(blank) == model.state_bytes(read)
        token = torch.randn(2, SMALL.width)
        for _ in range(3):
            output, blank = model.decode(token, blank)
            _, read = model.decode(token, read)
        assert model.state_bytes(blank) == model.state_bytes(read)
    assert output.shape == (2, SMALL.width)
    assert torch.isfinite(output).all()


def test_decoding_is_timed_at_a_blank_context(server):
    of = case("transformer", "decode", 2**17, model=WIDE)
    quick = Measuring(
        processes=1, time_goal_s=0.001, warmup_limit_s=0.0, counters=False, decode_window=2,
        blank_context=True,
    )  # fmt: skip
    record = list(run_tasks(order_tasks([of], 1, 0), quick, 0, server))[-1].record
    assert record.outcome is Outcome.OK, record.reason
    assert record.metrics["state_bytes"] == 2**17 * 2 * WIDE.width * 4 * WIDE.layers
    assert record.metrics["latency_s"] > 0


def test_gradients_of_the_needs_are_not_part_of_what_is_measured_after_it(server):
    of = case("lmn", "train", 256)
    plain, after = (
        list(run_tasks(order_tasks([of], 1, 0), replace(
            Measuring(processes=1, time_goal_s=0.001, warmup_limit_s=0.0), needs=needs
        ), 0, server))[-1].record.metrics["allocator_peak_bytes"]
        for needs in (False, True)
    )  # fmt: skip
    # What is made once and kept, a plan of chunks, takes a few KiB; gradients would take 50.
    assert abs(plain - after) < 16 * 1024


@pytest.mark.parametrize("subject", ["transformer", "lstm"])
def test_with_malloc_lean_memory_is_a_straight_line_of_the_length(server, subject):
    """As malloc comes, holes in its heaps make it rise and fall by a third."""
    lean = replace(ALONE, malloc="lean")
    lengths = (4096, 5120, 6144, 7168, 8192)
    needed = []
    for length in lengths:
        of = case(subject, "prefill", length, model=ModelSpec(width=64, heads=4, layers=2))
        record = list(run_tasks(order_tasks([of], 1, 0), lean, 0, server))[-1].record
        assert record.outcome is Outcome.OK, record.reason
        needed.append(record.metrics["needed_reserved_bytes"])
    step = (needed[-1] - needed[0]) / 4
    for at, value in enumerate(needed):
        assert value == pytest.approx(needed[0] + at * step, rel=0.02)
