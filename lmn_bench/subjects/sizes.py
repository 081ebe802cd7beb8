"""How much of everything a builtin subject has: parameters, FLOPs, slots, bytes of state. Exact.

Worked out from the sizes alone, without torch. Tests hold every number against what is counted on
the real models. FLOPs are additions and multiplications of matrix products, 2 m n k; element-wise
work is not counted. Causal attention counts the half of the score matrix that a fused kernel
computes, n (n + 1) / 2 pairs; the LMN's small masked attentions count in full, because they are
computed in full.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache, partial
from typing import Final

from lmn import cost, tree
from lmn.config import LMNConfig
from lmn_bench.errors import SubjectError, UnknownNameError
from lmn_bench.schema import MODES, ModelSpec
from lmn_bench.subjects.names import BUILTIN, LACKING, LMN_FAMILY

# All subjects of a size have as many parameters as the reference, within this share.
PARAMETER_TOLERANCE: Final = 0.01
REFERENCE: Final = "lmn"
REFERENCE_WIDENING: Final = 4
# Matrix kernels like widths in round multiples: the first one that keeps to the tolerance is taken.
ROUND_WIDTHS: Final = (16, 8, 4, 2, 1)

# Tokens that `read` takes at once. Longer segments need more working memory, shorter ones spend a
# larger share of their time on what every call costs.
SEGMENT_TOKENS: Final = 4096

# Gates of a recurrent layer: each has an input and a hidden matrix, and a bias for both.
GATES: Final = {"lstm": 4, "gru": 3, "rnn": 1}
RECURRENT_STATE_VECTORS: Final = {"lstm": 2, "gru": 1, "rnn": 1}

# Backward runs two products for each linear one, and five for attention's two.
TRAINING_FACTOR: Final = 3
ATTENTION_TRAINING_FACTOR: Final = 3.5


def lmn_config(subject: str, spec: ModelSpec) -> LMNConfig:
    """The configuration of one block of an LMN subject.

    Raises:
        SubjectError: the sizes don't fit together.
    """
    return replace(lmn_shape(subject, spec), feedforward_width=feedforward_width(subject, spec))


def lmn_shape(subject: str, spec: ModelSpec) -> LMNConfig:
    """As `lmn_config`, before the feed-forward part is sized.

    Raises:
        SubjectError: the sizes don't fit together.
    """
    try:
        if subject == "lmn-expander":
            return LMNConfig(
                width=spec.width, heads=spec.heads, banks=spec.banks,
                summarizer="expander", expansion=spec.expansion,
            )  # fmt: skip
        return LMNConfig(
            width=spec.width, heads=spec.heads, banks=spec.banks,
            summarizer="conv" if subject == "lmn-conv" else "linear",
        )  # fmt: skip
    except (TypeError, ValueError) as error:
        raise SubjectError(f"{subject} cannot be built: {error}") from error


def block_parameters(subject: str, spec: ModelSpec, inner: int) -> int:
    """Parameters of one block whose feed-forward part is `inner` wide."""
    width = spec.width
    if subject in LMN_FAMILY:
        return cost.parameter_count(replace(lmn_shape(subject, spec), feedforward_width=inner))
    if subject == "transformer":
        mixer = 4 * (width * width + width)
    else:
        mixer = GATES[subject] * 2 * (width * width + width)
    norms, feedforward = 2 * width, 2 * width * inner + inner + width
    return mixer + norms + feedforward


def search_width(count: Callable[[int], int], wanted: int, preferred: int) -> tuple[int, int]:
    """The inner width of feed-forward parts that gives a model `wanted` parameters, or nearly.

    `preferred` where it gives exactly that many, else the roundest width within
    `PARAMETER_TOLERANCE`.

    Args:
        count: parameters at an inner width, which has to grow by the same number with each feature.
        wanted: parameters.
        preferred: an inner width.

    Returns:
        The inner width and the parameters that it gives: the nearest if none is within the
        tolerance, which `is_near` tells.
    """
    if count(preferred) == wanted:
        return preferred, wanted
    exact = 1 + (wanted - count(1)) / (count(2) - count(1))
    for multiple in ROUND_WIDTHS:
        inner = max(1, multiple * round(exact / multiple))
        found = count(inner)
        if is_near(found, wanted):
            break
    return inner, found


def is_near(found: int, wanted: int) -> bool:
    """Whether one number of parameters is another within `PARAMETER_TOLERANCE`."""
    return abs(found - wanted) <= PARAMETER_TOLERANCE * wanted


@lru_cache(maxsize=1024)
def feedforward_width(subject: str, spec: ModelSpec) -> int:
    """Inner width of the feed-forward part that makes `subject` as large as the reference.

    The reference is `lmn` of the same sizes, whose feed-forward part is 4 times its width.

    Raises:
        SubjectError: no width gives that many parameters within `PARAMETER_TOLERANCE`.
        UnknownNameError: no builtin subject has this name.
    """
    _require_builtin(subject)
    usual = REFERENCE_WIDENING * spec.width
    wanted = block_parameters(REFERENCE, spec, usual)
    inner, found = search_width(partial(block_parameters, subject, spec), wanted, usual)
    if is_near(found, wanted):
        return inner
    raise SubjectError(
        f"{subject} cannot be as large as {REFERENCE} at {spec.label}: {REFERENCE} has {wanted:,} "
        f"parameters a layer, and {subject} comes no nearer than {found:,}, which is not within "
        f"{PARAMETER_TOLERANCE:.0%}",
        "use more width" + (", or less expansion" if subject == "lmn-expander" else ""),
    )


def parameters(subject: str, spec: ModelSpec) -> int:
    """Trainable numbers of the whole subject."""
    inner = feedforward_width(subject, spec)
    return spec.layers * block_parameters(subject, spec, inner)


def slots(subject: str, spec: ModelSpec, length: int) -> int | None:
    """Vectors that token `length` (from 1) attends to; `None` for recurrent subjects."""
    _require_builtin(subject)
    if subject in LMN_FAMILY:
        return cost.slot_count(lmn_shape(subject, spec), length)
    return length if subject == "transformer" else None


def state_bytes(
    subject: str, spec: ModelSpec, length: int, batch: int = 1, itemsize: int = 4
) -> int:
    """Bytes that must be kept to decode on after `length` tokens, as the implementation keeps them.

    For an LMN, what prefill hands on: the newest nodes, in float32 at least; the published form
    keeps them in the weights' type. A decoder keeps keys and values too,
    `lmn.cost.decode_state_bytes`.
    """
    _require_builtin(subject)
    if subject == "lmn-published":
        nodes = cost.slot_count(lmn_shape(subject, spec), length)
        return spec.layers * batch * nodes * spec.width * itemsize
    if subject in LMN_FAMILY:
        config = lmn_shape(subject, spec)
        return spec.layers * cost.state_bytes(config, length, batch, itemsize)
    vectors = 2 * length if subject == "transformer" else RECURRENT_STATE_VECTORS[subject]
    return spec.layers * batch * vectors * spec.width * itemsize


def flops(subject: str, spec: ModelSpec, mode: str, length: int, batch: int = 1) -> int:
    """FLOPs of one call: a sequence of `length` tokens, or the one step after `length` tokens.

    For an LMN a step's work depends on the number of zeros at the end of its token's number;
    `window_flops` gives the mean of many.

    Training counts 3 products for each forward one outside of fused attention. GRU and RNN are as
    on the CPU, where torch runs them step by step and leaves out one of the hidden products: the
    gradient of the zero state.

    Raises:
        SubjectError: the subject lacks the mode.
        UnknownNameError: no builtin subject, or no mode, has this name.
    """
    require_mode(subject, mode)
    if mode == "stream":
        return over_steps(subject, lambda seen: flops(subject, spec, "decode", seen, batch), length)
    if mode == "read":
        return _read_flops(subject, spec, length, batch)
    if subject in LMN_FAMILY and subject != "lmn-published":
        config = lmn_config(subject, spec)
        of_mode = {
            "train": cost.training_flops,
            "prefill": cost.prefill_flops,
            "decode": cost.decode_flops,
        }
        # products of weights with weights come once, whatever the batch
        return spec.layers * of_mode[mode](config, length, batch)
    if subject == "lmn-published":
        block = _published_flops(spec, mode, length)
    else:
        block = _baseline_flops(subject, spec, mode, length)
    return spec.layers * batch * block


def segment_runs(length: int, period: int = 1) -> Iterator[tuple[int, int, int]]:
    """What `read` takes at once, alike segments told once: tokens before, tokens, how many.

    Alike are whole segments of `SEGMENT_TOKENS` whose tokens see as many levels, and of which the
    same number in a `period` ends. There are a few for every doubling of the length.
    """
    whole, rest = divmod(length, SEGMENT_TOKENS)
    number = 0
    while number < whole:
        # up to the segment before the one whose last token is a power of two
        octave = min((1 << number.bit_length()) - 1, whole)
        ends = octave // period - number // period
        for first, times in (
            (number, octave - number - ends),
            (-(-(number + 1) // period) * period - 1, ends),
        ):
            if times:
                yield first * SEGMENT_TOKENS, SEGMENT_TOKENS, times
        if octave < whole:
            yield octave * SEGMENT_TOKENS, SEGMENT_TOKENS, 1
        number = octave + 1
    if rest:
        yield whole * SEGMENT_TOKENS, rest, 1


def over_steps(subject: str, step: Callable[[int], int], length: int) -> int:
    """The sum of `step` over 0 .. `length` - 1 tokens seen, without asking for each of them.

    Args:
        subject: whose steps they are: of an LMN they differ by levels and merges alone, of
            attention they grow by the same number with every token, of a recurrence all are alike.
        step: what the step after so many tokens takes.
        length: of the stream.
    """
    if subject not in LMN_FAMILY:
        return (step(0) + step(length - 1)) * length // 2
    total = 0
    for level in range(length.bit_length()):
        first, last = 1 << level, min((2 << level) - 1, length)
        for merges in range(level + 1):
            # of all multiples of 2^merges, those that are none of twice as much
            unit = 1 << merges
            count = _multiples(first, last, unit) - _multiples(first, last, 2 * unit)
            if count:
                total += count * step((first if merges == level else first + unit) - 1)
    return total


def _multiples(first: int, last: int, of: int) -> int:
    return last // of - (first - 1) // of


def _read_flops(subject: str, spec: ModelSpec, length: int, batch: int) -> int:
    if subject not in LMN_FAMILY:
        return sum(
            times * segment_flops(subject, spec, before, tokens, batch)
            for before, tokens, times in segment_runs(length)
        )
    config = lmn_config(subject, spec)
    total = batch * cost.tree_flops(config, 0, length)
    # a block's own segments may be longer, and end in some of these
    period = max(1, tree.segment_tokens(batch, spec.width) // SEGMENT_TOKENS)
    for before, tokens, times in segment_runs(length, period):
        segment = cost.prefill_flops(config, tokens, batch, before)
        total += times * (segment - batch * cost.tree_flops(config, before, before + tokens))
    return spec.layers * total


def segment_flops(
    subject: str, spec: ModelSpec, tokens_before: int, tokens: int, batch: int = 1
) -> int:
    """FLOPs of one segment of `read`."""
    if subject in LMN_FAMILY:
        config = lmn_config(subject, spec)
        return spec.layers * cost.prefill_flops(config, tokens, batch, tokens_before)
    # A recurrence does the same for every token.
    return flops(subject, spec, "prefill", tokens, batch)


def window_flops(subject: str, spec: ModelSpec, length: int, window: int, batch: int = 1) -> float:
    """FLOPs of a decoded token, the mean over the `window` steps after `length` tokens."""
    steps = range(length, length + window)
    return sum(flops(subject, spec, "decode", seen, batch) for seen in steps) / window


def _baseline_flops(subject: str, spec: ModelSpec, mode: str, length: int) -> int:
    width, inner = spec.width, feedforward_width(subject, spec)
    tokens = 1 if mode == "decode" else length
    mixer = 4 if subject == "transformer" else 2 * GATES[subject]
    linear = 2 * tokens * (mixer * width * width + 2 * width * inner)
    pairs = 0
    if subject == "transformer":
        pairs = length + 1 if mode == "decode" else length * (length + 1) // 2
    attention = 4 * pairs * width
    if mode == "train":
        skipped = 2 * GATES[subject] * width * width if subject in ("gru", "rnn") else 0
        return TRAINING_FACTOR * linear - skipped + int(ATTENTION_TRAINING_FACTOR * attention)
    return linear + attention


def _published_flops(spec: ModelSpec, mode: str, length: int) -> int:
    """Every slot of every token is projected to a key and a value, and attended to."""
    width, inner = spec.width, feedforward_width("lmn-published", spec)
    last = length + 1 if mode == "decode" else length
    tokens = 1 if mode == "decode" else length
    merges = tree.merges_at(last) if mode == "decode" else _nodes_made(length)
    rows = tokens * tree.slot_count(last, spec.banks, 0)
    per_row = 4 * width * width + 4 * width
    per_token = 4 * width * width + 4 * width * inner
    total = rows * per_row + tokens * per_token + merges * spec.banks * 4 * width * width
    return total * TRAINING_FACTOR if mode == "train" else total


def _nodes_made(length: int) -> int:
    """Nodes above level 0 after `length` tokens."""
    return sum(tree.newest_node(length, level) for level in range(1, length.bit_length()))


def require_mode(subject: str, mode: str) -> None:
    """Make sure that a builtin subject can be measured in a mode.

    Raises:
        SubjectError: it can't, and why.
        UnknownNameError: no builtin subject, or no mode, has this name.
    """
    _require_builtin(subject)
    if mode not in MODES:
        raise UnknownNameError("mode", mode, MODES)
    if (subject, mode) in LACKING:
        raise SubjectError(f"{subject} has no {mode}: {LACKING[subject, mode]}")


def _require_builtin(subject: str) -> None:
    if subject not in BUILTIN:
        raise UnknownNameError("builtin subject", subject, BUILTIN)
