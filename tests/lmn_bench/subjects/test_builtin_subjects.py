from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from lmn import Decoder
from lmn.decode_execution import Recording
from lmn_bench.errors import SubjectError, UnknownNameError
from lmn_bench.schema import MODES, ModelSpec
from lmn_bench.subjects.names import BUILTIN, LACKING, LMN_FAMILY
from lmn_bench.subjects.protocol import Subject, supported_modes
from lmn_bench.subjects.recurrent import Recurrence
from lmn_bench.subjects.stack import METHOD_OF_MODE
from lmn_bench.subjects.transformer import ROTARY_BASE, CausalAttention

BATCH, TOKENS, WIDTH = 2, 41, 32
each_subject = pytest.mark.parametrize("name", list(BUILTIN))
each_reader = pytest.mark.parametrize(
    "name", [name for name in BUILTIN if (name, "read") not in LACKING]
)


def tokens(count=TOKENS, dtype=torch.float32, batch=BATCH, width=WIDTH):
    return torch.randn(batch, count, width).to(dtype)


def decode_all(subject, x, state):
    outputs = []
    for t in range(x.shape[1]):
        output, state = subject.decode(x[:, t], state)
        outputs.append(output)
    return torch.stack(outputs, dim=1), state


@each_subject
def test_it_offers_the_whole_protocol_but_for_what_it_says_it_lacks(make, name):
    subject = make(name)
    assert isinstance(subject, Subject)
    lacking = {mode for other, mode in LACKING if other == name}
    assert supported_modes(subject) == MODES.keys() - lacking


@each_subject
@pytest.mark.parametrize("seen", [1, 13, 32])
def test_decoding_goes_on_where_prefill_stopped(make, name, seen):
    subject, x = make(name), tokens()
    with torch.inference_mode():
        whole, _ = subject.prefill(x)
        _, state = subject.prefill(x[:, :seen], capacity=TOKENS)
        rest, _ = decode_all(subject, x[:, seen:], state)
    torch.testing.assert_close(rest, whole[:, seen:], atol=1e-4, rtol=1e-4)


@each_subject
def test_decoding_from_nothing_equals_prefill(make, name):
    subject, x = make(name), tokens()
    with torch.inference_mode():
        whole, after_prefill = subject.prefill(x)
        stepped, after_steps = decode_all(subject, x, subject.initial_state(BATCH, capacity=TOKENS))
    torch.testing.assert_close(stepped, whole, atol=1e-4, rtol=1e-4)
    ready = subject.copy_state(after_prefill)
    assert subject.state_bytes(ready) == subject.state_bytes(after_steps)


