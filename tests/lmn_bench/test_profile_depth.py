"""Parts of a user's model at any depth: those of one level add up to those of the level above."""

from __future__ import annotations

import functools
import itertools

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

from lmn_bench.subjects.user import UserModel  # noqa: E402
from lmn_bench.worker import counters  # noqa: E402
from lmn_bench.worker.profiling.clock import PartClock  # noqa: E402
from lmn_bench.worker.profiling.flops import count_flops  # noqa: E402
from lmn_bench.worker.profiling.instruments import Instruments  # noqa: E402
from lmn_bench.worker.profiling.lines import functions_of  # noqa: E402
from lmn_bench.worker.profiling.modules import nodes_of  # noqa: E402
from lmn_bench.worker.profiling.operators import trace_call  # noqa: E402

CPU = torch.device("cpu")
WIDTH, TOKENS = 8, 6
# FLOPs of a linear layer of this width.
LINEAR = 2 * TOKENS * WIDTH * WIDTH
ITSELF = " (itself)"
MODEL = "the model itself"


def linear():
    return nn.Linear(WIDTH, WIDTH)


class Around(nn.Module):
    """Calls what it is made of, one after another, and does a product of its own."""

    def __init__(self, **modules):
        super().__init__()
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x):
        for module in self.children():
            x = module(x)
        return x @ x.mT @ x


class Stack(nn.Module):
    def __init__(self, *blocks):
        super().__init__()
        self.layers = nn.ModuleList(blocks)

    def forward(self, x):
        for block in self.layers:
            x = block(x)
        return x


def tower():
    return Stack(*(
        Around(attention=Around(into=linear(), out=linear()),
               ff=nn.Sequential(linear(), nn.GELU(), linear()))
        for _ in range(2)
    ))  # fmt: skip


def shared_between_blocks():
    one = Around(map=linear())
    return Stack(Around(own=linear(), both=one), Around(own=linear(), both=one))


def one_block_many_times():
    return Stack(*[Around(first=linear(), second=linear())] * 3)


def registered_high_and_low():
    rotary = Around(map=linear())
    return Around(rotary=rotary, block=Around(attention=Around(rotary=rotary, out=linear())))


class Reaching(Around):
    """Calls modules of its blocks, and one of them twice, without the blocks' leave."""

    def forward(self, x):
        return self.block(self.block.inner.map(self.holder.a(self.block.inner(x))))


def reaching():
    return Reaching(
        block=Around(inner=Around(map=linear()), own=linear()),
        holder=nn.ModuleDict({"a": linear()}),
    )


class Namespace(nn.Module):
    """Holds modules, and has no forward."""


