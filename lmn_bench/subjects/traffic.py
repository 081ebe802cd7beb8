"""How many bytes a builtin subject has to move at least, worked out from its sizes alone.

The conventions are those of `lmn.cost`: the tensors named here are written once and read once, and
all else stays inside a fused operation. In vectors of `width`, for one layer and sequence:

| subject | a sequence of n tokens from nothing | the step after n tokens |
|---|---|---|
| LMN family | `lmn.cost.prefill_bytes` | `lmn.cost.decode_bytes` |
| lmn-published | input, output; new nodes written and read; per token all its slots, their \
keys and their values written and read; nodes of the state | token, output; nodes read, their keys \
and values written and read; nodes that change written, nodes that waited read |
| transformer | input, output; keys and values written and read | token, output; its key and value \
written; n + 1 keys and values read |
| recurrent | input, output; state written | token, output; state read and written |

Parameters come on top, once per call and layer. Training moves three times as much as prefill: the
same again in backward, and as many gradients.
"""

from __future__ import annotations

from typing import Final

from lmn import cost, tree
from lmn_bench.schema import ModelSpec
from lmn_bench.subjects.names import LMN_FAMILY
from lmn_bench.subjects.sizes import (
    RECURRENT_STATE_VECTORS,
    lmn_config,
    over_steps,
    parameters,
    require_mode,
    segment_runs,
)

TRAINING_FACTOR: Final = 3


def bytes_moved(
    subject: str, spec: ModelSpec, mode: str, length: int, batch: int = 1, itemsize: int = 4
) -> int:
    """Bytes of one call: a sequence of `length` tokens, or the one step after `length` tokens.

    Raises:
        SubjectError: the subject lacks the mode.
        UnknownNameError: no builtin subject, or no mode, has this name.
    """
    require_mode(subject, mode)
    if mode == "stream":
        return over_steps(subject, lambda seen: _step(subject, spec, seen, batch, itemsize), length)
    if mode == "decode":
        return _step(subject, spec, length, batch, itemsize)
    if mode == "read":
        return _read(subject, spec, length, batch, itemsize)
    factor = TRAINING_FACTOR if mode == "train" else 1
    return factor * _sequence(subject, spec, 0, length, batch, itemsize)


def window_bytes_moved(
    subject: str, spec: ModelSpec, length: int, window: int, batch: int = 1, itemsize: int = 4
) -> float:
    """Bytes of a decoded token, the mean over the `window` steps after `length` tokens."""
    steps = range(length, length + window)
    return sum(_step(subject, spec, seen, batch, itemsize) for seen in steps) / window


def _sequence(
    subject: str, spec: ModelSpec, before: int, tokens: int, batch: int, itemsize: int
) -> int:
    """Bytes of a forward pass over `tokens` tokens after `before`."""
    if subject in LMN_FAMILY and subject != "lmn-published":
        config = lmn_config(subject, spec)
        return spec.layers * cost.prefill_bytes(config, tokens, batch, itemsize, before)
    if subject == "lmn-published":
        made = sum(
            tree.newest_node(tokens, level) * tree.rows_per_node(level, spec.banks, 0)
            for level in range(1, tree.level_count(tokens) + 1)
        )
        slots = tree.slot_count(tokens, spec.banks, 0)
        # Early tokens have fewer slots; the tensor has room for as many as the last one has.
        vectors = 2 * tokens + 2 * made + 6 * tokens * slots + slots
    elif subject == "transformer":
        vectors = (2 + 4) * tokens
    else:
        vectors = 2 * tokens + RECURRENT_STATE_VECTORS[subject] * (2 if before else 1)
    return itemsize * (parameters(subject, spec) + spec.layers * batch * vectors * spec.width)


def _read(subject: str, spec: ModelSpec, length: int, batch: int, itemsize: int) -> int:
    """Bytes of a sequence in segments; nodes are made at places of their own, so counted apart."""
    runs = list(segment_runs(length))
    total = sum(
        times * _sequence(subject, spec, before, tokens, batch, itemsize)
        for before, tokens, times in runs
    )
    if subject not in LMN_FAMILY:
        return total
    config = lmn_config(subject, spec)
    told = sum(times * cost.made_rows(config, first, first + n) for first, n, times in runs)
    more = 2 * batch * spec.width * (cost.made_rows(config, 0, length) - told)
    return total + spec.layers * cost.state_itemsize(itemsize) * more


def _step(subject: str, spec: ModelSpec, seen: int, batch: int, itemsize: int) -> int:
    """Bytes of the one step after `seen` tokens."""
    if subject in LMN_FAMILY and subject != "lmn-published":
        config = lmn_config(subject, spec)
        return spec.layers * cost.decode_bytes(config, seen, batch, itemsize)
    weights = parameters(subject, spec)
    if subject == "lmn-published":
        merges = tree.merges_at(seen + 1)
        rows = [tree.rows_per_node(level, spec.banks, 0) for level in range(merges + 1)]
        slots = tree.slot_count(seen + 1, spec.banks, 0)
        vectors = 2 + 5 * slots + sum(rows) + sum(rows[:-1])
        if not merges:
            config = lmn_config(subject, spec)
            weights -= spec.layers * cost.summarizer_parameter_count(config)
    elif subject == "transformer":
        vectors = 2 + 2 + 2 * (seen + 1)
    else:
        vectors = 2 + 2 * RECURRENT_STATE_VECTORS[subject]
    return itemsize * (weights + spec.layers * batch * vectors * spec.width)
