"""Numbers of tokens: checked, made into tensors, looked up in an embedding, and predicted."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

Tokens = Tensor | Sequence[int] | Sequence[Sequence[int]]


def check_tokens(tokens: Tensor, axes: tuple[str, ...]) -> None:
    """Raise unless `tokens` are integers with the named axes, none of them empty.

    Raises:
        ValueError: the shape is another.
        TypeError: they are no int32 or int64.
    """
    if tokens.dim() != len(axes) or 0 in tokens.shape:
        raise ValueError(
            f"expected tokens ({', '.join(axes)}), at least one along each axis, got shape "
            f"{tuple(tokens.shape)}"
        )
    if tokens.dtype not in (torch.int32, torch.int64):
        raise TypeError(f"tokens must be int64 or int32, got {tokens.dtype}; try tokens.long()")


def check_asked(tokens: Tensor, asked: Tensor) -> None:
    """Raise unless `asked` says of each of `tokens` whether something is asked, and of one it is.

    Raises:
        ValueError: the shapes differ, or nothing is asked.
        TypeError: `asked` are no bools.
    """
    if asked.shape != tokens.shape:
        raise ValueError(
            f"asked says of each token whether logits are wanted, got asked {tuple(asked.shape)} "
            f"for tokens {tuple(tokens.shape)}"
        )
    if asked.dtype != torch.bool:
        raise TypeError(f"asked must be bool, got {asked.dtype}; try asked.bool()")
    if not asked.any():
        raise ValueError("nothing is asked: set asked to True where logits are wanted")


def mean_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy in nats, the mean over all predictions; a scalar of float32 at least.

    Args:
        logits: (predictions, vocabulary).
        targets: (predictions,) integers below the vocabulary.
    """
    # half precision would round the sum over the vocabulary
    logits = logits.float() if logits.dtype.itemsize < torch.float32.itemsize else logits
    return F.cross_entropy(logits, targets)


def embed(tokens: Tensor, weight: Tensor) -> Tensor:
    """Rows of `weight` (vocabulary, width) for each token; on a GPU, CUDA itself checks numbers.

    Raises:
        ValueError: a number lies outside the vocabulary.
    """
    try:
        return F.embedding(tokens, weight)
    except IndexError:
        raise _outside("tokens", tokens, len(weight)) from None


def token_rows(given: Tokens, vocabulary: int, name: str) -> Tensor:
    """Checked tokens as a tensor (rows, tokens) int64, where they lie; a single row may come bare.

    Args:
        given: a tensor, or numbers in lists.
        vocabulary: numbers lie below it.
        name: of the argument, for errors.

    Raises:
        ValueError: rows of different lengths, none, or tokens outside the vocabulary.
        TypeError: they are no integers.
    """
    try:
        tokens = torch.as_tensor(given)
    except (RuntimeError, TypeError):
        # torch's words for what no number is made of, such as None or a text
        raise TypeError(
            f"{name} must be integers, in a tensor or in lists, got {given!r}; encode text first"
        ) from None
    except ValueError as error:
        raise ValueError(
            f"{name} must be integers in rows of the same length, and torch says: {error}; run "
            "prompts of different lengths one by one"
        ) from None
    tokens = tokens[None] if tokens.dim() == 1 else tokens
    if not tokens.numel():
        raise ValueError(f"{name} must have at least one token, got none; give a start token")
    check_tokens(tokens, ("batch", "tokens"))
    if tokens.min() < 0 or tokens.max() >= vocabulary:
        raise _outside(name, tokens, vocabulary)
    return tokens.long()


def _outside(name: str, tokens: Tensor, vocabulary: int) -> ValueError:
    return ValueError(
        f"{name} must lie between 0 and {vocabulary - 1}, got numbers from {tokens.min().item()} "
        f"to {tokens.max().item()}; encode the text with the vocabulary that the model was made for"
    )
