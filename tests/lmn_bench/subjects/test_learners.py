"""Learners: what they compute, and that they are fair to each other."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from lmn_bench.errors import SubjectError, UnknownNameError
from lmn_bench.learning.batches import NOT_ASKED
from lmn_bench.learning.settings import TrainingSettings
from lmn_bench.schema import ModelSpec
from lmn_bench.subjects.learners import build_learner
from lmn_bench.subjects.names import LEARNERS, LMN_FAMILY
from lmn_bench.worker.learning import train

SPEC = ModelSpec(width=16, heads=2, layers=2, banks=2)
BATCH, TOKENS, VOCABULARY = 2, 41, 17
BASELINES = [name for name in LEARNERS if name not in LMN_FAMILY]
each_learner = pytest.mark.parametrize("name", list(LEARNERS))
each_baseline = pytest.mark.parametrize("name", BASELINES)


def learner(name, *, spec=SPEC, vocabulary=VOCABULARY, length=TOKENS, budget=12_000, seed=0,
            dtype=torch.float32):  # fmt: skip
    return build_learner(
        name, spec, vocabulary=vocabulary, length=length, budget=budget, seed=seed,
        device=torch.device("cpu"), dtype=dtype,
    )  # fmt: skip


def random_tokens(count=TOKENS):
    return torch.randint(VOCABULARY, (BATCH, count))


def all_logits(model, tokens):
    everywhere = torch.ones_like(tokens, dtype=torch.bool)
    return model.logits_where(tokens, everywhere).unflatten(0, tokens.shape)


@each_learner
def test_its_loss_is_the_mean_over_the_targets_that_are_asked(name):
    model, tokens, targets = learner(name), random_tokens(), random_tokens()
    targets[:, ::3] = NOT_ASKED
    asked = targets != NOT_ASKED
    logits = all_logits(model, tokens)
    expected = -logits.log_softmax(-1)[asked].gather(1, targets[asked][:, None]).mean()
    torch.testing.assert_close(model.loss(tokens, targets), expected)


@each_learner
def test_asking_at_some_positions_gives_their_logits(name):
    model, tokens = learner(name), random_tokens()
    asked = random_tokens() % 3 == 0
    torch.testing.assert_close(model.logits_where(tokens, asked), all_logits(model, tokens)[asked])


@each_learner
def test_a_loss_that_asks_nothing_is_refused(name):
    tokens = random_tokens()
    with pytest.raises(ValueError, match="nothing"):
        learner(name).loss(tokens, torch.full_like(tokens, NOT_ASKED))


@each_learner
def test_what_was_said_before_does_not_depend_on_what_comes_after(name):
    model, tokens = learner(name), random_tokens()
    changed = tokens.clone()
    changed[:, 20] = (changed[:, 20] + 1) % VOCABULARY
    before, after = all_logits(model, tokens), all_logits(model, changed)
    torch.testing.assert_close(after[:, :20], before[:, :20], atol=1e-6, rtol=1e-5)
    assert not torch.allclose(after[:, 20:], before[:, 20:], atol=1e-3)


@each_learner
def test_reading_one_by_one_gives_the_logits_of_all_at_once(name):
    model, tokens = learner(name), random_tokens()
    with torch.inference_mode():
        expected = all_logits(model, tokens)
        first, state = model.prefill(tokens[:, :3])
        found = [first]
        for token in tokens[:, 3:].unbind(1):
            logits, state = model.decode_one_token(token, state)
            found.append(logits)
    torch.testing.assert_close(torch.stack(found, 1), expected[:, 2:], atol=1e-4, rtol=1e-4)


@each_baseline
def test_room_for_what_will_come_changes_nothing_but_memory(name):
    model, tokens = learner(name), random_tokens()
    with torch.inference_mode():
        _, tight = model.prefill(tokens[:, :5])
        _, roomy = model.prefill(tokens[:, :5], capacity=TOKENS)
        torch.testing.assert_close(
            model.decode_one_token(tokens[:, 5], roomy)[0],
            model.decode_one_token(tokens[:, 5], tight)[0],
        )
    assert model.state_bytes(roomy) == model.state_bytes(tight)


@each_learner
def test_every_weight_learns(name):
    model, tokens = learner(name), random_tokens()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    # Blocks that begin by adding nothing pass a gradient on from their second step.
    for _ in range(2):
        optimizer.zero_grad()
        model.loss(tokens[:, :-1], tokens[:, 1:]).backward()
        optimizer.step()
    assert not [key for key, weight in model.named_parameters() if not weight.grad.any()]


@each_learner
def test_it_learns_to_repeat_a_token(name):
    model, tokens = learner(name), random_tokens(16)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    first = model.loss(tokens, tokens).item()
    for _ in range(30):
        optimizer.zero_grad()
        model.loss(tokens, tokens).backward()
        optimizer.step()
    assert model.loss(tokens, tokens).item() < 0.5 * first


@each_learner
def test_a_seed_decides_the_weights_and_leaves_torchs_own_numbers_alone(name):
    before = torch.get_rng_state()
    one, same, other = (learner(name, seed=seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


@each_learner
def test_weights_go_from_one_model_into_another(name):
    one, other, tokens = learner(name), learner(name, seed=1), random_tokens()
    other.load_state_dict(one.state_dict())
    assert torch.equal(other.loss(tokens, tokens), one.loss(tokens, tokens))


@each_learner
def test_half_precision_keeps_its_loss_in_float32(name):
    model, tokens = learner(name, dtype=torch.bfloat16), random_tokens()
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert model.loss(tokens, tokens).dtype == torch.float32


@pytest.mark.parametrize("seed", [0, 7])
def test_lmn_starts_from_the_weights_that_the_command_train_starts_from(seed):
    settings = TrainingSettings(width=16, heads=2, layers=2, banks=2, seed=seed)
    train._prepare(settings)
    expected = train._model(settings, VOCABULARY).state_dict()
    found = learner("lmn", seed=seed, budget=None).state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_an_init_after_the_name_draws_other_weights():
    default, published, whole = (
        learner(name) for name in ("lmn", "lmn@published", "lmn-published")
    )
    assert published.config.init == whole.config.init == "published"
    assert published.implementation == "chunked"
    assert whole.implementation == "published"
    for key, weight in published.state_dict().items():
        assert torch.equal(weight, whole.state_dict()[key])
    # as the notebook draws it: Xavier normal over the whole weight, times 0.1
    spread = published.blocks[0].memory.summarizer.weight.std().item()
    assert spread == pytest.approx(0.1 * (2 / (2 * 16**2 + 2 * 16)) ** 0.5, rel=0.2)
    assert default.blocks[0].memory.summarizer.weight.std() > 10 * spread


@pytest.mark.parametrize("name", ["transformer", "transformer-learned"])
@pytest.mark.parametrize("width", [32, 64])
def test_a_transformer_starts_as_gpt_2_would_at_its_width(name, width):
    model = learner(name, spec=ModelSpec(width=width, heads=4, layers=2), budget=None)
    usual = 0.02 * (768 / width) ** 0.5
    block = model.body.blocks[0]
    tables = [model.embedding, model.head, block.mixer.query_key_value, block.up]
    if name == "transformer-learned":
        assert model.positions.weight.std().item() == pytest.approx(usual / 2, rel=0.1)
    for part in tables:
        assert part.weight.std().item() == pytest.approx(usual, rel=0.1)
    # what adds to the residual stream: 2 layers of 2 such maps
    for part in (block.mixer.output, block.down):
        assert part.weight.std().item() == pytest.approx(usual / 2, rel=0.1)
        assert not part.bias.any()


def test_lmn_published_computes_what_lmn_does():
    one, other, tokens = learner("lmn@published"), learner("lmn-published"), random_tokens()
    torch.testing.assert_close(one.loss(tokens, tokens), other.loss(tokens, tokens))


def test_only_a_table_of_positions_has_a_longest_sequence():
    assert {name: learner(name).longest for name in LEARNERS} == {
        name: TOKENS if name == "transformer-learned" else None for name in LEARNERS
    }


def test_a_sequence_longer_than_the_table_of_positions_is_refused():
    model, tokens = learner("transformer-learned"), random_tokens(TOKENS + 1)
    with pytest.raises(SubjectError, match="41 learned positions cannot read 42 tokens"):
        model.loss(tokens, tokens)
    with pytest.raises(SubjectError, match="cannot read 42"):
        model.prefill(tokens)
    _, state = model.prefill(tokens[:, :-1])
    with pytest.raises(SubjectError, match="cannot read 42"):
        model.decode_one_token(tokens[:, -1], state)


def test_learned_positions_are_all_that_tells_the_order_of_equal_tokens():
    model = learner("transformer-learned")
    same = torch.zeros(1, 9, dtype=torch.int64)
    assert all_logits(model, same).std(1).max() > 1e-3
    torch.nn.init.zeros_(model.positions.weight)
    assert all_logits(model, same).std(1).max() < 1e-5


def test_attention_without_rotation_is_scaled_by_the_width_of_a_head():
    attention = learner("transformer-learned").body.blocks[0].mixer
    x = torch.randn(BATCH, 9, SPEC.width)
    parts = attention.query_key_value(x).chunk(3, -1)
    query, key, value = (part.unflatten(-1, (SPEC.heads, -1)).transpose(1, 2) for part in parts)
    mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    expected = attention.output(mixed.transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(x), expected)


def test_learned_positions_take_heads_of_an_odd_width_and_rotary_ones_do_not():
    odd = ModelSpec(width=15, heads=5)
    learner("transformer-learned", spec=odd, budget=None)
    with pytest.raises(SubjectError, match="even number of features"):
        learner("transformer", spec=odd, budget=None)


@each_baseline
def test_tokens_outside_the_vocabulary_or_of_another_shape_are_refused(name):
    model, tokens = learner(name), random_tokens()
    with pytest.raises(ValueError, match="between 0 and 16"):
        model.loss(tokens + VOCABULARY, tokens)
    with pytest.raises(ValueError, match=r"expected tokens \(batch, tokens\)"):
        model(tokens[0])
    with pytest.raises(ValueError, match=r"asked \(2, 40\) for tokens \(2, 41\)"):
        model.loss(tokens, tokens[:, 1:])


def test_an_unknown_learner_is_refused():
    with pytest.raises(UnknownNameError, match="unknown learner 'mamba'"):
        learner("mamba")
