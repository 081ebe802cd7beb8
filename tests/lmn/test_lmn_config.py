"""A configuration is checked when it is made, and says what was expected, what came, what to do."""

import dataclasses

import pytest

from lmn.config import LMNConfig


def test_defaults_are_those_of_the_paper():
    config = LMNConfig(width=32)
    assert (config.heads, config.banks, config.summarizer, config.expansion) == (1, 1, "linear", 0)
    assert config.hidden_width == 128
    assert LMNConfig(width=32, heads=4).head_width == 8
    assert LMNConfig(width=32, feedforward_width=7).hidden_width == 7


def test_configuration_is_frozen_and_comparable():
    config = LMNConfig(width=8)
    assert config == LMNConfig(width=8)
    assert hash(config) == hash(LMNConfig(width=8))
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.width = 9


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"width": 0}, ValueError, "width must be at least 1, got 0"),
        ({"width": 8, "heads": -2}, ValueError, "heads must be at least 1, got -2"),
        ({"width": 8.0}, TypeError, r"width must be an integer.*8\.0 of type float"),
        ({"width": True}, TypeError, "width must be an integer.*True of type bool"),
        ({"width": "8"}, TypeError, "'8' of type str"),
        ({"width": 8, "banks": 0}, ValueError, "banks must be at least 1, got 0"),
        ({"width": 8, "feedforward_width": 0}, ValueError, "feedforward_width must be at least 1"),
        ({"width": 32, "heads": 5}, ValueError, "5 does not divide 32.*nearest.* 4"),
        ({"width": 32, "heads": 40}, ValueError, "40 does not divide 32.*nearest.* 32"),
        ({"width": 10**9, "heads": 3}, ValueError, "3 does not divide 1000000000.*nearest.* 2"),
        ({"width": 8, "summarizer": "linaer"}, ValueError, "did you mean 'linear'"),
        ({"width": 8, "summarizer": "zzz"}, ValueError, "'linear' or 'conv' or 'expander'"),
        ({"width": 8, "summarizer": None}, TypeError, "summarizer must be 'linear'"),
        ({"width": 8, "expansion": 2}, ValueError, "expansion=2 needs summarizer='expander'"),
        (
            {"width": 8, "summarizer": "expander", "expansion": -1},
            ValueError,
            "expansion must be at least 0",
        ),
        ({"width": 8, "conv_groups": "mix"}, ValueError, "'mix' needs summarizer='conv'"),
        (
            {"width": 8, "summarizer": "conv", "conv_groups": "banks"},
            ValueError,
            "did you mean 'bank'",
        ),
        ({"width": 8, "norm_eps": 0}, ValueError, "norm_eps must be positive"),
        ({"width": 8, "norm_eps": float("nan")}, ValueError, "norm_eps must be positive"),
        ({"width": 8, "norm_eps": "1e-6"}, TypeError, "norm_eps must be a positive number"),
    ],
)
def test_mistakes_are_told(settings, error, words):
    with pytest.raises(error, match=words):
        LMNConfig(**settings)
