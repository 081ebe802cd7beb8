"""A checkpoint gives the model back, training goes on exactly, and broken files are told."""

import json

import pytest
import torch
from lmn_helpers import ONE_OF_EACH, make_language_model, name_of, random_tokens
from safetensors import safe_open
from safetensors.torch import save_file

from lmn import LMNConfig, LMNLanguageModel, LMNLanguageModelConfig
from lmn.checkpoint import (
    CheckpointError,
    load_model,
    read_config,
    read_notes,
    resume_training,
    save_model,
    save_training,
)
from lmn.weight_shapes import weight_shapes

CORPUS = random_tokens(1, 2000)[0]


class Training:
    """A small training: model, optimizer, and the random order of its batches."""

    def __init__(self, *, seed=0, optimizer=torch.optim.AdamW, **settings):
        self.model = make_language_model(
            LMNConfig(width=8, heads=2, banks=2), torch.float32, seed=seed, **settings
        )
        self.optimizer = optimizer(self.model.parameters(), lr=1e-2)
        self.order = torch.Generator().manual_seed(seed)

    def run(self, steps):
        losses = []
        for _ in range(steps):
            starts = torch.randint(1900, (4,), generator=self.order)
            # noise from the global random numbers, as dropout would draw it
            noise = 1 + 0.1 * torch.rand(())
            windows = torch.stack([CORPUS[start : start + 41] for start in starts])
            loss = self.model.loss(windows[:, :-1], windows[:, 1:]) * noise
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses.append(loss.item())
        return losses

    def save(self, path, step):
        generators = {"order": self.order}
        save_training(path, self.model, self.optimizer, step=step, generators=generators)

    def resume(self, path):
        return resume_training(path, self.model, self.optimizer, generators={"order": self.order})


def assert_equal_models(one, other):
    assert one.config == other.config
    for (name, mine), (_, theirs) in zip(
        one.state_dict().items(), other.state_dict().items(), strict=True
    ):
        assert torch.equal(mine, theirs), name
        assert mine.dtype == theirs.dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("block", ONE_OF_EACH, ids=name_of)
def test_a_model_comes_back_as_it_was(tmp_path, block, tied, dtype):
    model = make_language_model(block, dtype, tie_weights=tied, init="published")
    path = tmp_path / "model.safetensors"
    save_model(path, model, notes={"symbols": ["é", "\n"]})
    before = torch.get_rng_state()
    loaded = load_model(path)
    assert torch.equal(before, torch.get_rng_state())
    assert_equal_models(loaded, model)
    assert (loaded.head.weight is loaded.embedding.weight) == tied
    assert read_config(path) == model.config
    assert read_notes(path) == {"symbols": ["é", "\n"]}
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(
    "optimizer",
    [
        torch.optim.AdamW,
        torch.optim.Adagrad,
        lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9),
    ],
    ids=["AdamW", "Adagrad", "SGD"],
)
def test_interrupted_training_goes_on_with_the_same_numbers(tmp_path, optimizer, tied):
    whole = Training(optimizer=optimizer, tie_weights=tied)
    expected = whole.run(9)
    first = Training(optimizer=optimizer, tie_weights=tied)
    losses = first.run(4)
    first.save(tmp_path / "training", step=4)
    second = Training(seed=7, optimizer=optimizer, tie_weights=tied)
    torch.rand(5)
    assert second.resume(tmp_path / "training") == 4
    assert losses + second.run(5) == expected
    assert_equal_models(second.model, whole.model)


def test_a_training_file_is_a_model_file_too(tmp_path):
    training = Training()
    training.run(2)
    training.save(tmp_path / "training", step=2)
    assert_equal_models(load_model(tmp_path / "training"), training.model)
    published = load_model(tmp_path / "training", implementation="published")
    assert published.implementation == "published"


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model"
    save_model(path, make_language_model(ONE_OF_EACH[0]), notes={"step": 1})

    def full_disk(_):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_model(path, make_language_model(ONE_OF_EACH[0], seed=1), notes={"step": 2})
    assert read_notes(path) == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("kept", [0, 7, 100, 0.5, 0.999])
def test_a_truncated_file_is_told(tmp_path, kept):
    path = tmp_path / "model"
    save_model(path, make_language_model(ONE_OF_EACH[0]))
    content = path.read_bytes()
    path.write_bytes(content[: int(kept if kept >= 1 else kept * len(content))])
    for read in (load_model, read_config):
        with pytest.raises(CheckpointError, match="truncated or no safetensors file"):
            read(path)


