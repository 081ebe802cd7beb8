"""What the tests of `lmn` share: random configurations, splits, and ways to run a block."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st

from lmn import (
    LMNBlock,
    LMNConfig,
    LMNLanguageModel,
    LMNLanguageModelConfig,
    PublishedBlock,
)

GOLDEN = Path(__file__).parents[1] / "golden"
BLOCK_FILES = sorted(GOLDEN.glob("[cel]*.npz"))  # conv, expander, linear: blocks, not whole models

few = settings(deadline=None, derandomize=True, max_examples=20)
some = settings(deadline=None, derandomize=True, max_examples=60)

needs_cuda = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]

ONE_OF_EACH = [
    LMNConfig(width=8),
    LMNConfig(width=8, heads=2, banks=2),
    LMNConfig(width=8, heads=4, banks=3, summarizer="conv"),
    LMNConfig(width=8, banks=2, summarizer="conv", conv_groups="mix"),
    LMNConfig(width=8, heads=2, banks=2, summarizer="expander", expansion=1),
    LMNConfig(width=8, summarizer="expander", expansion=2, feedforward_width=5),
]


def name_of(config):
    return f"{config.summarizer}-{config.conv_groups}-K{config.banks}-H{config.heads}"


@st.composite
def configs(draw):
    heads = draw(st.sampled_from([1, 2, 4]))
    summarizer = draw(st.sampled_from(["linear", "conv", "expander"]))
    return LMNConfig(
        width=heads * draw(st.sampled_from([1, 2, 3, 8])),
        heads=heads,
        banks=draw(st.integers(1, 3)),
        summarizer=summarizer,
        expansion=draw(st.integers(0, 2)) if summarizer == "expander" else 0,
        conv_groups=draw(st.sampled_from(["bank", "mix"])) if summarizer == "conv" else "bank",
    )


@st.composite
def splits(draw, most=150):
    """Lengths of the pieces of a sequence of at most `most` tokens."""
    tokens = draw(st.integers(1, most))
    cuts = draw(st.lists(st.integers(1, tokens), max_size=5))
    edges = sorted({0, *cuts, tokens})
    return [after - before for before, after in itertools.pairwise(edges)]


def make_block(config, dtype=torch.float64, seed=0, kind=LMNBlock):
    """A block whose biases and norms are random too, so that no term can go missing unnoticed."""
    torch.manual_seed(seed)
    block = kind(config).to(dtype)
    with torch.no_grad():
        for name, parameter in block.named_parameters():
            if parameter.dim() == 1 or name.endswith("bias"):
                parameter += 0.1 * torch.randn_like(parameter)
    return block


def make_language_model(block, dtype=torch.float64, *, vocabulary=7, layers=2, seed=0, **settings):
    """A model whose biases and norms are random too, so that no term can go missing unnoticed."""
    torch.manual_seed(seed)
    config = LMNLanguageModelConfig(vocabulary=vocabulary, layers=layers, block=block, **settings)
    model = LMNLanguageModel(config).to(dtype)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1 or name.endswith("bias"):
                parameter += 0.1 * torch.randn_like(parameter)
    return model


def random_tokens(batch, tokens, vocabulary=7, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(vocabulary, (batch, tokens), generator=generator)


def published_twin(block):
    """A `PublishedBlock` with the same weights."""
    twin = PublishedBlock(block.config).to(block.norm1.weight.dtype)
    twin.load_state_dict(block.state_dict())
    return twin


def noise(*shape, dtype=torch.float64, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def run_pieces(block, x, sizes, state=None):
    outputs = []
    for piece in x.split(sizes, dim=1):
        y, state = block(piece, state)
        outputs.append(y)
    return torch.cat(outputs, dim=1), state


def run_steps(block, x, state=None):
    if state is None:
        state = block.initial_state(x.shape[0])
    outputs = []
    for token in x.unbind(1):
        y, state = block.step(token, state)
        outputs.append(y)
    return torch.stack(outputs, dim=1), state


def gradients(block, y, *inputs):
    """Gradients of an uneven sum of `y` for the inputs and for every parameter."""
    weights = noise(*y.shape).to(y)
    wanted = [*inputs, *block.parameters()]
    found = torch.autograd.grad((y * weights).sum(), wanted, materialize_grads=True)
    return list(found)


def assert_close(actual, expected, tolerance=1e-10):
    """Equal up to `tolerance` times the largest expected number (and at least 1)."""
    scale = max(1.0, expected.abs().max().item()) if expected.numel() else 1.0
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance * scale)


def load_golden(path):
    with np.load(path) as stored:
        entries = {name: stored[name] for name in stored.files}
    config = json.loads(str(entries.pop("config")))
    return config, entries


def with_prefix(entries, prefix):
    return {name[len(prefix) :]: entries[name] for name in entries if name.startswith(prefix)}
