"""The names of the builtin subjects, for listings and checks that must not load torch."""

from __future__ import annotations

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


def is_user_subject(subject: str) -> bool:
    """Whether a name stands for a user's own model: "package.module:factory"."""
    return ":" in subject