def rewritten(path, change):
    """The same file with other entries or metadata."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        entries = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(entries, metadata)
    save_file(entries, path, metadata)


def with_config(**changes):
    """What gives a file another config."""

    def change(_, metadata):
        metadata["config"] = json.dumps({**json.loads(metadata["config"]), **changes})

    return change


def with_block(**changes):
    """The same for the sizes of a block."""

    def change(_, metadata):
        config = json.loads(metadata["config"])
        config["block"] |= changes
        metadata["config"] = json.dumps(config)

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda entries, _: entries.pop("norm.bias"), "missing 'norm.bias'"),
        (lambda entries, _: entries.update(x=torch.zeros(1)), "unexpected 'x'"),
        (
            lambda entries, _: entries.update({"norm.bias": torch.zeros(3)}),
            r"'norm.bias' has shape \(3,\), expected \(8,\)",
        ),
        (lambda _, metadata: metadata.pop("format"), "do not say format='lmn-language-model'"),
        (lambda _, metadata: metadata.update(version="2"), "has version 2 of the format"),
        (lambda _, metadata: metadata.update(config="{}"), "config in .* cannot be read: expected"),
        (lambda _, metadata: metadata.pop("config"), "config in .* cannot be read"),
        (lambda _, metadata: metadata.update(config="[" * 10**5), "it is nested too deep"),
        (with_config(init="nobody's"), "config in .* cannot be read: init must be"),
        (with_config(layers=10**9), "layers is 2 in the weights and 1000000000 in the config"),
        (with_config(vocabulary=10**8), "vocabulary is 7 in the weights and 100000000"),
        (with_block(feedforward_width=10**18), r"expected \(1000000000000000000"),
        (with_block(norm_eps=10**400), "norm_eps must be positive and finite"),
        (with_block(banks=10**6), "expected "),
        (
            lambda entries, _: entries.update({"norm.bias": torch.zeros(8, dtype=torch.int64)}),
            "'norm.bias' is of type I64, expected one of F32",
        ),
    ],
)
def test_files_that_hold_something_else_are_told(tmp_path, change, words):
    path = tmp_path / "model"
    save_model(path, make_language_model(ONE_OF_EACH[0]))
    rewritten(path, change)
    with pytest.raises(CheckpointError, match=words):
        load_model(path)


@pytest.mark.parametrize("text", [None, "", "[]", "[" * 10**5, '"notes"'])
def test_notes_that_are_none_are_told(tmp_path, text):
    path = tmp_path / "model"
    save_model(path, make_language_model(ONE_OF_EACH[0]))

    def change(_, metadata):
        metadata.pop("notes")
        if text is not None:
            metadata["notes"] = text

    rewritten(path, change)
    with pytest.raises(CheckpointError, match=r"the notes in .* cannot be read"):
        read_notes(path)


def without(*names):
    """What takes a part of a training's plain data away."""

    def change(_, metadata):
        training = json.loads(metadata["training"])
        place = training
        for name in names[:-1]:
            place = place[name]
        del place[names[-1]]
        metadata["training"] = json.dumps(training)

    return change


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The bytes of a training's file after one step."""
    training, path = Training(), tmp_path_factory.mktemp("kept") / "training"
    training.run(1)
    training.save(path, 1)
    return path.read_bytes()


def with_entry(name, entry):
    """What puts an entry into a file."""
    return lambda entries, _: entries.update({name: entry})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda _, metadata: metadata.update(training="{}"), "after which step"),
        (lambda _, metadata: metadata.update(training=""), "the training in .* cannot be read"),
        (lambda _, metadata: metadata.update(training='{"step": 1}'), "optimizer in .* cannot be"),
        (without("optimizer", "kind"), "optimizer in .* cannot be read"),
        (without("optimizer", "groups", 0, "lr"), "has no such settings as this one: lr"),
        (without("optimizer", "groups", 0, "params"), "params"),
        (without("optimizer", "groups", 0, "betas", 1), "has no such settings as this one: betas"),
        (with_entry("training.optimizer.0.exp_avg", torch.zeros(3)), r"has shape \(3,\)"),
        (lambda entries, _: entries.pop("training.optimizer.3.exp_avg"), "lacks exp_avg of some"),
        (with_entry("training.optimizer.x.exp_avg", torch.zeros(3)), "does not fit|cannot be read"),
        (with_entry("training.random.torch", torch.zeros(3)), "'torch' in .* cannot be read"),
        (
            with_entry("training.random.torch", torch.full((5056,), 255, dtype=torch.uint8)),
            "'torch' in .* cannot be read",
        ),
    ],
)
def test_a_training_that_is_broken_is_told_and_changes_nothing(kept, tmp_path, change, words):
    path = tmp_path / "training"
    path.write_bytes(kept)
    rewritten(path, change)
    other = Training(seed=1)
    before = [weight.clone() for weight in other.model.parameters()]
    random = torch.get_rng_state()
    with pytest.raises(CheckpointError, match=words):
        other.resume(path)
    assert all(map(torch.equal, before, other.model.parameters()))
    assert torch.equal(random, torch.get_rng_state())


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("block", ONE_OF_EACH, ids=name_of)
def test_shapes_told_from_the_config_are_those_of_the_weights(block, tied):
    model = make_language_model(block, tie_weights=tied)
    shapes = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    if tied:
        del shapes["head.weight"]
    assert list(weight_shapes(model.config).items()) == list(shapes.items())


