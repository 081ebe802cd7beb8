"""The least traffic of every builtin subject, on sizes small enough to count by hand."""

from __future__ import annotations

import pytest

from lmn import cost
from lmn_bench.errors import SubjectError
from lmn_bench.schema import MODES, ModelSpec
from lmn_bench.subjects.names import BUILTIN, LACKING
from lmn_bench.subjects.sizes import SEGMENT_TOKENS, lmn_config, parameters
from lmn_bench.subjects.traffic import bytes_moved, window_bytes_moved

SPEC = ModelSpec(width=32, heads=2)
HAS = [(name, mode) for name in BUILTIN for mode in MODES if (name, mode) not in LACKING]


def vectors(subject, mode, length, batch=1):
    """What moves beside the parameters, in vectors."""
    total = bytes_moved(subject, SPEC, mode, length, batch)
    return (total / 4 - parameters(subject, SPEC)) / SPEC.width


@pytest.mark.parametrize(
    ("subject", "mode", "length", "expected"),
    [
        # input, output, keys and values written and read
        ("transformer", "prefill", 10, 10 * (2 + 4)),
        # token, output, one key and value written, eleven read
        ("transformer", "decode", 10, 2 + 2 + 2 * 11),
        ("lstm", "prefill", 10, 2 * 10 + 2),
        ("lstm", "decode", 10, 2 + 4),
        ("gru", "decode", 10, 2 + 2),
        # 3 slots for each of 4 tokens, 3 new nodes, 3 nodes of state
        ("lmn-published", "prefill", 4, 2 * 4 + 2 * 3 + 6 * 4 * 3 + 3),
        # token 8 sees 4 slots, rebuilds 4 and reads 3 that waited
        ("lmn-published", "decode", 7, 2 + 5 * 4 + 4 + 3),
    ],
)
def test_traffic_by_hand(subject, mode, length, expected):
    assert vectors(subject, mode, length) == expected
    assert vectors(subject, mode, length, batch=3) == 3 * expected


def test_a_published_step_without_a_merge_needs_no_summarizer():
    unused = cost.summarizer_parameter_count(lmn_config("lmn-published", SPEC))
    assert vectors("lmn-published", "decode", 8) * SPEC.width == 32 * (2 + 5 * 4 + 1) - unused


@pytest.mark.parametrize("subject", ["lmn", "lmn-conv", "lmn-expander"])
def test_an_lmn_moves_what_its_blocks_move(subject):
    config, two = lmn_config(subject, SPEC), ModelSpec(width=32, heads=2, layers=2)
    assert bytes_moved(subject, SPEC, "prefill", 99, 2) == cost.prefill_bytes(config, 99, 2)
    assert bytes_moved(subject, SPEC, "train", 99, 2) == cost.training_bytes(config, 99, 2)
    assert bytes_moved(subject, two, "decode", 99, 2, 2) == 2 * cost.decode_bytes(config, 99, 2, 2)


@pytest.mark.parametrize("subject", ["lmn", "gru"])
def test_reading_moves_the_parameters_once_per_segment(subject):
    spec, length = ModelSpec(width=8, heads=1), SEGMENT_TOKENS + 5
    read, whole = (bytes_moved(subject, spec, mode, length) for mode in ("read", "prefill"))
    assert read - whole >= 4 * parameters(subject, spec)


@pytest.mark.parametrize(("subject", "mode"), HAS)
def test_every_mode_moves_more_for_more_tokens_and_wider_numbers(subject, mode):
    short, long = (bytes_moved(subject, SPEC, mode, n) for n in (64, 1024))
    assert 0 < short <= long
    assert bytes_moved(subject, SPEC, mode, 64, 1, 8) == 2 * short
    assert bytes_moved(subject, SPEC, mode, 64, 2) > short


def test_a_window_is_the_mean_of_its_steps():
    steps = [bytes_moved("lmn", SPEC, "decode", seen) for seen in range(8, 16)]
    assert window_bytes_moved("lmn", SPEC, 8, window=8) == sum(steps) / 8


def test_what_a_subject_lacks_moves_nothing():
    with pytest.raises(SubjectError, match="has no read"):
        bytes_moved("transformer", SPEC, "read", 64)
