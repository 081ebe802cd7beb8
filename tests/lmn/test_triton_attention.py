"""The fused kernel gives what each token's own slots give, forward and backward.

Without a GPU the kernels run in Triton's interpreter, in a process of its own: the interpreter is
chosen when triton is imported and must not reach other tests. Triton missing: skipped.

`python tests/lmn/test_triton_attention.py` on a machine with a GPU times the kernel against the
chunked form at 32,768 tokens.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lmn_helpers import (
    assert_close,
    few,
    gradients,
    make_block,
    name_of,
    needs_cuda,
    noise,
    run_pieces,
)

from lmn import LMNBlock, LMNConfig, LogarithmicMemory, tree
from lmn.memory import IMPLEMENTATIONS
from lmn.triton_attention import NodeList, attend_triton, node_lists

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
ON_GPU = torch.cuda.is_available() and not INTERPRETED
DEVICE = "cuda" if ON_GPU else "cpu"

HAS_TRITON = find_spec("triton") is not None
needs_triton = pytest.mark.skipif(not HAS_TRITON, reason="triton is not installed")
runs_kernels = pytest.mark.skipif(
    not (HAS_TRITON and (INTERPRETED or ON_GPU)),
    reason="run by test_everything_holds_in_the_interpreter"
    if HAS_TRITON
    else "triton is not installed",
)

# (tokens before, tokens): from nothing, aligned to blocks and to powers of two, odd
SPANS = [(0, 1), (0, 7), (31, 1), (64, 7), (37, 70), (1021, 33)]
# (batch, heads, head width, banks, expansion)
SHAPES = [(2, 1, 3, 1, 0), (1, 2, 8, 2, 0), (1, 2, 3, 2, 1)]
# blocks, of each way to make nodes
KINDS = [
    LMNConfig(width=6, heads=2, banks=2),
    LMNConfig(width=6, banks=2, summarizer="conv", conv_groups="mix"),
    LMNConfig(width=6, heads=2, summarizer="expander", expansion=1),
]


class Case:
    """Random inputs of one size, and what each token sees of them."""

    def __init__(self, span, shape, dtype=torch.float64, device=DEVICE):
        self.tokens_before, self.tokens = span
        batch, self.heads, head_width, self.banks, self.expansion = shape
        self.width = self.heads * head_width
        self.lists = node_lists(*span, self.banks, self.expansion)
        rows = self.lists[-1].end_row if self.lists else 0
        make = {"dtype": dtype}
        self.projected = noise(batch, self.tokens, 3 * self.width, **make).to(device)
        self.nodes = noise(batch, rows, 2 * self.width, **make, seed=2).to(device)
        self.weights = noise(batch, self.tokens, self.width, **make, seed=3).to(device)

    def attend(self, projected, nodes):
        return attend_triton(
            projected,
            nodes,
            tokens_before=self.tokens_before,
            heads=self.heads,
            banks=self.banks,
            expansion=self.expansion,
        )

    def slots(self):
        """Per token the places of its slots among [own rows, node rows]; -1 where there is none."""
        slots = []
        for place in range(self.tokens):
            seen = [place]
            for level, node in tree.visible_nodes(self.tokens_before + place + 1)[1:]:
                nodes = self.lists[level - 1]
                entry = node - nodes.first_node
                assert nodes.level == level
                assert 0 <= entry < nodes.nodes
                first = self.tokens + nodes.first_row + entry * nodes.rows_per_node
                seen += range(first, first + nodes.rows_per_node)
            slots.append(seen)
        most = max(map(len, slots))
        return torch.tensor([seen + [-1] * (most - len(seen)) for seen in slots])

    def expect(self, projected, nodes):
        """Gather every token's slots, as plainly as can be."""
        slots = self.slots().to(projected.device)
        query, own_key, own_value = projected.split(self.width, dim=-1)
        node_keys, node_values = nodes.split(self.width, dim=-1)
        heads = (self.heads, -1)
        keys = torch.cat([own_key, node_keys], 1)[:, slots].unflatten(-1, heads)
        values = torch.cat([own_value, node_values], 1)[:, slots].unflatten(-1, heads)
        scores = torch.einsum("bthd,btshd->bths", query.unflatten(-1, heads), keys)
        scores = scores / (self.width / self.heads) ** 0.5
        weights = scores.masked_fill((slots < 0)[:, None], -torch.inf).softmax(-1)
        return torch.einsum("bths,btshd->bthd", weights, values).flatten(2)

    def run(self, function, dtype=None):
        """Output and gradients of `function`."""
        inputs = [x.detach().to(dtype).requires_grad_() for x in (self.projected, self.nodes)]
        output = function(*inputs)
        loss = (output * self.weights.to(dtype)).sum()
        return output, *torch.autograd.grad(loss, inputs, materialize_grads=True)


