"""Settings of a training: presets, config files, options, and every mistake in them."""

from __future__ import annotations

import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest

from lmn_bench.cli.train_run import Request, chosen_settings
from lmn_bench.errors import TrainingFileError, UnitError, UnknownNameError, UsageError
from lmn_bench.learning.settings import PRESETS, PUBLISHED, QUICK
from lmn_bench.learning.settings_file import check_settings


def request(preset=None, config=None, options=None, settings=()):
    return Request(preset, config, options or {}, settings, Path("x"), resume=False, force=False)


def problems_of(given, origins=()):
    with pytest.raises(TrainingFileError) as caught:
        check_settings(given, QUICK, "my.toml", dict(origins))
    return {problem.place: problem for problem in caught.value.problems}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_what_a_config_file_may_say(name):
    preset = PRESETS[name]
    assert check_settings(asdict(preset), QUICK, name, {}) == preset


def test_the_published_preset_is_the_published_training():
    found = (PUBLISHED.width, PUBLISHED.heads, PUBLISHED.layers, PUBLISHED.banks, PUBLISHED.batch,
             PUBLISHED.length, PUBLISHED.steps, PUBLISHED.learning_rate)  # fmt: skip
    assert found == (32, 4, 4, 2, 16, 512, 5000, 1e-3)


def test_options_go_before_the_config_and_the_config_before_the_preset(tmp_path):
    config = tmp_path / "my.toml"
    config.write_text("width = 64\nsteps = 7\nlearning_rate = 1\n")
    asked = request("published", config, {"steps": 9}, ("layers=3", "init=sharp"))
    settings, given = chosen_settings(asked)
    assert (settings.width, settings.steps, settings.layers, settings.init) == (64, 9, 3, "sharp")
    assert settings.learning_rate == 1.0
    assert settings.length == PUBLISHED.length
    # a preset that was named has to be kept by a training that is resumed
    assert "length" in given


def test_what_nobody_named_is_not_given():
    assert chosen_settings(request(options={"seed": 3}))[1] == ["seed"]


def test_the_path_of_a_corpus_holds_from_any_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert chosen_settings(request(options={"corpus": "a.txt"}))[0].corpus == str(
        tmp_path / "a.txt"
    )
    assert chosen_settings(request(options={"corpus": "python-docs"}))[0].corpus == "python-docs"


def test_all_mistakes_of_a_config_are_told_at_once_with_what_to_do():
    found = problems_of(tomllib.loads(
        'widht = 3\nbatch = 0\nsteps = 1.5\ninit = "shap"\nlearning_rate = nan\ncorpus = 5\n'
        "seed = true\n"
    ))  # fmt: skip
    assert set(found) == {"widht", "batch", "steps", "init", "learning_rate", "corpus", "seed"}
    assert found["widht"].hint == "did you mean 'width'?"
    assert found["init"].hint == "did you mean 'sharp'?"
    assert found["batch"].message == "expected greater than or equal to 1, got 0"
    assert "python-docs" in found["corpus"].hint


def test_keys_that_do_not_agree_are_told_where_they_were_given():
    found = problems_of({"heads": 5, "expansion": 2}, {"heads": "--set heads"})
    assert found["--set heads"].message == "5 heads do not divide a width of 32"
    assert "expander" in found["expansion"].hint


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        (request("publishd"), UnknownNameError, "unknown preset 'publishd'"),
        (request(settings=("witdh=3",)), UnknownNameError, "unknown key 'witdh'"),
        (request(settings=("width",)), UsageError, "expected KEY=VALUE"),
        (request(settings=("learning_rate=0,001",)), UnitError, "a comma is no decimal point"),
        (request(settings=("width=wide",)), TrainingFileError, "the command line has a mistake"),
        (request(config=Path("none.toml")), TrainingFileError, "none.toml has a mistake"),
    ],
)
def test_a_wrong_option_is_refused(asked, error, words):
    with pytest.raises(error, match=words):
        chosen_settings(asked)


def test_counts_read_as_people_write_them():
    settings, _ = chosen_settings(request(settings=("length=1K", "steps=1e4", "batch=2^3")))
    assert (settings.length, settings.steps, settings.batch) == (1024, 10_000, 8)


def test_a_file_that_is_no_toml_is_named(tmp_path):
    config = tmp_path / "my.toml"
    config.write_text("width 64")
    with pytest.raises(TrainingFileError) as caught:
        chosen_settings(request(config=config))
    assert "is not valid TOML" in caught.value.problems[0].message
