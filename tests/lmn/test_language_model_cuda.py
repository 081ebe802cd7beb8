"""On a GPU the language model reads, steps, draws and resumes as it does on a CPU."""

import pytest
import torch
from lmn_helpers import ONE_OF_EACH, assert_close, make_language_model, needs_cuda, random_tokens

from lmn import LanguageModelDecoder, LMNConfig, LMNLanguageModel, generate
from lmn.checkpoint import load_model, resume_training, save_training

pytestmark = needs_cuda


@pytest.fixture
def model():
    return make_language_model(ONE_OF_EACH[1]).cuda()


@pytest.mark.parametrize("execution", ["eager", "cuda_graph"])
def test_logits_of_forced_tokens_are_those_of_the_parallel_form(model, execution):
    tokens = random_tokens(3, 200)
    expected, _ = model.cpu()(tokens[:, :-1])
    decoder = LanguageModelDecoder(model.cuda(), execution=execution)
    made = generate(
        model,
        tokens[:, :29],
        max_tokens=171,
        forced=tokens[:, 29:],
        decoder=decoder,
        keep_logits=True,
    )
    assert_close(made.logits.cpu(), expected[:, 28:])


def test_a_seed_repeats_the_draws(model):
    one, other = (generate(model, random_tokens(2, 9), max_tokens=30, seed=5) for _ in range(2))
    assert torch.equal(one.tokens, other.tokens)


def test_a_prompt_outside_the_vocabulary_is_told_and_the_device_still_works(model):
    with pytest.raises(ValueError, match="between 0 and 6"):
        generate(model, [7], max_tokens=3)
    assert generate(model, [6], max_tokens=3).tokens.shape == (1, 3)


def test_training_learns_with_checkpointing_and_fused_attention():
    model = make_language_model(LMNConfig(width=32, heads=4, banks=2), torch.float32).cuda()
    fused = LMNLanguageModel(model.config, implementation="triton", checkpointing=True).cuda()
    fused.load_state_dict(model.state_dict())
    tokens = random_tokens(4, 301).cuda()
    losses = []
    for one in (model, fused):
        loss = one.loss(tokens[:, :-1], tokens[:, 1:])
        loss.backward()
        losses.append(loss)
    assert_close(losses[1], losses[0], 1e-4)
    for mine, theirs in zip(fused.parameters(), model.parameters(), strict=True):
        assert_close(mine.grad, theirs.grad, 1e-3)


def test_random_numbers_of_the_gpu_are_resumed(tmp_path, model):
    optimizer = torch.optim.AdamW(model.parameters())
    tokens = random_tokens(2, 40).cuda()
    model.loss(tokens[:, :-1], tokens[:, 1:]).backward()
    optimizer.step()
    order = torch.Generator("cuda").manual_seed(3)
    save_training(tmp_path / "t", model, optimizer, step=1, generators={"order": order})
    expected = torch.rand(3, device="cuda"), torch.rand(3, device="cuda", generator=order)
    assert resume_training(tmp_path / "t", model, optimizer, generators={"order": order}) == 1
    found = torch.rand(3, device="cuda"), torch.rand(3, device="cuda", generator=order)
    for mine, theirs in zip(found, expected, strict=True):
        assert torch.equal(mine, theirs)
    loaded = load_model(tmp_path / "t", device="cuda")
    assert loaded.device.type == "cuda"
    model.loss(tokens[:, :-1], tokens[:, 1:]).backward()
    optimizer.step()
