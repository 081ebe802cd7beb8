from __future__ import annotations

import hashlib
import json
from dataclasses import FrozenInstanceError
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_oracles import answers

from lmn_bench.errors import UnknownNameError, UsageError
from lmn_bench.learning.batches import NOT_ASKED
from lmn_bench.learning.names import TASK_KINDS, TASKS
from lmn_bench.learning.streams import stream
from lmn_bench.learning.tasks.copying import Copy, SelectiveCopying
from lmn_bench.learning.tasks.induction import InductionHeads
from lmn_bench.learning.tasks.listops import ListOps
from lmn_bench.learning.tasks.presets import make_task, task_preset, task_settings
from lmn_bench.learning.tasks.protocol import Task, without_replacement
from lmn_bench.learning.tasks.recall import MultiQueryRecall

SMALL = (
    MultiQueryRecall(16, 2, 12),
    SelectiveCopying(12, 4, 5),
    InductionHeads(6, 4),
    Copy(5, 4),
    ListOps(24, 4, 3, 4),
)
each_small = pytest.mark.parametrize("task", SMALL, ids=lambda task: task.kind)
each_preset = pytest.mark.parametrize("name", TASKS)

tasks = st.one_of(
    st.integers(1, 6).flatmap(
        lambda pairs: st.builds(
            MultiQueryRecall,
            length=st.integers(2 * pairs, 40).map(lambda half: 2 * half),
            pairs=st.just(pairs),
            vocabulary_size=st.integers(pairs + 1, 50).map(lambda half: 2 * half),
            gap_power=st.floats(0.01, 1),
        )
    ),
    st.integers(1, 6).flatmap(
        lambda data: st.builds(
            SelectiveCopying, st.integers(2 * data, 60), st.just(data), st.integers(3, 20)
        )
    ),
    st.builds(InductionHeads, st.integers(3, 60), st.integers(2, 20)),
    st.builds(Copy, st.integers(1, 40), st.integers(2, 30)),
    st.builds(ListOps, st.integers(30, 60), st.integers(4, 20), st.integers(3, 6)),
)


def digest(batch):
    return hashlib.sha256(batch.inputs.tobytes() + batch.targets.tobytes()).hexdigest()[:12]


# -------------------------------------------------------------------------------- the protocol


@settings(deadline=None)
@given(tasks, st.integers(0, 2**64 - 1), st.integers(0, 10**6), st.sampled_from(["train", "test"]))
def test_an_oracle_that_reads_the_inputs_finds_every_answer(task, seed, step, split):
    batch = task.batch(3, seed=seed, step=step, split=split)
    for row, targets in zip(batch.inputs, batch.targets, strict=True):
        asked = {int(i): int(targets[i]) for i in np.flatnonzero(targets != NOT_ASKED)}
        assert asked
        assert answers(task, row) == asked


@each_preset
def test_every_published_task_is_solved_by_its_oracle(name):
    for task in task_preset(name).tests:
        batch = task.batch(2, seed=0, step=0, split="test")
        for row, targets in zip(batch.inputs, batch.targets, strict=True):
            found = answers(task, row)
            assert [found[i] for i in np.flatnonzero(targets != NOT_ASKED)] == (
                targets[targets != NOT_ASKED].tolist()
            )


@settings(deadline=None)
@given(tasks, st.integers(1, 5))
def test_a_batch_has_the_promised_shape_and_ids(task, size):
    batch = task.batch(size, seed=0, step=0)
    for part in (batch.inputs, batch.targets):
        assert part.shape == (size, task.length)
        assert part.dtype == np.int64
    assert 0 <= batch.inputs.min() <= batch.inputs.max() < task.vocabulary_size
    assert batch.asked.any(axis=1).all()
    asked = batch.targets[batch.asked]
    assert 0 <= asked.min() <= asked.max() < task.vocabulary_size


@each_small
def test_a_batch_is_a_function_of_seed_step_and_split(task):
    first = digest(task.batch(8, seed=1, step=2, split="train"))
    task.batch(8, seed=1, step=3, split="train")
    assert digest(task.batch(8, seed=1, step=2, split="train")) == first
    others = [(1, 2, "test"), (1, 3, "train"), (2, 2, "train"), (2, 1, "train")]
    for seed, step, split in others:
        assert digest(task.batch(8, seed=seed, step=step, split=split)) != first


@each_small
def test_the_commonest_answer_is_as_frequent_as_chance(task):
    batch = task.batch(4000, seed=0, step=0)
    found = batch.targets[batch.asked]
    share = np.bincount(found).max() / len(found)
    # The commonest of many is a little above; 5 standard errors bound both sides.
    assert abs(share - task.chance) < 5 * (task.chance / len(found)) ** 0.5


