"""The published code's numbers: outputs, gradients and slots, in float64, to 1e-10."""

import pytest
import torch
from lmn_helpers import (
    BLOCK_FILES,
    assert_close,
    load_golden,
    published_twin,
    run_pieces,
    run_steps,
    with_prefix,
)

from lmn import load_public_block
from lmn.public_weights import translate_block

WAYS = {
    "parallel": lambda block, x: block(x),
    "chunked": lambda block, x: run_pieces(block, x, [5, x.shape[1] - 6, 1]),
    "one_by_one": run_steps,
    "published_parallel": lambda block, x: published_twin(block)(x),
    "published_one_by_one": lambda block, x: run_steps(published_twin(block), x),
}


@pytest.fixture(params=BLOCK_FILES, ids=lambda path: path.stem)
def golden(request):
    return load_golden(request.param)


def test_there_are_golden_files_for_every_summarizer():
    assert {path.stem.split("_")[0] for path in BLOCK_FILES} == {"linear", "conv", "expander"}


@pytest.mark.parametrize("way", WAYS)
def test_outputs_and_slots_are_the_published_ones(golden, way):
    config, entries = golden
    block = load_public_block(with_prefix(entries, "param."), heads=config["heads"])
    y, state = WAYS[way](block, torch.tensor(entries["x"]))
    assert_close(y, torch.tensor(entries["y"]))
    assert_close(state.nodes, torch.tensor(entries["slots_at_last_position"]))


@pytest.mark.parametrize("published", [False, True], ids=["chunked", "published"])
@pytest.mark.parametrize("stepwise", [False, True], ids=["parallel", "one_by_one"])
def test_gradients_are_the_published_ones(golden, published, stepwise):
    config, entries = golden
    block = load_public_block(with_prefix(entries, "param."), heads=config["heads"])
    if published:
        block = published_twin(block)
    x = torch.tensor(entries["x"], requires_grad=True)
    y, _ = run_steps(block, x) if stepwise else block(x)
    (y * torch.tensor(entries["cotangent"])).sum().backward()
    stored = {name: torch.tensor(g) for name, g in with_prefix(entries, "grad.").items()}
    assert_close(x.grad, stored.pop("x"))
    expected = translate_block(stored, block.config)
    parameters = dict(block.named_parameters())
    assert parameters.keys() == expected.keys()
    for name, parameter in parameters.items():
        assert_close(parameter.grad, expected[name])