def test_weights_of_other_sizes_are_told_by_the_sizes_not_one_by_one(tmp_path):
    path = tmp_path / "model"
    save_model(path, make_language_model(ONE_OF_EACH[0]))
    other = LMNLanguageModelConfig(vocabulary=9, layers=5, block=LMNConfig(width=16))

    def change(_, metadata):
        metadata["config"] = json.dumps(other.to_dict())

    rewritten(path, change)
    with pytest.raises(CheckpointError) as caught:
        load_model(path)
    message = str(caught.value)
    assert "layers is 2 in the weights and 5 in the config; vocabulary is 7" in message
    assert "'embedding.weight' has shape (7, 8), expected (9, 16)" in message
    assert "more do not fit" in message
    assert len(message) < 600


@pytest.mark.parametrize("read", [load_model, read_config, read_notes])
def test_a_folder_in_place_of_a_file_is_told(tmp_path, read):
    with pytest.raises(CheckpointError, match=f"{tmp_path} is a folder; expected a file of"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["no/such", "a/folder", "x" * 256])
def test_a_file_that_cannot_be_written_is_told_by_the_name_that_was_given(tmp_path, name):
    path = tmp_path / name
    (tmp_path / "a" / "folder").mkdir(parents=True)
    with pytest.raises(OSError, match="Errno") as caught:
        save_model(path, make_language_model(ONE_OF_EACH[0]))
    assert (caught.value.filename, caught.value.filename2) == (str(path), None)


def test_a_missing_file_is_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "nothing")


def test_a_training_of_another_kind_is_told_and_changes_nothing(tmp_path):
    path, model_only = tmp_path / "training", tmp_path / "model"
    saved = Training()
    saved.run(1)
    saved.save(path, step=1)
    save_model(model_only, saved.model)

    other = Training(seed=3, vocabulary=9)
    before = {name: weight.clone() for name, weight in other.model.state_dict().items()}
    with pytest.raises(CheckpointError, match="vocabulary is 7 there and 9 here"):
        other.resume(path)
    fresh = Training(seed=3)
    with pytest.raises(CheckpointError, match="without its training"):
        fresh.resume(model_only)
    with pytest.raises(CheckpointError, match=r"random numbers \['order', 'torch'\]"):
        resume_training(path, fresh.model, fresh.optimizer)
    with pytest.raises(CheckpointError, match=r"optimizer in .* does not fit"):
        resume_training(
            path,
            fresh.model,
            torch.optim.AdamW(list(fresh.model.parameters())[:3]),
            generators={"order": fresh.order},
        )
    with pytest.raises(CheckpointError, match="with the optimizer AdamW, and this one is SGD"):
        Training(optimizer=torch.optim.SGD).resume(path)
    with pytest.raises(ValueError, match=r"cannot be called \['torch'\]"):
        save_training(path, saved.model, saved.optimizer, step=1, generators={"torch": saved.order})
    for name, weight in other.model.state_dict().items():
        assert torch.equal(weight, before[name])


def test_a_nested_difference_of_configs_is_named(tmp_path):
    training = Training()
    training.save(tmp_path / "training", step=0)
    block = LMNConfig(width=8, heads=4, banks=2)
    model = LMNLanguageModel(LMNLanguageModelConfig(vocabulary=7, layers=2, block=block))
    with pytest.raises(CheckpointError, match=r"block.heads is 2 there and 4 here; make"):
        resume_training(tmp_path / "training", model, torch.optim.AdamW(model.parameters()))


def test_the_config_lies_in_the_file_as_plain_json(tmp_path):
    model = make_language_model(ONE_OF_EACH[1])
    save_model(tmp_path / "model", model)
    with safe_open(tmp_path / "model", framework="pt") as file:
        assert json.loads(file.metadata()["config"]) == model.config.to_dict()