def assert_right(case, tolerance):
    expected = case.run(case.expect, torch.float64)
    for actual, wanted in zip(case.run(case.attend), expected, strict=True):
        assert actual.dtype == case.projected.dtype
        assert_close(actual.double(), wanted, tolerance)


@runs_kernels
@pytest.mark.parametrize(("span", "shape"), list(product(SPANS, SHAPES)))
def test_output_and_gradients_are_those_of_each_tokens_slots(span, shape):
    assert_right(Case(span, shape), 1e-10)


@runs_kernels
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float16, 5e-3)])
def test_smaller_types_stay_near(dtype, tolerance):
    assert_right(Case((0, 70), (2, 2, 8, 1, 0), dtype), tolerance)


@runs_kernels
# at once; in pieces, of which the second changes lower levels alone
@pytest.mark.parametrize("sizes", [[33], [9, 3, 21]], ids=str)
@pytest.mark.parametrize("config", KINDS, ids=name_of)
def test_a_block_gives_what_the_chunked_form_gives(config, sizes):
    chunked = make_block(config).to(DEVICE)
    fused = LMNBlock(config, implementation="triton").double().to(DEVICE)
    fused.load_state_dict(chunked.state_dict())
    x = noise(2, sum(sizes), config.width).to(DEVICE).requires_grad_()
    results = []
    for block in (fused, chunked):
        y, state = run_pieces(block, x, sizes)
        # the state's own gradients count too
        both = torch.cat([y, state.nodes], dim=1)
        results.append([y, state.nodes, *gradients(block, both, x)])
    for actual, expected in zip(*results, strict=True):
        assert_close(actual, expected)


@runs_kernels
def test_views_give_what_copies_give():
    case = Case((37, 40), (2, 2, 3, 1, 0))
    wide = torch.cat([noise(2, 5, 18), case.projected.cpu(), noise(2, 3, 18)], dim=1).to(DEVICE)
    rows = torch.cat([case.nodes, case.nodes, case.nodes], dim=-1)[..., 12:24]
    view = case.attend(wide[:, 5:45], rows)
    assert torch.equal(view, case.attend(case.projected, case.nodes))
    everywhere = case.nodes[:1].expand(2, -1, -1)
    assert torch.equal(
        case.attend(case.projected, everywhere),
        case.attend(case.projected, everywhere.contiguous()),
    )


@runs_kernels
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("span", [(0, 9), (70, 33)])
def test_zeros_give_zeros(span, dtype):
    case = Case(span, (1, 2, 3, 2, 0), dtype)
    case.projected.zero_()
    case.nodes.zero_()
    for result in case.run(case.attend):
        assert result.isfinite().all()


@runs_kernels
def test_large_scores_do_not_overflow():
    case = Case((0, 40), (1, 1, 8, 1, 0), torch.float32)
    case.projected *= 1e3
    case.nodes *= 1e3
    assert all(result.isfinite().all() for result in case.run(case.attend))


@runs_kernels
def test_later_tokens_do_not_matter():
    case = Case((5, 60), (1, 2, 8, 1, 0))
    changed = case.projected.clone()
    changed[:, 30:] += 1
    before, after = (case.attend(x, case.nodes)[:, :30] for x in (case.projected, changed))
    assert torch.equal(before, after)


@runs_kernels
def test_backward_refuses_when_only_fixed_orders_are_wanted():
    case = Case((0, 70), (1, 1, 8, 1, 0))
    torch.use_deterministic_algorithms(True)
    try:
        with pytest.raises(RuntimeError, match=r"no fixed order.*chunked form"):
            case.run(case.attend)
    finally:
        torch.use_deterministic_algorithms(False)


