"""Users' models of many kinds through real children: measured as they are, or refused and why."""

from __future__ import annotations

from functools import partial

import pytest
from process_helpers import environ, measured_by

from lmn_bench.run.process import ForkServer
from lmn_bench.schema import Outcome


@pytest.fixture(scope="module")
def measure():
    with ForkServer(environ()) as server:
        yield partial(measured_by, server)


def strange(name):
    return f"strange_subjects:{name}"


@pytest.mark.parametrize(
    "name",
    [
        "instance", "of_spec_alone", "of_nothing", "of_sizes", "scripted", "own_forward", "lstm",
        "data_class", "dictionary", "multiples_of_16", "only_64", "first_length", "rotary", "lazy",
        "complex_buffer", "closes_its_streams", "compiled_itself",
    ],
)  # fmt: skip
def test_what_people_hand_over_is_measured_without_a_word(measure, name):
    record = measure(strange(name))
    assert record.outcome is Outcome.OK, record.reason
    # That a machine is busy says nothing of a model.
    assert [one for one in record.warnings if not one.startswith("not steady")] == []
    assert record.metrics["parameters"] >= 32 * 32


@pytest.mark.parametrize(
    "name",
    ["rotary", "lazy", "first_length", "multiples_of_16", "checkpointed", "checkpointed_reentrant"],
)
def test_what_was_made_for_other_calls_is_not_there_when_it_trains(measure, name):
    record = measure(strange(name), "train")
    assert record.outcome is Outcome.OK, record.reason


@pytest.mark.parametrize("name", ["first_length", "multiples_of_16"])
def test_a_cap_counts_no_short_call_of_the_model_itself(measure, name):
    record = measure(strange(name), cap=256 * 2**20)
    assert record.outcome is Outcome.OK, record.reason


@pytest.mark.parametrize("name", ["function", "no_parameters"])
def test_models_without_parameters_have_none(measure, name):
    record = measure(strange(name))
    assert record.outcome is Outcome.OK
    assert record.metrics["parameters"] == 0


@pytest.mark.parametrize("name", ["frozen", "no_parameters"])
def test_what_has_nothing_to_train_is_not_trained(measure, name):
    record = measure(strange(name), "train")
    assert record.outcome is Outcome.SKIPPED
    assert "none of its parameters requires a gradient" in record.reason


def test_a_complex_buffer_stays_complex_in_another_type(measure):
    record = measure(strange("complex_buffer"), dtype="bfloat16")
    assert record.outcome is Outcome.OK, record.reason
    assert "turns stayed complex64, asked for: bfloat16" in record.warnings


def test_decode_reads_a_context_in_the_lengths_that_a_model_takes(measure):
    record = measure(strange("chunked_sum"), "decode", 40)
    assert record.outcome is Outcome.OK, record.reason
    assert record.metrics["state_bytes"] == 32 * 4


def test_the_model_in_a_state_is_no_part_of_it(measure):
    record = measure(strange("state_with_model"), "decode")
    assert record.outcome is Outcome.OK, record.reason
    assert record.metrics["state_bytes"] == 32 * 4


def test_bytes_of_a_state_without_tensors_are_not_made_up(measure):
    record = measure(strange("state_in_a_closure"), "decode")
    assert record.outcome is Outcome.OK, record.reason
    assert "state_bytes" not in record.metrics
    assert any("state_bytes is not known" in one for one in record.warnings)


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [
        ("cache_inside", "decode", "belongs into the state"),
        ("fixed_cache_inside", "decode", "belongs into the state"),
        ("shared_copies", "decode", "copy_state must give one that shares no memory"),
        ("counting", "prefill", "depends on what the model read before"),
        ("memo", "prefill", "depends on what the model read before"),
        ("random_numbers", "prefill", "draws random numbers outside of training"),
        ("lstm_sequence_first", "prefill", "batch_first=True"),
    ],
)
def test_what_depends_on_more_than_its_input_is_incorrect_and_told_the_way_out(
    measure, name, mode, words
):
    record = measure(strange(name), mode)
    assert record.outcome is Outcome.INCORRECT, record.reason
    assert words in record.reason
    assert record.samples_s == ()


def test_random_numbers_belong_to_training(measure):
    assert measure(strange("random_numbers"), "train").outcome is Outcome.OK


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [
        ("attention", "prefill", "missing 2 required positional arguments"),
        ("a_class", "prefill", "returned the class Plain"),
        ("state_with_lock", "decode", "its state cannot be copied"),
        ("exits", "prefill", "called sys.exit(3) (it printed: no licence)"),
        ("exits_at_once", "prefill", "exit code 3"),
        (
            "raises_speechless",
            "prefill",
            "SpeechlessError: (its message cannot be read: RuntimeError)",
        ),
        ("raises_half_a_character", "prefill", r"ValueError: named \xff ("),
        ("raises_late", "prefill", "strange_subjects.py:"),
        ("sets_threads_in_forward", "prefill", "sets torch's threads to 2 while it runs"),
        ("thread_that_fails", "prefill", "TypeError: 'NoneType' object is not callable ("),
    ],
)
def test_what_cannot_be_measured_says_why_and_where(measure, name, mode, words):
    record = measure(strange(name), mode)
    assert record.outcome is Outcome.ERROR
    assert words in record.reason
    record.reason.encode()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sets_threads", "set torch's threads to 2: set back to the case's 1"),
        ("sets_default_type", "set torch's default type to torch.float64"),
        ("learns_inside", "run under no_grad, as inference mode fails"),
        ("thread_from_the_start", "run under no_grad, as its own threads would not be"),
        ("thread_per_call", "Inference tensors cannot be saved for backward"),
        ("moves_away", "changed the working folder to /, and keeps it"),
        ("moves_away", "changed what signals do (SIGCHLD): set back"),
    ],
)
def test_what_makes_a_number_another_one_is_told(measure, name, words):
    record = measure(strange(name))
    assert record.outcome is Outcome.OK, record.reason
    assert any(words in warning for warning in record.warnings)


@pytest.mark.parametrize("name", ["starts_a_helper", "starts_a_daemon"])
def test_helpers_neither_hold_a_case_up_nor_outlive_it(measure, name):
    record = measure(strange(name), timeout_s=30)
    assert record.outcome is Outcome.OK, record.reason
    assert record.wall_s < 25
    assert any("helpers ran beside the timing" in one for one in record.warnings)


def test_a_fresh_input_for_every_call_of_what_writes_into_it(measure):
    record = measure(strange("writes_into_its_input"))
    assert record.outcome is Outcome.OK, record.reason


def test_standard_error_is_kept_once_and_can_be_printed(measure):
    record = measure(strange("complains"))
    assert [line.split(": ", 1)[-1] for line in record.stderr] == [
        "UserWarning: slow path taken", r"half \udc80 a character",
    ]  # fmt: skip
    "".join(record.stderr).encode()