class Held(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = Namespace()
        self.parts.one, self.parts.two = linear(), Around(map=linear())

    def forward(self, x):
        return self.parts.two(self.parts.one(x))


class Recursive(nn.Module):
    def __init__(self):
        super().__init__()
        self.map = linear()

    def forward(self, x, times=3):
        x = self.map(x)
        return self(x, times - 1) if times else x


class Fails(nn.Module):
    def __init__(self):
        super().__init__()
        self.map = linear()

    def forward(self, x):
        self.map(x)
        raise ValueError("not today")


class Catching(nn.Module):
    def __init__(self):
        super().__init__()
        self.fails, self.works = Fails(), Around(map=linear())

    def forward(self, x):
        try:
            return self.fails(x)
        except ValueError:
            return self.works(x) @ x.mT @ x


class Checkpointed(nn.Module):
    def __init__(self):
        super().__init__()
        self.block, self.last = Around(a=linear(), b=linear()), linear()

    def forward(self, x):
        return self.last(checkpoint(self.block, x, use_reentrant=False))


def parents_within_children():
    model = tower()
    model.layers[0].attention.model = Namespace()
    model.layers[0].attention._modules["model"] = model
    model.layers[0].attention.forward = model.layers[0].attention.into.forward
    return model


def hooked():
    model = Around(block=Around(map=linear()))
    model.block.register_forward_hook(lambda module, args, out: out @ out.mT @ out)
    return model


MAKERS = [
    tower, shared_between_blocks, one_block_many_times, registered_high_and_low, reaching, Held,
    Recursive, Catching, Checkpointed, parents_within_children, hooked,
]  # fmt: skip


def by_part(instruments, of_sites):
    found = dict.fromkeys(instruments.parts, 0)
    for site, count in of_sites:
        found[instruments.sites[site].part] += count
    return found


def counted(model, depth, mode, *, watch=True):
    """FLOPs of a call and calls of operators, by part."""
    subject = UserModel("mine:make", model)
    instruments = Instruments("mine:make", subject, depth)

    def call():
        x = torch.ones(1, TOKENS, WIDTH)
        subject.train_step(x) if mode == "train" else subject.prefill(x)

    if watch:
        instruments.watch(call)
    flops = count_flops(call, len(instruments.sites), instruments.installed, trains=mode == "train")
    trace = trace_call(call, instruments.sites, instruments.installed, device=CPU)
    return (
        by_part(instruments, ((site, count) for (site, _), count in flops.items())),
        by_part(instruments, ((site, use.calls) for (site, _), use in trace.uses.items())),
    )


def folded(fine, coarse):
    """Sums of `fine` parts over those of `coarse` that they are in."""
    paths = {name.removesuffix(ITSELF): name for name in coarse}
    found = dict.fromkeys(coarse, 0)
    for name, count in fine.items():
        path = name.removesuffix(ITSELF)
        above = [one for one in paths if path == one or path.startswith(f"{one}.")]
        found[paths[max(above, key=len)]] += count
    return found


@pytest.mark.parametrize("mode", ["prefill", "train"])
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_parts_of_a_depth_are_the_sums_of_those_of_the_next(make, mode):
    model = make()
    found = [counted(model, depth, mode) for depth in (1, 2, 3, 9)]
    for (flops, calls), (finer_flops, finer_calls) in itertools.pairwise(found):
        assert folded(finer_flops, flops) == flops
        assert folded(finer_calls, calls) == calls


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_watching_a_call_changes_no_count(make):
    model = make()
    for depth in (1, 2):
        assert counted(model, depth, "train") == counted(model, depth, "train", watch=False)


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_every_flop_is_in_a_part(make):
    subject = UserModel("mine:make", make())
    x = torch.ones(1, TOKENS, WIDTH)
    flops, _ = counted(subject.model, 2, "train")
    assert flops["other"] == 0
    assert sum(flops.values()) == counters.count(lambda: subject.train_step(x)).flops


def parts_with_flops(model, depth, mode="prefill"):
    return {name: count for name, count in counted(model, depth, mode)[0].items() if count}


def test_parts_are_named_by_where_they_are():
    own = 2 * 2 * TOKENS * TOKENS * WIDTH
    assert parts_with_flops(tower(), 1) == {
        f"layers.{at}": 4 * LINEAR + 2 * own for at in (0, 1)
    }  # fmt: skip
    deeper = parts_with_flops(tower(), 2)
    assert deeper["layers.0 (itself)"] == own
    assert deeper["layers.0.attention"] == 2 * LINEAR + own
    assert deeper["layers.1.ff"] == 2 * LINEAR
    assert parts_with_flops(tower(), 3)["layers.1.ff.2"] == LINEAR


def test_a_module_that_two_blocks_share_counts_where_it_is_called():
    found = parts_with_flops(shared_between_blocks(), 3)
    assert found["layers.0.both.map"] == found["layers.1.both.map"] == LINEAR


def test_a_module_called_without_its_block_belongs_to_the_block():
    found = parts_with_flops(reaching(), 1)
    assert set(found) == {"block", "holder.a"}
    assert parts_with_flops(Held(), 1) == {"parts": 2 * LINEAR + 4 * TOKENS * TOKENS * WIDTH}


def test_what_a_hook_does_belongs_to_its_module():
    found = parts_with_flops(hooked(), 2)
    assert found["block (itself)"] == 2 * found[MODEL]


def test_what_follows_an_error_that_was_caught_is_the_callers():
    found = parts_with_flops(Catching(), 1)
    assert found["fails"] == LINEAR
    assert found[MODEL] == 4 * TOKENS * TOKENS * WIDTH


class Called(nn.ModuleList):
    """A list that can be called."""

    def forward(self, x):
        for module in self:
            x = module(x)
        return x


@pytest.mark.parametrize(("model", "paths"), [
    (nn.Sequential(linear(), nn.Sequential(linear())), ["0", "1"]),
    (Around(net=nn.Sequential(linear(), linear())), ["net"]),
    (Stack(linear(), nn.ModuleList([linear(), linear()])),
     ["layers.0", "layers.1.0", "layers.1.1"]),
    (Around(named=nn.ModuleDict({"a": linear()})), ["named.a"]),
    (Around(blocks=Called([linear()])), ["blocks"]),
    (Around(lone=nn.ParameterList([])), ["lone"]),
    (Around(nothing=None), []),
])  # fmt: skip
def test_lists_are_looked_through_and_sequentials_are_a_level(model, paths):
    assert [node.path for node in nodes_of(model, 1) if node.level == 1] == paths


class Slotted:
    """A model that is no module, and has no dictionary."""

    __slots__ = ("empty", "layers", "net")

    def __init__(self, net):
        self.net, self.layers = net, [linear(), linear()]

    def __call__(self, x):
        return self.net(x)


def closed_over():
    net = linear()
    return lambda x: net(x)


@pytest.mark.parametrize(("model", "paths"), [
    (Slotted(linear()), ["layers.0", "layers.1", "net"]),
    (closed_over(), ["net"]),
    (Around(a=linear()).forward, ["a"]),
    (functools.partial(Around(a=linear()), y=1), ["a"]),
    (torch.relu, []),
    (lambda x: x, []),
])  # fmt: skip
def test_models_that_are_no_modules_are_looked_into_as_well(model, paths):
    assert sorted(node.path for node in nodes_of(model, 1)) == paths


def test_a_model_without_modules_is_one_part():
    assert parts_with_flops(lambda x: x @ x.mT @ x, 3) == {MODEL: 4 * TOKENS * TOKENS * WIDTH}


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_script_is_timed_as_a_whole():
    model = Around(script=torch.jit.trace(Around(map=linear()), torch.ones(1, TOKENS, WIDTH)))
    _, calls = counted(model, 3, "prefill")
    assert calls["script"] > 0
    assert not any(name.startswith("script.") for name in calls)


def compiled_outside():
    return torch.compile(Around(map=linear()), backend="eager")


def compiled_inside():
    module = Around(map=linear())
    module.compile(backend="eager")
    return module


def compiled_forward():
    module = Around(map=linear())
    module.forward = torch.compile(module.forward, backend="eager")
    return module


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [compiled_outside, compiled_inside, compiled_forward])
def test_what_is_compiled_stays_whole_and_is_not_compiled_again(make):
    torch._dynamo.reset()
    subject = UserModel("mine:make", Around(block=make()))
    x = torch.ones(1, TOKENS, WIDTH)
    subject.prefill(x)
    instruments = Instruments("mine:make", subject, 3)
    assert "block" in instruments.parts
    assert not any(name.startswith("block.") for name in instruments.parts)
    with torch._dynamo.config.patch(error_on_recompile=True):
        instruments.watch(lambda: subject.prefill(x))
        trace = trace_call(
            lambda: subject.prefill(x), instruments.sites, instruments.installed, device=CPU
        )
    used = {instruments.sites[site].part for site, _ in trace.uses}
    assert {"block", MODEL} <= used


