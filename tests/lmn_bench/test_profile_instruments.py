"""A subject that tells where it is does what it does without."""

from __future__ import annotations

import sys

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from lmn_bench.errors import WorkerError  # noqa: E402
from lmn_bench.schema import ModelSpec  # noqa: E402
from lmn_bench.subjects.build import build  # noqa: E402
from lmn_bench.subjects.names import BUILTIN, LACKING  # noqa: E402
from lmn_bench.subjects.user import UserModel  # noqa: E402
from lmn_bench.worker import counters  # noqa: E402
from lmn_bench.worker.profiling.clock import ClockCost, PartClock, Reading, clock_cost  # noqa: E402
from lmn_bench.worker.profiling.flops import count_flops  # noqa: E402
from lmn_bench.worker.profiling.instruments import Instruments  # noqa: E402
from lmn_bench.worker.profiling.operators import PartRanges, trace_call  # noqa: E402
from lmn_bench.worker.profiling.parts import OTHER, Rule, rules_of  # noqa: E402
from lmn_bench.worker.profiling.rewrite import ENTER, LEAVE, MARK, place_of, rewritten  # noqa: E402

CPU = torch.device("cpu")
SPEC = ModelSpec(width=32, heads=4, layers=2, banks=2)
CELLS = [
    (name, mode)
    for name in BUILTIN
    for mode in ("train", "prefill", "read", "decode", "stream")
    if (name, mode) not in LACKING
]


def subject_named(name):
    return build(name, SPEC, dtype=torch.float32, device=CPU, seed=0)


def call_of(subject, mode, length=40):
    """The work of a mode, and everything that it makes: outputs, gradients."""
    x = torch.randn(2, length, SPEC.width, generator=torch.Generator().manual_seed(1))

    def call():
        if mode == "train":
            loss = subject.train_step(x)
            return [loss, *(p.grad for p in subject.parameters() if p.grad is not None)]
        with torch.inference_mode():
            if mode in ("prefill", "read"):
                return [getattr(subject, mode)(x)[0]]
            half = length // 2 if mode == "decode" else 0
            state = (
                subject.prefill(x[:, :half], capacity=length)[1]
                if half
                else subject.initial_state(2, capacity=length)
            )
            outputs = []
            for token in x[:, half:].unbind(1):
                output, state = subject.decode(token, state)
                outputs.append(output)
            return outputs

    return call


@pytest.mark.parametrize(("name", "mode"), CELLS)
def test_outputs_and_gradients_are_those_without_instruments(name, mode):
    subject = subject_named(name)
    call = call_of(subject, mode)
    plain = call()
    instruments = Instruments(name, subject)
    clock = PartClock(len(instruments.sites), trains=mode == "train")
    with instruments.installed(clock):
        clock.start()
        watched = call()
        reading = clock.stop()
    assert all(torch.equal(a, b) for a, b in zip(plain, watched, strict=True))
    assert sum(ns > 0 for ns in reading.spent_ns) > 2  # it was told of several parts


@pytest.mark.parametrize("name", BUILTIN)
@pytest.mark.parametrize("fails", [False, True])
def test_everything_is_put_back(name, fails):
    subject = subject_named(name)
    instruments = Instruments(name, subject)
    before = torch.autograd.backward
    try:
        with instruments.installed(PartClock(len(instruments.sites))):
            if fails:
                raise ValueError
    except ValueError:
        pass
    assert torch.autograd.backward is before
    for place in instruments.places:
        assert place.function.__code__ is place.code
        assert not {ENTER, LEAVE, MARK} & vars(place.module).keys()


def test_a_rule_that_finds_nothing_is_an_error_of_ours():
    rule = Rule("lmn.block:LMNBlock._segment", calls={"self.norm3": "norm"})
    with pytest.raises(WorkerError, match=r"self\.norm3"):
        rewritten(rule, place_of(rule.path), lambda site: 0)


def test_a_copy_keeps_the_lines_of_its_original():
    rule = next(r for r in rules_of("lmn") if r.path.endswith("LMNBlock._segment"))
    place = place_of(rule.path)
    copy = rewritten(rule, place, lambda site: 0)
    lines, own = ({line for *_, line in code.co_lines() if line} for code in (copy, place.code))
    assert own <= lines


def ticking(step=10):
    """A clock that moves on by `step` whenever it is read."""
    moment = 0

    def now():
        nonlocal moment
        moment += step
        return moment

    return now


def test_a_clock_charges_time_to_the_innermost_site():
    clock = PartClock(3, now=ticking())
    clock.start()
    outer = clock.enter(1)
    inner = clock.enter(2)
    assert clock.leave(inner, "value") == "value"
    clock.mark(2)
    clock.leave(outer, None)
    reading = clock.stop()
    assert reading.spent_ns == (20, 20, 20)
    assert reading.switches == (1, 2, 2)