@each_small
def test_a_task_offers_the_protocol_and_cannot_be_changed(task):
    assert isinstance(task, Task)
    assert task.kind in TASK_KINDS
    field = next(iter(task_settings(task)))
    with pytest.raises(FrozenInstanceError):
        setattr(task, field, 1)


# Results of two versions are comparable as long as these hold. numpy may change how it turns random
# bits into numbers between its own versions (NEP 19): then, too, this is to be known.
DIGESTS = {
    "mqar-64": "8b71f6e6863f",
    "selective-copying-64": "c986075379d5",
    "induction-heads": "8907664ce899",
    "copy": "c0a7c16142cc",
    "listops-64": "d6ae06e7a4a0",
}


@pytest.mark.parametrize("name", DIGESTS)
def test_the_examples_are_those_of_earlier_versions(name):
    assert digest(task_preset(name).train.batch(4, seed=0, step=1)) == DIGESTS[name]


# ------------------------------------------------------------------------------- random streams


def test_no_counter_serves_two_steps_or_both_splits():
    """Philox makes four numbers of a counter: with the same key, equal ones mean equal counters."""
    drawn = {
        (step, split): stream("a task", seed=0, step=step, split=split).bit_generator.random_raw(64)
        for step in (0, 1, 2, 2**63, 2**64 - 1)
        for split in ("train", "test")
    }
    for first, second in combinations(drawn.values(), 2):
        assert not set(first.tolist()) & set(second.tolist())


def test_tasks_of_the_same_seed_draw_different_numbers():
    drawn = {stream(kind, seed=0, step=0, split="train").random() for kind in TASK_KINDS}
    assert len(drawn) == len(TASK_KINDS)


@pytest.mark.parametrize("wrong", [-1, 2**64, 0.0, True, "1", None])
@each_small
def test_a_seed_or_step_that_is_no_count_is_refused(task, wrong):
    with pytest.raises(UsageError, match="seed: expected a whole number"):
        task.batch(1, seed=wrong, step=0)
    with pytest.raises(UsageError, match="step: expected a whole number"):
        task.batch(1, seed=0, step=wrong)


@each_small
def test_a_split_that_does_not_exist_is_refused(task):
    with pytest.raises(UsageError, match="got 'valid'"):
        task.batch(1, seed=0, step=0, split="valid")


@pytest.mark.parametrize("size", [0, -1, 1.0, True])
@each_small
def test_a_batch_that_is_no_count_is_refused(task, size):
    with pytest.raises(UsageError, match="batch: expected a whole number"):
        task.batch(size, seed=0, step=0)


@given(st.integers(1, 8), st.integers(0, 8))
def test_numbers_without_replacement_differ(count, more):
    drawn = without_replacement(np.random.default_rng(0), 50, count, count + more)
    assert ((drawn >= 0) & (drawn < count + more)).all()
    assert all(len(set(row)) == count for row in drawn.tolist())


def test_every_order_of_numbers_without_replacement_is_equally_likely():
    drawn = without_replacement(np.random.default_rng(0), 12_000, 2, 4)
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(counts) == 12
    assert counts.min() > 850
    assert counts.max() < 1150


# ------------------------------------------------------------------------- what each task is like


def test_recall_draws_keys_and_values_from_their_halves():
    task = MultiQueryRecall(64, 4)
    batch = task.batch(100, seed=0, step=0)
    keys, values = batch.inputs[:, 0:8:2], batch.inputs[:, 1:8:2]
    assert 1 <= keys.min() <= keys.max() < 4096 <= values.min() <= values.max() < 8192
    assert all(len(set(row)) == 4 for row in keys.tolist())
    assert task.chance == 1 / 4096
    assert task.chance_among_shown == 1 / 4


def test_recall_asks_for_every_pair_once_and_holds_zeros_elsewhere():
    batch = MultiQueryRecall(64, 4).batch(100, seed=0, step=0)
    assert (batch.asked.sum(axis=1) == 4).all()
    assert (
        np.sort(batch.inputs[batch.asked].reshape(100, 4)) == np.sort(batch.inputs[:, 0:8:2])
    ).all()
    assert not batch.inputs[:, 8:][~batch.asked[:, 8:]].any()


def test_recall_asks_near_the_pairs_by_the_published_power_law():
    # One pair: its slot has the law itself; further ones are drawn without replacement.
    batch = MultiQueryRecall(20, 1, gap_power=0.01).batch(20_000, seed=0, step=0)
    slots = (np.argmax(batch.asked, axis=1) - 2) // 2
    expected = np.arange(1, 10) ** (0.01 - 1)
    found = np.bincount(slots, minlength=9) / 20_000
    assert found == pytest.approx(expected / expected.sum(), abs=0.015)


