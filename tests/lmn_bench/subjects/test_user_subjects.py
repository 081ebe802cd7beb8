from __future__ import annotations

import itertools
import sys
import textwrap

import pytest
import torch

from lmn_bench.errors import SubjectError
from lmn_bench.schema import Case, ModelSpec
from lmn_bench.subjects.build import build
from lmn_bench.subjects.protocol import Subject, supported_modes
from lmn_bench.worker.trial import try_out

SPEC = ModelSpec(width=8, heads=2)
_numbers = itertools.count()

PLAIN = """
    from torch import nn

    def make(spec, *, dtype, device):
        return nn.Sequential(nn.Linear(spec.width, spec.width), nn.Dropout(0.5))
"""

# A running mean: parallel as a cumulative sum, sequential as an addition.
MEAN = """
    import torch
    from torch import nn

    class Mean(nn.Module):
        def __init__(self, spec, *, dtype, device):
            super().__init__()
            self.map = nn.Linear(spec.width, spec.width)

        def forward(self, x):
            return self.prefill(x)[0]

        def prefill(self, x):
            count = torch.arange(1, x.shape[1] + 1, device=x.device, dtype=x.dtype)[:, None]
            total = x.cumsum(1)
            return self.map(total / count), {"total": total[:, -1], "count": x.shape[1]}

        def initial_state(self, batch):
            return {"total": self.map.weight.new_zeros(batch, self.map.in_features), "count": 0}

        def decode(self, x_t, state):
            state["total"] += x_t
            state["count"] += 1
            return self.map(state["total"] / state["count"]), state
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module into the working directory; its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(source):
        name = f"user_model_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        return name

    return write


def load(name, dtype=torch.float32):
    return build(name, SPEC, dtype=dtype, device=torch.device("cpu"), seed=0)


def refused(name):
    with pytest.raises(SubjectError) as caught:
        load(name)
    assert caught.value.hint
    return caught.value


def tried(name, mode="prefill", length=20):
    case = Case(name, mode, length, model=SPEC)
    return try_out(load(name), case, torch.float32, torch.device("cpu"))


def refused_in_trial(name, mode="prefill"):
    with pytest.raises(SubjectError) as caught:
        tried(name, mode)
    assert caught.value.hint
    return str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_plain_module_can_be_trained_and_prefilled(module, dtype):
    subject = load(f"{module(PLAIN)}:make", dtype)
    x = torch.randn(2, 5, 8, dtype=dtype)
    assert isinstance(subject, Subject)
    assert supported_modes(subject) == {"train", "prefill"}
    assert subject.train_step(x).dtype == dtype
    assert all(parameter.grad is not None for parameter in subject.parameters())
    with torch.inference_mode():
        first, state = subject.prefill(x)
        assert torch.equal(first, subject.prefill(x)[0])  # dropout is off outside of training
    assert subject.state_bytes(state) == 0
    assert subject.slots(5) is None


def test_what_a_plain_module_cannot_do_is_said(module):
    subject = load(f"{module(PLAIN)}:make")
    with pytest.raises(SubjectError, match=r"decode.*lacks decode\(\).*prefill, train"):
        subject.decode(torch.ones(1, 8), None)


def test_a_small_recurrent_model_gets_the_rest_filled_in(module):
    subject = load(f"{module(MEAN)}:Mean")
    assert supported_modes(subject) == {"train", "prefill", "decode", "stream"}
    x = torch.randn(2, 7, 8)
    with torch.inference_mode():
        whole, _ = subject.prefill(x, capacity=9)
        _, state = subject.prefill(x[:, :4], capacity=9)
        assert subject.state_bytes(state) == 2 * 8 * 4
        subject.decode(x[:, 0], subject.copy_state(state))
        output, _ = subject.decode(x[:, 4], state)
        torch.testing.assert_close(output, whole[:, 4])
        started, _ = subject.decode(x[:, 0], subject.initial_state(2, capacity=1))
        torch.testing.assert_close(started, whole[:, 0])


def test_a_model_with_a_read_of_its_own_can_be_measured_in_it(module):
    source = (
        MEAN
        + """
        def read(self, x):
            output, state = self.prefill(x)
            return output[:, -1], state
    """
    )
    subject = load(f"{module(source)}:Mean")
    assert "read" in supported_modes(subject)
    last, _ = subject.read(torch.ones(2, 3, 8))
    assert last.shape == (2, 8)
    whole = source.replace("output[:, -1], state", "output, state")
    assert "read gave torch.float32 of shape" in refused_in_trial(f"{module(whole)}:Mean", "read")


def test_methods_of_its_own_come_first(module):
    source = (
        MEAN
        + """
        def train_step(self, x):
            return torch.tensor(42.0)

        def slots(self, length):
            return 2 * length

        def state_bytes(self, state):
            return 7
    """
    )
    subject = load(f"{module(source)}:Mean")
    assert subject.train_step(torch.ones(1, 2, 8)) == 42
    assert subject.slots(3) == 6
    assert subject.state_bytes({}) == 7


def test_a_model_may_have_tuples_for_outputs(module):
    name = module("""
        from torch import nn

        def make(spec, *, dtype, device):
            return nn.LSTM(spec.width, spec.width, batch_first=True)
    """)
    assert load(f"{name}:make").train_step(torch.randn(1, 3, 8)) > 0


def test_a_missing_module_is_told_apart_from_a_broken_one(module):
    assert "no module named 'nowhere_at_all'" in str(refused("nowhere_at_all.models:make"))
    broken = refused(f"{module('import nowhere_at_all')}:make")
    assert "importing user_model" in str(broken)
    assert isinstance(broken.__cause__, ModuleNotFoundError)
    assert "SyntaxError" in str(refused(f"{module('def (')}:make"))


def test_a_missing_attribute_gets_the_nearest(module):
    error = refused(f"{module(PLAIN)}:maek")
    assert "has no 'maek'" in str(error)
    assert "'make'" in error.hint


@pytest.mark.parametrize("name", ["somewhere:", ":make"])
def test_half_a_name_is_refused(name):
    assert "package.module:factory" in refused(name).hint


def test_something_that_cannot_be_called_is_refused(module):
    assert "int and cannot be called" in str(refused(f"{module('make = 3')}:make"))


def test_a_raising_factory_is_chained(module):
    name = module("""
        def make(spec, *, dtype, device):
            raise RuntimeError(f"no width {spec.width} here")
    """)
    error = refused(f"{name}:make")
    assert "no width 8 here" in str(error)
    assert isinstance(error.__cause__, RuntimeError)
    wrong_signature = refused(f"{module('def make(spec, other): return None')}:make")
    assert "factory(spec, dtype=..., device=...)" in wrong_signature.hint


def test_missing_methods_are_named(module):
    nothing = refused(f"{module('def make(spec, **options): return object()')}:make")
    assert "object that can be measured in no mode" in str(nothing)
    empty_module = module("""
        from torch import nn

        def make(spec, **options):
            return nn.Module()
    """)
    empty = refused(f"{empty_module}:make")
    assert "lacks forward, train_step, prefill, read and decode" in str(empty)


def test_wrong_shapes_are_told_before_anything_is_measured(module):
    name = module("""
        from torch import nn

        def make(spec, **options):
            return nn.Linear(spec.width, 3)
    """)
    assert "of shape (2, 5, 3) for torch.float32 of shape (2, 5, 8)" in refused_in_trial(
        f"{name}:make"
    )
    name = module("""
        from torch import nn

        def make(spec, **options):
            return nn.Linear(spec.width + 1, spec.width)
    """)
    words = refused_in_trial(f"{name}:make")
    assert "prefill raised RuntimeError: mat1 and mat2" in words
    assert "on a trial input of shape (2, 5, 8)" in words


def test_a_state_that_is_not_handed_back_is_noticed(module):
    source = MEAN.replace('return self.map(state["total"] / state["count"]), state', "return x_t")
    assert "not (output, state)" in refused_in_trial(f"{module(source)}:Mean", "decode")