@runs_kernels
@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda p, n: (p[0], n), ValueError, r"\(batch, tokens, 3 \* width\).*\(20, 24\)"),
        (lambda p, n: (p[..., 1:], n), ValueError, r"3 \* width\).*\(1, 20, 23\)"),
        (lambda p, n: (p[:, :0], n), ValueError, r"at least one entry.*\(1, 0, 24\)"),
        (lambda p, n: (p, n[..., 1:]), ValueError, r"2 \* width=16.*\(1, 18, 15\)"),
        (lambda p, n: (p, n[:, 1:]), ValueError, "expected 18 packed rows.*got 17; pack them"),
        (lambda p, n: (p.mT.contiguous().mT, n), ValueError, r"side by side.*projected.contig"),
        (lambda p, n: (p, n.float()), TypeError, "nodes are torch.float32.*convert one"),
        (lambda p, n: (p.int(), n.int()), TypeError, "takes torch.float32.*got torch.int32"),
        (
            lambda p, n: (p.repeat(1, 1, 40), n.repeat(1, 1, 40)),
            ValueError,
            "head width of at most 128, got 160.*more heads",
        ),
    ],
)
def test_a_wrong_input_is_told(change, error, words):
    case = Case((0, 20), (1, 2, 4, 1, 0))
    with pytest.raises(error, match=words):
        case.attend(*change(case.projected, case.nodes))


@runs_kernels
def test_heads_have_to_divide_the_width():
    case = Case((0, 20), (1, 2, 4, 1, 0))
    case.heads = 3
    with pytest.raises(ValueError, match="3 does not divide 8"):
        case.attend(case.projected, case.nodes)


@needs_triton
@pytest.mark.skipif(not INTERPRETED, reason="about the interpreter")
def test_the_interpreter_refuses_the_type_it_gets_wrong():
    case = Case((0, 20), (1, 2, 4, 1, 0), torch.bfloat16)
    with pytest.raises(TypeError, match=r"multiplies bfloat16 wrongly.*use float32"):
        case.attend(case.projected, case.nodes)


@needs_triton
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [
        pytest.param(torch.float32, 1e-5, marks=needs_cuda),
        pytest.param(torch.bfloat16, 3e-2, marks=needs_cuda),
    ],
)
@pytest.mark.parametrize("shape", [(2, 4, 64, 1, 0), (1, 4, 24, 2, 1)])
@pytest.mark.parametrize("span", [(0, 4096), (1000, 3001)])
def test_large_sizes_on_a_gpu(span, shape, dtype, tolerance):
    assert_right(Case(span, shape, dtype, "cuda"), tolerance)