def test_what_a_clock_costs_is_taken_off_where_it_was_spent():
    reading = Reading((1_000, 5_000), (1, 2), (0, 1))
    seconds = reading.seconds(ClockCost(switch_s=1e-7, hook_s=2e-7))
    assert seconds == pytest.approx([0.9e-6, 4.6e-6])


@pytest.mark.parametrize("trains", [False, True])
def test_a_clock_knows_that_it_costs_something_and_not_much(trains):
    cost = clock_cost(trains=trains)
    assert 0 < cost.switch_s < 1e-4
    assert cost.hook_s >= 0


@pytest.mark.parametrize("name", ["lmn", "lmn-published", "transformer", "gru"])
@pytest.mark.parametrize("mode", ["train", "prefill", "stream"])
def test_flops_by_part_add_up_to_those_of_the_whole(name, mode):
    subject = subject_named(name)
    call = call_of(subject, mode)
    call()  # a decoder folds its weights when it is first asked
    with torch.no_grad() if mode != "train" else torch.enable_grad():
        instruments = Instruments(name, subject)
        by_part = count_flops(
            call, len(instruments.sites), instruments.installed, trains=mode == "train"
        )
        assert sum(by_part.values()) == counters.count(call).flops
    named = {instruments.sites[site].part for site, _ in by_part}
    assert OTHER not in named


@pytest.mark.parametrize(("name", "mode"), [("lmn", "train"), ("transformer", "train"),
                                            ("lmn", "stream"), ("lstm", "prefill")])  # fmt: skip
def test_operators_stand_in_the_part_that_ran_them(name, mode, tmp_path):
    subject = subject_named(name)
    call = call_of(subject, mode)
    call()
    instruments = Instruments(name, subject)
    trace = trace_call(
        call, instruments.sites, instruments.installed, device=CPU,
        save_to=tmp_path / "trace.json.gz",
    )  # fmt: skip
    assert (tmp_path / "trace.json.gz").stat().st_size > 0
    assert not (tmp_path / "trace.json").exists()
    parts = {}
    for (site, operator), use in trace.uses.items():
        parts.setdefault(instruments.sites[site].part, {})[operator] = use.calls
    products = {"aten::addmm", "aten::mm", "aten::bmm", "aten::mkldnn_rnn_layer", "aten::linear"}
    elsewhere = products & parts.get(OTHER, {}).keys()
    assert not elsewhere
    assert products & parts.get("feed-forward", {}).keys()


def test_allocations_stand_in_the_part_that_made_them():
    subject = subject_named("transformer")
    instruments = Instruments("transformer", subject)
    trace = trace_call(
        call_of(subject, "prefill"), instruments.sites, instruments.installed, device=CPU,
        memory=True,
    )  # fmt: skip
    made = {}
    for one in trace.allocations:
        if one.bytes > 0:
            part = instruments.sites[one.site].part
            made[part] = made.get(part, 0) + one.bytes
    # keys and values for 40 tokens, twice per layer
    assert made["cache"] >= 2 * 2 * 2 * 40 * SPEC.width * 4


class Custom(nn.Module):
    """A model with modules of its own, one of them called by another name than forward."""

    class Cell(nn.Module):
        def __init__(self):
            super().__init__()
            self.map = nn.Linear(8, 8)

        def forward(self, x):
            return self.map(x)

        def step(self, x):
            return self.map(x)

    def __init__(self):
        super().__init__()
        self.mix, self.cell = nn.Linear(8, 8), self.Cell()
        self.layers = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8)])

    def forward(self, x):
        x = self.cell.step(self.cell(self.mix(x)))
        for layer in self.layers:
            x = layer(x)
        return x


def test_parts_of_a_users_model_are_its_top_level_modules():
    model = Custom()
    subject = UserModel("mine:make", model)
    instruments = Instruments("mine:make", subject)
    assert {"mix", "cell", "layers.0", "layers.1"} <= set(instruments.parts)
    clock = PartClock(len(instruments.sites), trains=True)
    x = torch.randn(1, 5, 8)
    plain = subject.train_step(x)
    with instruments.installed(clock):
        clock.start()
        watched = subject.train_step(x)
        reading = clock.stop()
    assert torch.equal(plain, watched)
    seen = {instruments.sites[at].part for at, ns in enumerate(reading.spent_ns) if ns}
    assert {"mix", "cell", "layers.0", "layers.1", "loss"} <= seen
    assert not any("forward" in vars(module) for module in model.modules())


def test_ranges_close_what_they_open():
    ranges = PartRanges([*Instruments("lmn", subject_named("lmn")).sites])
    before = ranges.enter(1)
    ranges.enter(2)
    ranges.mark(1)
    assert ranges.leave(before, 5) == 5
    assert ranges._open == []


def test_no_other_module_is_left_changed():
    assert not any(
        ENTER in vars(module) for name, module in sys.modules.items() if name.startswith("lmn")
    )
