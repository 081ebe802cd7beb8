from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lmn_bench import costs
from lmn_bench.errors import SubjectError, UnknownNameError
from lmn_bench.schema import MODES, Case, ModelSpec
from lmn_bench.subjects.build import build
from lmn_bench.subjects.flop_formulas import FORMULAS
from lmn_bench.subjects.names import BUILTIN, LACKING
from lmn_bench.subjects.sizes import SEGMENT_TOKENS, segment_flops
from lmn_bench.subjects.traffic import bytes_moved

SPECS = (
    ModelSpec(),
    ModelSpec(width=32, heads=2, layers=2, banks=2, expansion=2),
    ModelSpec(width=48, heads=1, layers=1, banks=3, expansion=1),
)
each_subject = pytest.mark.parametrize("name", list(BUILTIN))
each_spec = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.label)


def on_cpu(name, spec, dtype=torch.float32):
    return build(name, spec, dtype=dtype, device=torch.device("cpu"), seed=0)


def counted(call):
    with FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter:
        call()
    return counter.get_total_flops()


@each_subject
@each_spec
def test_parameters_are_those_of_the_model_and_of_the_reference(name, spec):
    count = sum(parameter.numel() for parameter in on_cpu(name, spec).parameters())
    assert costs.parameters(name, spec) == count
    assert count == pytest.approx(costs.parameters("lmn", spec), rel=0.01)


@each_subject
@each_spec
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
def test_state_bytes_are_those_that_prefill_hands_on_in_every_type(name, spec, dtype):
    batch, length, subject = 2, 21, on_cpu(name, spec, dtype)
    with torch.inference_mode():
        x = torch.randn(batch, length, spec.width, dtype=dtype)
        _, state = subject.prefill(x, capacity=length + 1)
    expected = costs.state_bytes(name, spec, length, batch, dtype.itemsize)
    assert subject.state_bytes(state) == expected


@each_subject
@each_spec
@pytest.mark.parametrize("length", [1, 37, 64])
def test_flops_state_and_slots_are_those_of_the_model(name, spec, length):
    batch, subject = 2, on_cpu(name, spec)
    x = torch.randn(batch, length, spec.width)
    with torch.inference_mode():
        assert costs.flops(name, spec, "prefill", length, batch) == counted(
            lambda: subject.prefill(x)
        )
        _, state = subject.prefill(x, capacity=length + 1)
        assert costs.state_bytes(name, spec, length, batch) == subject.state_bytes(state)
        ready = subject.copy_state(state)
        assert costs.flops(name, spec, "decode", length, batch) == counted(
            lambda: subject.decode(x[:, 0], ready)
        )
    assert costs.flops(name, spec, "train", length, batch) == counted(lambda: subject.train_step(x))
    assert costs.slots(name, spec, length) == subject.slots(length)


@each_subject
def test_a_stream_is_the_sum_of_its_steps_and_a_window_their_mean(name):
    spec = ModelSpec(width=32, heads=2)
    steps = [costs.flops(name, spec, "decode", seen) for seen in range(16)]
    assert costs.flops(name, spec, "stream", 16) == sum(steps)
    assert costs.window_flops(name, spec, 8, window=8) == sum(steps[8:]) / 8


@pytest.mark.parametrize("name", ["lmn", "lmn-expander", "gru"])
def test_reading_does_the_work_of_its_segments(name):
    spec, length = ModelSpec(width=8, heads=1), SEGMENT_TOKENS + 100
    subject, x = on_cpu(name, spec), torch.randn(1, length, spec.width)
    with torch.inference_mode():
        assert costs.flops(name, spec, "read", length) == counted(lambda: subject.read(x))


@pytest.mark.parametrize("batch", [1, 50])
@pytest.mark.parametrize("width", [2, 64])
@pytest.mark.parametrize("length", [1, 4095, 4096, 3 * 4096 + 5, 40 * 4096 + 1])
def test_a_long_read_is_the_sum_of_its_segments(length, width, batch):
    spec = ModelSpec(width=width, heads=1, banks=2)
    parts = [(at, min(SEGMENT_TOKENS, length - at)) for at in range(0, length, SEGMENT_TOKENS)]
    # At width 2 a recurrent model cannot be as large as an lmn.
    for name in ("lmn", "lmn-expander", *(("gru",) if width > 2 else ())):
        total = sum(segment_flops(name, spec, *part, batch) for part in parts)
        assert costs.flops(name, spec, "read", length, batch) == total