@each_reader
@pytest.mark.parametrize("segment", [1, 7, TOKENS, 100])
def test_reading_in_segments_ends_as_prefill_does(make, name, segment):
    subject, x = make(name), tokens()
    with torch.inference_mode():
        whole, state = subject.prefill(x[:, :-1])
        last, state_read = subject.read(x[:, :-1], segment=segment)
        after, _ = subject.decode(x[:, -1], state)
        after_read, _ = subject.decode(x[:, -1], state_read)
    torch.testing.assert_close(last, whole[:, -1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(after_read, after, atol=1e-4, rtol=1e-4)
    assert subject.state_bytes(state_read) == subject.state_bytes(state)


@each_subject
@pytest.mark.parametrize("seen", [1, 31, 32])
def test_a_context_is_the_state_of_prefill(make, name, seen):
    subject, x = make(name), tokens()
    with torch.inference_mode():
        whole, _ = subject.prefill(x)
        rest, _ = decode_all(subject, x[:, seen:], subject.context(x[:, :seen], capacity=TOKENS))
    torch.testing.assert_close(rest, whole[:, seen:], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("seen", [1, 31, 32])
def test_a_published_context_holds_the_nodes_of_the_published_prefill(make, seen):
    subject, x = make("lmn-published"), tokens()
    with torch.inference_mode():
        _, states = subject.prefill(x[:, :seen])
        for found, expected in zip(subject.context(x[:, :seen], capacity=0), states, strict=True):
            assert found.tokens_seen == expected.tokens_seen
            torch.testing.assert_close(found.levels, expected.levels, atol=1e-5, rtol=1e-5)


@each_subject
def test_a_state_without_room_can_still_go_on(make, name):
    subject, x = make(name), tokens()
    with torch.inference_mode():
        whole, _ = subject.prefill(x)
        _, state = subject.prefill(x[:, :3])
        rest, _ = decode_all(subject, x[:, 3:], state)
    torch.testing.assert_close(rest, whole[:, 3:], atol=1e-4, rtol=1e-4)


@each_subject
def test_a_copied_state_leaves_the_original_untouched(make, name):
    subject, x = make(name), tokens()
    with torch.inference_mode():
        _, state = subject.prefill(x[:, :16], capacity=TOKENS)
        decode_all(subject, tokens(9), subject.copy_state(state))
        after_copy, _ = decode_all(subject, x[:, 16:], state)
        _, fresh = subject.prefill(x[:, :16], capacity=TOKENS)
        expected, _ = decode_all(subject, x[:, 16:], fresh)
    assert torch.equal(after_copy, expected)


@each_subject
def test_a_used_original_leaves_its_copy_untouched(make, name):
    subject, x = make(name), tokens()
    with torch.inference_mode():
        _, state = subject.prefill(x[:, :16], capacity=TOKENS)
        copy = subject.copy_state(state)
        expected, _ = decode_all(subject, x[:, 16:], state)
        decoded, _ = decode_all(subject, x[:, 16:], copy)
    assert torch.equal(decoded, expected)


@each_subject
def test_no_token_sees_a_later_one(make, name):
    subject, x = make(name), tokens()
    other = x.clone()
    other[:, 20] += 1
    with torch.inference_mode():
        before, after = subject.prefill(x)[0], subject.prefill(other)[0]
    torch.testing.assert_close(after[:, :20], before[:, :20], atol=1e-6, rtol=1e-6)
    assert ((after[:, 20:] - before[:, 20:]).abs().amax(dim=(0, 2)) > 1e-7).all()


@each_subject
def test_rows_of_a_batch_do_not_meet(make, name):
    subject, x = make(name), tokens(batch=3)
    with torch.inference_mode():
        together, _ = subject.prefill(x)
        alone, _ = subject.prefill(x[1:2])
    torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=1e-5)


@each_subject
def test_a_training_step_fills_every_gradient_and_repeats_exactly(make, name):
    subject, x = make(name), tokens()
    loss = subject.train_step(x)
    first = [parameter.grad for parameter in subject.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in first)
    assert loss.shape == ()
    assert not loss.requires_grad
    assert torch.equal(subject.train_step(x), loss)
    for parameter, before in zip(subject.parameters(), first, strict=True):
        torch.testing.assert_close(parameter.grad, before)


@each_subject
def test_training_descends_the_loss_it_reports(make, name):
    subject, x = make(name), tokens()
    before = subject.train_step(x)
    with torch.no_grad():
        for parameter in subject.parameters():
            parameter -= 0.1 * parameter.grad
    assert subject.train_step(x) < before


@each_subject
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_outputs_keep_the_type_and_agree_with_float64(make, name, dtype):
    x = tokens(dtype=dtype)
    subject, exact = make(name, dtype=dtype), make(name, dtype=torch.float64)
    with torch.inference_mode():
        whole, _ = subject.prefill(x)
        step, state = subject.decode(x[:, 0], subject.initial_state(BATCH, capacity=2))
        expected, _ = exact.prefill(x.double())
    assert whole.dtype == step.dtype == dtype
    assert subject.train_step(x).dtype == dtype
    tolerance = 0.1 if dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(whole.double(), expected, atol=tolerance, rtol=tolerance)
    assert subject.state_bytes(state) % torch.empty(0, dtype=dtype).element_size() == 0


@each_subject
def test_training_works_after_inference_built_its_tables(make, name):
    subject, x = make(name), tokens()
    with torch.inference_mode():
        subject.prefill(x)
        decode_all(subject, x, subject.initial_state(BATCH, capacity=2))
    assert subject.train_step(x).isfinite()


@each_subject
def test_it_can_be_built_in_inference_mode_and_then_trained(make, name):
    x = tokens()
    with torch.inference_mode():
        subject = make(name)
        subject.decode(x[:, 0], subject.initial_state(BATCH, capacity=2))
    assert subject.train_step(x).isfinite()


@each_subject
def test_outputs_are_of_order_one(make, name):
    with torch.inference_mode():
        output, _ = make(name).prefill(tokens(300))
    assert 0.5 < output.std() < 2


@each_subject
def test_the_seed_decides_the_weights_and_nothing_else(make, name):
    random_state = torch.get_rng_state()
    first, again, other = (list(make(name, seed=seed).parameters()) for seed in (7, 7, 8))
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


# torch's compiler, on import, uses parts of torch that torch has deprecated.
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@each_subject
@pytest.mark.parametrize("mode", list(MODES))
def test_compiling_hands_over_what_the_mode_calls_of_every_block(make, name, mode):
    subject = make(name)
    before = [vars(block).copy() for block in subject.blocks]
    subject.compile_for(mode)
    added = [set(vars(b)) - set(old) for b, old in zip(subject.blocks, before, strict=True)]
    method = METHOD_OF_MODE[mode]
    if method == "decode" and name in LMN_FAMILY - {"lmn-published"}:
        # Its step has a form of its own that a compiler can make few graphs of.
        assert added == [set()] * 2
        assert [block.execution for block in subject.blocks] == ["compiled"] * 2
    else:
        assert added == [{method}] * 2


def test_a_state_is_restored_into_memory_that_keeps_its_graphs(make):
    recorded = []

    def record(operations):
        output = operations()
        recorded.append(output)
        return Recording(lambda: output.copy_(operations()), output)

    subject, x = make("lmn"), tokens()
    with torch.inference_mode():
        _, start = subject.prefill(x[:, :15])
        plain = subject.copy_state(start)
        expected = [subject.decode(token, plain)[0] for token in x[:, 15:].unbind(1)]
        for block in subject.blocks:
            block._made_decoder = Decoder(
                block.layer, execution="cuda_graph", new_recorder=lambda device: record
            )
        # What was copied before there were graphs is of no use to them.
        state = subject.restore_state(start, plain)
        for _ in range(2):
            state = subject.restore_state(start, state)
            found = [subject.decode(token, state)[0] for token in x[:, 15:].unbind(1)]
            torch.testing.assert_close(found, expected)
    assert len(recorded) == 2 * 6  # layers, and 0 to 5 merges


@each_subject
def test_a_cpu_has_no_cuda_graphs(make, name):
    with pytest.raises(SubjectError, match="no CUDA graphs"):
        make(name).use_cuda_graphs()


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.parametrize("length", [0, 9])
def test_a_state_from_before_compiling_is_copied_for_the_compiled_decoder(make, length):
    subject, x = make("lmn"), tokens()
    with torch.inference_mode():
        state = subject.initial_state(BATCH, capacity=64)
        for token in x[:, :length].unbind(1):
            _, state = subject.decode(token, state)
        expected, _ = subject.decode(x[:, length], subject.copy_state(state))
        for block in subject.blocks:
            # As `compile_for` does, but in a fraction of a second.
            block._made_decoder = Decoder(block.layer, execution="compiled", backend="eager")
        found, _ = subject.decode(x[:, length], subject.copy_state(state))
    torch.testing.assert_close(found, expected)


def test_an_unknown_name_gets_the_nearest():
    from lmn_bench.subjects.build import build

    with pytest.raises(UnknownNameError) as caught:
        build("transfomer", ModelSpec(), dtype=torch.float32, device=torch.device("cpu"), seed=0)
    assert "'transformer'" in caught.value.hint


@pytest.mark.parametrize("heads", [3, 32])
def test_heads_that_do_not_fit_are_refused(make, heads):
    with pytest.raises(SubjectError, match="width"):
        make("transformer", ModelSpec(width=32, heads=heads))


def test_lmn_says_which_heads_would_fit(make):
    with pytest.raises(SubjectError, match="nearest number of heads"):
        make("lmn", ModelSpec(width=32, heads=3))


def test_published_and_fast_lmn_share_weights_and_numbers(make):
    x = tokens()
    fast, published = make("lmn"), make("lmn-published")
    with torch.inference_mode():
        torch.testing.assert_close(
            published.prefill(x)[0], fast.prefill(x)[0], atol=1e-5, rtol=1e-5
        )


def test_attention_equals_its_definition():
    """Rotate pairs by position, weigh all earlier tokens by softmax(q·k / sqrt(head width))."""
    layer, x = CausalAttention(WIDTH, heads=2).double(), tokens(17, torch.float64)
    query, key, value = (
        part.unflatten(-1, (2, 16)).transpose(1, 2)
        for part in layer.query_key_value(x).chunk(3, -1)
    )

    def rotated(part):
        turned = torch.empty_like(part)
        for i in range(8):
            angle = torch.arange(17.0, dtype=torch.float64) * ROTARY_BASE ** (-2 * i / 16)
            even, odd = part[..., 2 * i], part[..., 2 * i + 1]
            turned[..., 2 * i] = even * angle.cos() - odd * angle.sin()
            turned[..., 2 * i + 1] = even * angle.sin() + odd * angle.cos()
        return turned

    scores = rotated(query) @ rotated(key).transpose(-1, -2) / math.sqrt(16)
    scores = scores.masked_fill(torch.ones(17, 17).triu(1).bool(), -math.inf)
    expected = layer.output((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("family", ["lstm", "gru", "rnn"])
def test_recurrent_decoding_follows_new_weights(family):
    layer, x = Recurrence(family, WIDTH), tokens(5)
    with torch.no_grad():
        layer.decode(x[:, 0], layer.initial_state(BATCH, 1))
        for parameter in layer.parameters():
            parameter.mul_(2)
        output, _ = layer.decode(x[:, 0], layer.initial_state(BATCH, 1))
        expected = layer(x[:, :1])[:, 0]
    torch.testing.assert_close(output, expected)


@pytest.mark.parametrize("family", ["lstm", "gru", "rnn"])
def test_recurrent_decoding_leaves_the_given_state_alone(family):
    layer, x = Recurrence(family, WIDTH), tokens(5)
    with torch.inference_mode():
        _, state = layer.prefill(x, 5)
        before = [part.clone() for part in state]
        layer.decode(x[:, 0], state)
    assert all(torch.equal(a, b) for a, b in zip(before, state, strict=True))


def test_a_key_value_cache_counts_only_the_tokens_it_has_seen(make):
    subject = make("transformer")
    with torch.inference_mode():
        _, roomy = subject.prefill(tokens(8), capacity=1000)
        _, tight = subject.prefill(tokens(8))
    assert subject.state_bytes(roomy) == subject.state_bytes(tight) == 2 * 2 * 8 * WIDTH * BATCH * 4


def test_an_old_cache_stays_valid_until_something_is_decoded_from_it(make):
    subject, x = make("transformer"), tokens()
    with torch.inference_mode():
        _, state = subject.prefill(x[:, :16], capacity=TOKENS)
        first, _ = decode_all(subject, x[:, 16:], state)
        again, _ = decode_all(subject, x[:, 16:], state)
    assert torch.equal(first, again)


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_recurrent_subjects_have_no_slots(make, name):
    assert make(name).slots(100) is None


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@each_subject
def test_a_gpu_gives_the_same_numbers(make, name):
    from lmn_bench.subjects.build import build

    spec = ModelSpec(width=WIDTH, heads=2, layers=2, banks=2)
    x, device = tokens(), torch.device("cuda")
    on_gpu = build(name, spec, dtype=torch.float32, device=device, seed=0)
    with torch.inference_mode():
        expected, _ = make(name, spec).prefill(x)
        whole, _ = on_gpu.prefill(x.to(device))
        state = on_gpu.initial_state(BATCH, capacity=TOKENS)
        stepped, _ = decode_all(on_gpu, x.to(device), state)
    torch.testing.assert_close(whole.cpu(), expected, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(stepped.cpu(), expected, atol=1e-3, rtol=1e-3)
    assert on_gpu.train_step(x.to(device)).isfinite()


def test_blocks_are_equal_but_for_their_mixers(make):
    counts = {}
    for name in ("transformer", "lstm", "gru", "rnn"):
        subject = make(name)
        assert isinstance(subject, nn.Module)
        counts[name] = sum(isinstance(module, nn.RMSNorm) for module in subject.modules())
    assert set(counts.values()) == {4}  # two norms in each of two layers
