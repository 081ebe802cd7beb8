"""The names of the builtin subjects, for listings and checks that must not load torch."""

from __future__ import annotations

from typing import Final

from lmn.config import INITS
from lmn_bench.errors import SubjectError, UnknownNameError

BUILTIN: dict[str, str] = {
    "lmn": "Logarithmic Memory Network, linear summarizer",
    "lmn-conv": "the same map as lmn, as a convolution grouped by bank: an A/A check",
    "lmn-expander": "Logarithmic Memory Network whose nodes gain vectors with every level",
    "lmn-published": "the linear Logarithmic Memory Network, computed the way it was published",
    "transformer": "pre-norm attention with rotary positions, fused kernels, a key-value cache",
    "lstm": "torch's fused LSTM; one cell at a time when decoding",
    "gru": "torch's GRU; one cell at a time when decoding",
    "rnn": "torch's tanh RNN; one cell at a time when decoding",
}
# What a builtin subject cannot be measured in, and why.
LACKING: dict[tuple[str, str], str] = {
    ("lmn-published", "read"): "its parallel form starts from nothing only",
    ("transformer", "read"): "its cache grows with the length, and so does its memory",
}
# Whose decode can run as CUDA graphs.
WITH_CUDA_GRAPHS = frozenset({"lmn", "lmn-conv", "lmn-expander"})
LMN_FAMILY = frozenset({"lmn", "lmn-conv", "lmn-expander", "lmn-published"})
# The models of mode learn: the same blocks between an embedding and a head.
LEARNERS: dict[str, str] = {
    "lmn": BUILTIN["lmn"],
    "lmn-conv": BUILTIN["lmn-conv"],
    "lmn-expander": BUILTIN["lmn-expander"],
    "lmn-published": "the linear Logarithmic Memory Network, computed and drawn as published",
    "transformer": BUILTIN["transformer"],
    "transformer-learned": "the same attention with a learned vector for every position",
    "lstm": BUILTIN["lstm"],
    "gru": BUILTIN["gru"],
    "rnn": BUILTIN["rnn"],
}
# How the weights of an LMN are drawn if nothing is said: that of its name, else the first.
DEFAULT_INIT: Final = "default"
_INIT_OF: Final = {"lmn-published": "published"}


def split_init(subject: str) -> tuple[str, str]:
    """A learner's name and how its weights are drawn: "lmn@published" -> ("lmn", "published").

    Without "@" that is "default", but for `lmn-published`, which is the published model in its
    weights too. Names are not looked up here: any other learner comes with "default".

    Raises:
        SubjectError: a learner that is no LMN names a way of drawing weights.
        UnknownNameError: there is no such way.
    """
    name, mark, init = subject.partition("@")
    if not mark:
        return subject, _INIT_OF.get(subject, DEFAULT_INIT)
    if name not in LMN_FAMILY:
        raise SubjectError(
            f"{subject}: only an LMN can be told how its weights are drawn, and {name} is none",
            f"write {name}",
        )
    if init not in INITS:
        raise UnknownNameError("init", init, INITS)
    return name, init


def is_user_subject(subject: str) -> bool:
    """Whether a name stands for a user's own model: "package.module:factory"."""
    return ":" in subject
