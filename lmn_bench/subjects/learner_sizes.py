"""How large the models of mode learn are: parameters and bytes of state, exactly, without torch.

A learner is an embedding, blocks, a final norm and a linear head; with learned positions also a
vector for each of them; with tied weights embedding and head are one table. All learners of a size
have the same budget of parameters, all these parts included, and spend on the feed-forward part
what the others leave. Tests hold every number against what is counted on the real models.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Final

from lmn_bench.errors import SubjectError, UnknownNameError
from lmn_bench.schema import ModelSpec
from lmn_bench.subjects import sizes
from lmn_bench.subjects.names import LEARNERS, split_init

LEARNED_POSITIONS: Final = "transformer-learned"


def learner_parameters(
    subject: str, spec: ModelSpec, vocabulary: int, length: int, inner: int, *, tied: bool = False
) -> int:
    """Trainable numbers of a whole learner whose feed-forward parts are `inner` wide.

    Args:
        subject: a builtin learner; "lmn@published" counts as "lmn".
        spec: sizes of its blocks.
        vocabulary: different tokens.
        length: of the longest sequence, which learned positions have a vector for.
        inner: hidden features of the feed-forward part.
        tied: whether embedding and head are one table.

    Raises:
        UnknownNameError: no builtin learner has this name.
        SubjectError: the sizes don't fit together.
    """
    name = learner_name(subject)
    width = spec.width
    tables, bias, norm = (1 if tied else 2) * vocabulary * width, vocabulary, 2 * width
    positions = length * width if name == LEARNED_POSITIONS else 0
    blocks = spec.layers * sizes.block_parameters(_block_of(name), spec, inner)
    return tables + positions + blocks + norm + bias


@lru_cache(maxsize=1024)
def learner_feedforward_width(
    subject: str,
    spec: ModelSpec,
    *,
    vocabulary: int,
    length: int,
    budget: int | None,
    tied: bool = False,
) -> int:
    """Inner width of the feed-forward parts that makes a learner as large as the budget.

    Args:
        subject: a builtin learner; "lmn@published" counts as "lmn".
        spec: sizes of its blocks.
        vocabulary: different tokens.
        length: of the longest sequence.
        budget: parameters in all; `None` means those of `lmn` of the same sizes, whose feed-forward
            part is 4 times its width.
        tied: whether embedding and head are one table.

    Raises:
        SubjectError: no width gives that many parameters within `PARAMETER_TOLERANCE`.
        UnknownNameError: no builtin learner has this name.
    """
    usual = sizes.REFERENCE_WIDENING * spec.width
    wanted = budget
    if wanted is None:
        wanted = learner_parameters(sizes.REFERENCE, spec, vocabulary, length, usual, tied=tied)
    count = partial(learner_parameters, subject, spec, vocabulary, length, tied=tied)
    inner, found = sizes.search_width(count, wanted, usual)
    if sizes.is_near(found, wanted):
        return inner
    raise SubjectError(
        f"{subject} cannot have {wanted:,} parameters at {spec.label}, vocabulary {vocabulary:,} "
        f"and length {length:,}: it comes no nearer than {found:,}, which is not within "
        f"{sizes.PARAMETER_TOLERANCE:.0%}",
        "choose other sizes"
        if budget is None
        else f"leave parameters out, for as many as lmn has, or set parameters = {found}",
    )


def learner_state_bytes(subject: str, spec: ModelSpec, length: int) -> int:
    """Bytes that must be kept to go on after `length` tokens: one sequence, float32.

    As `sizes.state_bytes`: of an LMN the newest nodes, of attention all keys and values, of a
    recurrent net its vectors. The tables of tokens and positions are weights, not state.

    Raises:
        UnknownNameError: no builtin learner has this name.
        SubjectError: the sizes don't fit together.
    """
    return sizes.state_bytes(_block_of(learner_name(subject)), spec, length)


def learner_name(subject: str) -> str:
    """The builtin learner that is meant: "lmn@published" -> "lmn".

    Raises:
        UnknownNameError: no builtin learner, or no way of drawing weights, has this name.
        SubjectError: a learner that is no LMN names a way of drawing weights.
    """
    name, _ = split_init(subject)
    if name not in LEARNERS:
        raise UnknownNameError(
            "learner", name, LEARNERS, '; your own model is "package.module:factory"'
        )
    return name


def _block_of(name: str) -> str:
    """The builtin subject whose blocks a learner is made of."""
    return "transformer" if name == LEARNED_POSITIONS else name