@each_subject
def test_the_longest_calls_are_counted_at_once(name):
    for mode in MODES:
        if (name, mode) not in LACKING:
            assert costs.flops(name, ModelSpec(), mode, 2**40) > 0
            assert bytes_moved(name, ModelSpec(), mode, 2**40) > 0


@pytest.mark.parametrize(("name", "mode"), list(LACKING))
def test_what_a_subject_lacks_has_no_costs(name, mode):
    for question in (costs.seconds, costs.memory_bytes):
        with pytest.raises(SubjectError, match=f"{name} has no {mode}: its"):
            question(Case(name, mode, 64))
    with pytest.raises(SubjectError, match=LACKING[name, mode]):
        costs.flops(name, ModelSpec(), mode, 64)


def test_a_long_read_is_forecast_at_once_and_in_bounded_memory():
    short, long = Case("lmn", "read", 2**16), Case("lmn", "read", 2**40)
    assert costs.memory_bytes(long) < 1.1 * costs.memory_bytes(short)
    assert costs.seconds(long) == pytest.approx(2**24 * costs.seconds(short), rel=0.5)


def test_sizes_that_cannot_agree_are_refused_with_numbers():
    with pytest.raises(SubjectError, match=r"58,112 parameters a layer.*no nearer than 78,529"):
        costs.feedforward_width("lmn-expander", ModelSpec(expansion=12))
    with pytest.raises(SubjectError, match="within 1%"):
        costs.feedforward_width("lstm", ModelSpec(width=2, heads=1))


def test_inner_widths_are_round_where_the_tolerance_allows():
    inner = [costs.feedforward_width(name, ModelSpec()) for name in BUILTIN]
    assert all(width % 16 == 0 for width in inner)


@pytest.mark.parametrize("question", [costs.parameters, costs.feedforward_width])
def test_only_builtin_subjects_have_known_costs(question):
    with pytest.raises(UnknownNameError):
        question("mamba", ModelSpec())
    with pytest.raises(UnknownNameError):
        costs.flops("lmn", ModelSpec(), "training", 8)


def allocator_peak(call):
    """Highest sum of live bytes that torch's CPU allocator handed out during `call`."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        result = call()
    events = profile.profiler.kineto_results.events()
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    live = peak = 0
    for _, change in changes:
        live += change
        peak = max(peak, live)
    del result
    return peak


@each_subject
@pytest.mark.parametrize("mode", ["prefill", "train"])
@pytest.mark.parametrize(
    "spec", [ModelSpec(), ModelSpec(banks=2, layers=2)], ids=lambda spec: spec.label
)
def test_working_memory_is_within_twice_the_truth(name, mode, spec):
    length = 512
    subject, x = on_cpu(name, spec), torch.randn(1, length, spec.width)
    subject.train_step(x[:, :8])
    for parameter in subject.parameters():
        parameter.grad = None

    def call():
        if mode == "train":
            return subject.train_step(x)
        with torch.inference_mode():
            return subject.prefill(x)

    predicted = costs.working_memory_bytes(name, spec, mode, length)
    # The autograd graph's own nodes don't come from torch's allocator.
    if mode == "train":
        predicted -= spec.layers * length * costs.GRAPH_BYTES_PER_STEP.get(name, 0)
    assert 0.5 < predicted / allocator_peak(call) < 2


@pytest.mark.parametrize(
    ("name", "mode"), [(n, m) for n in BUILTIN for m in MODES if (n, m) not in LACKING]
)
def test_a_case_is_forecast_and_longer_ones_take_more(name, mode):
    short = Case(name, mode, 1024, model=ModelSpec(expansion=1))
    long = Case(name, mode, 8192, model=ModelSpec(expansion=1))
    assert 0 < costs.seconds(short) <= costs.seconds(long) < 3600
    assert 58_000 * 4 < costs.memory_bytes(short) <= costs.memory_bytes(long)
    on_gpu = Case(name, mode, 1024, device="cuda", dtype="bfloat16")
    assert costs.seconds(on_gpu) > 0
    assert costs.memory_bytes(on_gpu) < costs.memory_bytes(short)


@pytest.mark.parametrize(
    "module", ["lmn_bench.costs", "lmn_bench.subjects", "lmn_bench.subjects.names"]
)
def test_planning_loads_no_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