@needs_triton
@pytest.mark.skipif(INTERPRETED or ON_GPU, reason="the kernels run in this process")
def test_everything_holds_in_the_interpreter():
    environment = {name: text for name, text in os.environ.items() if "PYTEST" not in name}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__],
        # one thread: the sizes are small, and another process of these tests may be at work
        env={**environment, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@needs_triton
@pytest.mark.skipif(INTERPRETED, reason="the interpreter compiles nothing")
def test_kernels_compile_for_a_gpu_that_is_not_here(tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "1")  # triton 3.9 warns where nobody chooses
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from lmn import triton_attention, triton_kernels

    fixed = {**triton_attention._fixed(heads=2, head_width=8), "scale": 8**-0.5}
    warps = fixed.pop("num_warps")
    pointers = {
        **dict.fromkeys(("projected", "nodes", "output", "d_output", "d_projected"), "*bf16"),
        **dict.fromkeys(("log_sum", "d_nodes"), "*fp32"),
        "table": "*i32",
    }
    for kernel in (triton_kernels.forward_kernel, triton_kernels.backward_kernel):
        names = kernel.arg_names
        kinds = {name: pointers.get(name, "i32") for name in names}
        source = ASTSource(
            fn=kernel,
            signature=kinds | {name: "constexpr" for name in names if name in fixed},
            constexprs={(names.index(name),): fixed[name] for name in names if name in fixed},
        )
        compiled = triton.compile(source, GPUTarget("cuda", 80, 32), {"num_warps": warps})
        assert compiled.asm["cubin"]


@needs_triton
@pytest.mark.skipif(INTERPRETED, reason="the interpreter takes tensors on the CPU")
def test_tensors_on_the_cpu_are_refused():
    with pytest.raises(RuntimeError, match=r"on a GPU, these are on cpu.*TRITON_INTERPRET=1"):
        attend_triton(torch.zeros(1, 1, 6), torch.zeros(1, 0, 4), tokens_before=0, heads=1, banks=1)


@needs_triton
@pytest.mark.skipif(INTERPRETED, reason="the interpreter takes tensors on the CPU")
@pytest.mark.parametrize("tokens", [1, 9])
def test_a_block_on_the_cpu_does_not_fall_back_in_silence(tokens):
    block = LMNBlock(LMNConfig(width=4), implementation="triton")
    with pytest.raises(RuntimeError, match=r"these are on cpu; .*implementation=\"chunked\""):
        block(torch.zeros(1, tokens, 4))


@pytest.mark.parametrize("layer", [LMNBlock, LogarithmicMemory])
def test_an_unknown_implementation_is_told(layer):
    with pytest.raises(ValueError, match="one of chunked, triton, got 'flash'"):
        layer(LMNConfig(width=4), implementation="flash")


@pytest.mark.skipif(INTERPRETED, reason="has a process of its own anyway")
def test_triton_is_needed_only_where_it_is_asked_for():
    script = """
import sys, torch, lmn
block = lmn.LMNBlock(lmn.LMNConfig(width=4), implementation="triton")
print("triton" in sys.modules)
sys.modules["triton"] = None  # as if it were not installed
import lmn.triton_attention
try:
    block(torch.zeros(1, 3, 4))
except RuntimeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded, message = done.stdout.splitlines()
    assert loaded == "False"
    assert "needs the package triton, which cannot be imported here; install it" in message


def test_rows_lie_level_by_level():
    # after 5 tokens the newest nodes are (1, 2) and (2, 1); tokens 6 to 9 add (1, 3) and more
    assert node_lists(5, 4, banks=2, expansion=1) == (
        NodeList(level=1, first_row=0, rows_per_node=4, first_node=2, nodes=3),
        NodeList(level=2, first_row=12, rows_per_node=6, first_node=1, nodes=2),
        NodeList(level=3, first_row=24, rows_per_node=8, first_node=1, nodes=1),
    )
    assert node_lists(0, 1, banks=1, expansion=0) == ()


@few
@given(st.integers(0, 5000), st.integers(1, 100), st.integers(1, 3), st.integers(0, 2))
def test_every_visible_node_has_its_rows(before, tokens, banks, expansion):
    lists = node_lists(before, tokens, banks, expansion)
    for token in (before + 1, before + tokens):
        for level, node in tree.visible_nodes(token)[1:]:
            nodes = lists[level - 1]
            assert 0 <= node - nodes.first_node < nodes.nodes
            assert nodes.rows_per_node == tree.rows_per_node(level, banks, expansion)
    ends = [0, *(nodes.end_row for nodes in lists)]
    assert [nodes.first_row for nodes in lists] == ends[:-1]


def measure(tokens=32_768):
    """Milliseconds of the memory layer on this GPU in both forms, without and with backward."""
    from triton.testing import do_bench

    for (batch, width, heads, banks), dtype in product(
        [(1, 32, 4, 1), (1, 32, 4, 2), (1, 256, 4, 1), (8, 256, 4, 1)],
        [torch.float32, torch.bfloat16],
    ):
        config = LMNConfig(width=width, heads=heads, banks=banks)
        x = torch.randn(batch, tokens, width, device="cuda", dtype=dtype, requires_grad=True)
        for name in IMPLEMENTATIONS:
            memory = LogarithmicMemory(config, implementation=name).to("cuda", dtype)
            torch.cuda.reset_peak_memory_stats()
            with torch.inference_mode():
                forward = do_bench(lambda m=memory, x=x: m(x))
            both = do_bench(lambda m=memory, x=x: torch.autograd.grad(m(x)[0].sum(), x))
            peak = torch.cuda.max_memory_allocated() / 2**20
            sizes = f"batch {batch}, width {width}, {heads} heads, {banks} banks, {dtype}"
            print(f"{name:8} {sizes}: {forward:.3f} ms, {both:.3f} ms, {peak:.0f} MiB")


if __name__ == "__main__":
    measure()