def test_recall_with_random_filler_asks_the_same_and_leaves_no_gap():
    plain = MultiQueryRecall(64, 4).batch(100, seed=0, step=0)
    noisy = MultiQueryRecall(64, 4, filler="random").batch(100, seed=0, step=0)
    assert (noisy.targets == plain.targets).all()
    assert (noisy.inputs == plain.inputs)[plain.inputs > 0].all()
    assert (noisy.inputs > 0).mean() > 0.99


def test_selective_copying_scatters_its_data_evenly():
    batch = SelectiveCopying(12, 4, 16).batch(4000, seed=0, step=0)
    taken = (batch.inputs[:, :8] > 0).mean(axis=0)
    assert taken == pytest.approx(np.full(8, 0.5), abs=0.04)


def test_the_trigger_comes_first_at_every_place_that_leaves_room():
    task = InductionHeads(6, 4)
    batch = task.batch(1000, seed=0, step=0)
    triggers = batch.inputs == 3
    assert (triggers.sum(axis=1) == 2).all()
    assert set(np.argmax(triggers, axis=1).tolist()) == {0, 1, 2, 3}


# ------------------------------------------------------------------------------------ wrong sizes


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MultiQueryRecall(length=15, pairs=2), "even length"),
        (lambda: MultiQueryRecall(length=64, vocabulary_size=8191), "even vocabulary_size"),
        (lambda: MultiQueryRecall(length=14, pairs=4), "length: expected .* at least 16, got 14"),
        (lambda: MultiQueryRecall(pairs=0), "pairs: expected"),
        (lambda: MultiQueryRecall(64, 4, 8), "at least 10, got 8"),
        (lambda: MultiQueryRecall(gap_power=0), "gap_power"),
        (lambda: MultiQueryRecall(gap_power=1.5), "gap_power"),
        (lambda: MultiQueryRecall(gap_power=float("nan")), "gap_power"),
        (lambda: MultiQueryRecall(gap_power="steep"), "gap_power"),
        (lambda: MultiQueryRecall(filler="noise"), "filler: expected 'zero' or 'random'"),
        (lambda: MultiQueryRecall(length="64"), "length: expected"),
        (lambda: SelectiveCopying(length=31, data_tokens=16), "at least 32, got 31"),
        (lambda: SelectiveCopying(data_tokens=0), "data_tokens: expected"),
        (lambda: SelectiveCopying(vocabulary_size=2), "vocabulary_size: expected"),
        (lambda: InductionHeads(length=2), "length: expected"),
        (lambda: InductionHeads(vocabulary_size=1), "vocabulary_size: expected"),
        (lambda: InductionHeads(length=2.5), "length: expected"),
        (lambda: Copy(string_tokens=0), "string_tokens: expected"),
        (lambda: Copy(vocabulary_size=True), "vocabulary_size: expected"),
    ],
)
def test_a_size_out_of_range_is_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


# ------------------------------------------------------------------------------------------ names


def test_every_listed_kind_is_made_and_comes_back_from_its_settings():
    for kind in TASK_KINDS:
        task = make_task(kind, {})
        stored = json.loads(json.dumps(task_settings(task)))
        assert make_task(kind, stored) == task


@each_preset
def test_every_listed_task_names_its_kind_and_is_tested_where_it_is_trained(name):
    preset = task_preset(name)
    assert name.startswith(preset.train.kind)
    assert preset.train in preset.tests
    lengths = [task.length for task in preset.tests]
    assert lengths == sorted(lengths)


def test_published_sizes_are_the_published_ones():
    sizes = {name: task_preset(name).train for name in ("mqar-64", "mqar-128", "mqar-256")}
    assert [(t.length, t.pairs, t.vocabulary_size) for t in sizes.values()] == [
        (64, 4, 8192), (128, 8, 8192), (256, 16, 8192),
    ]  # fmt: skip
    assert task_preset("selective-copying").train == SelectiveCopying(4096, 16, 16)
    assert task_preset("induction-heads").train == InductionHeads(256, 16)
    assert task_preset("induction-heads").tests[-1].length == 2**14
    assert task_preset("listops").train == ListOps(2000, 501, 10, 10)


def test_a_wrong_name_gets_the_nearest_one():
    with pytest.raises(UnknownNameError, match="unknown task 'mqar-65'") as caught:
        task_preset("mqar-65")
    assert "did you mean 'mqar-64'?" in caught.value.hint
    with pytest.raises(UnknownNameError, match="unknown task kind 'mqa'"):
        make_task("mqa", {})


def test_a_wrong_setting_gets_the_nearest_one():
    with pytest.raises(UnknownNameError, match="unknown setting 'pair'") as caught:
        make_task("mqar", {"pair": 4})
    assert "'pairs'" in caught.value.hint