def test_a_function_that_is_kept_from_the_compiler_leaves_its_module_open():
    model = Around(block=Around(map=linear()))
    model.block.log = torch.compiler.disable(lambda: None)
    assert "block.map" in counted(model, 2, "prefill")[1]


def test_a_model_may_learn_while_it_infers():
    class Learning(nn.Module):
        def __init__(self):
            super().__init__()
            self.map = linear()

        def forward(self, x):
            self.map(x).sum().backward()
            return x

    assert parts_with_flops(Learning(), 1)["map"] == LINEAR


def test_a_backward_pass_inside_of_another_ends_where_it_began():
    clock = PartClock(3, trains=True)
    x = torch.ones(1, requires_grad=True)
    clock.start()
    clock.enter(1)
    clock.begin_backward(x * 2)
    clock.enter(2)
    clock.begin_backward(x * 3)
    clock.enter(0)
    clock.end_backward()
    assert clock.current() == 2
    clock.end_backward()
    assert clock.current() == 1


def test_modules_are_as_they_were_when_no_one_looks():
    model = shared_between_blocks()
    before = [dict(vars(module)) for module in model.modules()]
    counted(model, 2, "train")
    assert [vars(module).keys() for module in model.modules()] == [one.keys() for one in before]


def test_lines_are_those_of_modules_down_to_the_depth():
    model = Around(block=Held())
    assert any("Held" in one.__qualname__ for one in functions_of(model, 1))
    deep = Around(block=Around(held=Held()))
    assert not any("Held" in one.__qualname__ for one in functions_of(deep, 1))
    assert any("Held" in one.__qualname__ for one in functions_of(deep, 2))
