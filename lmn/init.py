"""How the weights of a language model are drawn before training: named schemes, one function each.

What differs is the summarizer above all. One set of its weights is applied once per level, so a
gain of g per merge makes a token's signal g^i at level i: at g = 0.025, as published at width 32,
level 6 hears 2e-10 of a token, at g > 1 it drowns in it. All schemes but `published` therefore give
the merge a chosen gain. Biases of summarizers are zero except in `published`; everything that a
scheme does not name is drawn as torch draws it (`nn.Linear`, `nn.Embedding`, norms of ones).

With tied weights the embedding is drawn with variance 1 / width, so that logits begin with variance
1: torch's own embedding has variance 1.

results/evidence/init.md has the table of how well models learn from each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

from lmn.summarizers import ExpanderSummarizer, LinearSummarizer, MixingSummarizer, Summarizer

if TYPE_CHECKING:
    from lmn.language_model import LMNLanguageModel

# Of what `variance_preserving` draws, what `averaging` adds to the mean: enough to tell banks
# apart, a hundredth of the variance.
CORRECTION: Final = 0.1
DAMPED_GAIN: Final = 0.5
FAINT_GAIN: Final = 0.25
PUBLISHED_GAIN: Final = 0.1
QUIET_EMBEDDING: Final = 0.1


@torch.no_grad()
def initialize(model: LMNLanguageModel) -> None:
    """Draw all weights of `model` anew, by the scheme that its config names.

    Draws from torch's global random numbers: call `torch.manual_seed` first for the same weights
    again.
    """
    for module in model.modules():
        reset = getattr(module, "reset_parameters", None)
        if reset is not None:
            reset()
    if model.config.tie_weights:
        nn.init.normal_(model.embedding.weight, std=model.config.width**-0.5)
    SCHEMES[model.config.init](model)


def published(model: LMNLanguageModel) -> None:
    """As the public notebook and repository do, for parity.

    Summarizer: Xavier normal over the whole weight (banks, 2 * width, width), times 0.1, and the
    same for the bias (banks, 1, width). torch takes the last axis for a receptive field, so the
    standard deviation is 0.1 * sqrt(2 / (2 E^2 + K E)): 0.0031 at width 32 with 2 banks, a gain of
    0.025 per merge. Convolutions as torch draws them.
    """
    for summarizer in _summarizers(model):
        if isinstance(summarizer, ExpanderSummarizer):
            summarizer.widen.reset_parameters()
            _draw_published(summarizer.merge)
        elif model.config.block.summarizer == "conv":
            _draw_convolution(summarizer)
        else:
            _draw_published(summarizer)


def variance_preserving(model: LMNLanguageModel) -> None:
    """Merges keep variance: normal weights of variance 1 / (number of inputs).

    What the blocks do by themselves. Deep nodes are as loud as tokens, but random mixtures of them.
    """
    _draw_summarizers(model, mean_share=None, gain=1.0)


def damped(model: LMNLanguageModel) -> None:
    """As `variance_preserving`, with half the gain per merge: level i at 2^-i of a token's size."""
    _draw_summarizers(model, mean_share=None, gain=DAMPED_GAIN)


def faint(model: LMNLanguageModel) -> None:
    """As `variance_preserving`, with a quarter of the gain: level i at 4^-i of a token's size."""
    _draw_summarizers(model, mean_share=None, gain=FAINT_GAIN)


def sharp(model: LMNLanguageModel) -> None:
    """As `damped`, with queries, keys and values that keep variance: attention begins to choose.

    Normal weights of variance 1 / width, 3 times what `nn.Linear` draws: scores have a standard
    deviation of 1 instead of 1 / 3.
    """
    damped(model)
    for block in model.layers:
        nn.init.normal_(block.memory.query_key_value.weight, std=model.config.width**-0.5)


def quiet(model: LMNLanguageModel) -> None:
    """As `sharp`, with blocks that begin by adding nothing to an embedding of a tenth of the size.

    The last maps of memory and feed-forward are zero, as after Goyal et al., arXiv 1706.02677,
    section 5.1, who begin residual branches so. Beside an embedding of standard deviation 0.1 the
    optimizer's steps are ten times as large. Either alone is worth little. With tied weights it is
    `sharp`: there a silent model would be sure that every token comes twice.
    """
    sharp(model)
    _silence(model)


def turning(model: LMNLanguageModel) -> None:
    """As `quiet`, with the summarizers of `rotation`: nothing of a token is lost on its way up.

    As good on text, better where tokens have to be remembered one by one. With tied weights blocks
    are not silent, as in `quiet`.
    """
    sharp(model)
    _rotate(model)
    _silence(model)


def rotation(model: LMNLanguageModel) -> None:
    """Each child through an orthogonal matrix of its own, over sqrt(2): exact norms, no loss.

    Left and right stay distinguishable, and a token's path through the tree is one rotation.
    """
    _rotate(model)


def averaging(model: LMNLanguageModel) -> None:
    """Residual averaging: a node is the mean of its children, plus a small random correction.

    What children share stays as large as it was at any depth; what they do not share averages out.
    """
    _draw_summarizers(model, mean_share=lambda bank: 0.5, gain=CORRECTION)


def recency(model: LMNLanguageModel) -> None:
    """As `averaging`, with banks that forget at different rates.

    Bank k gives the left, older child a weight of 2^-(k+1) and the right one the rest: the first
    bank is the mean, the later ones lean towards the newest tokens.
    """
    _draw_summarizers(model, mean_share=lambda bank: 2.0 ** -(bank + 1), gain=CORRECTION)


def default(model: LMNLanguageModel) -> None:
    """The scheme that results/evidence/init.md speaks for: `turning`."""
    turning(model)


SCHEMES: Final[dict[str, Callable[[LMNLanguageModel], None]]] = {
    scheme.__name__: scheme
    for scheme in (
        default,
        published,
        variance_preserving,
        damped,
        faint,
        sharp,
        quiet,
        turning,
        rotation,
        averaging,
        recency,
    )
}


def _silence(model: LMNLanguageModel) -> None:
    if model.config.tie_weights:
        return
    for block in model.layers:
        for last in (block.memory.output, block.feedforward.down):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
    model.embedding.weight.mul_(QUIET_EMBEDDING)


def _rotate(model: LMNLanguageModel) -> None:
    _draw_summarizers(model, mean_share=None, gain=0.0)
    for summarizer in _summarizers(model):
        for children in _children(summarizer):
            for child in children.unbind(0):
                child.add_(_orthogonal(child) / math.sqrt(2))


def _summarizers(model: LMNLanguageModel) -> list[Summarizer]:
    return [block.memory.summarizer for block in model.layers]


def _draw_summarizers(
    model: LMNLanguageModel, *, mean_share: Callable[[int], float] | None, gain: float
) -> None:
    """Random weights of this gain, and on top of them a weighted mean of left and right.

    An expander's widening becomes the mean over its taps where there is a mean to keep; else it
    stays as its module draws it, which keeps the energy of a node.

    Args:
        model: whose summarizers are drawn.
        mean_share: the left child's weight in each bank; `None` for no mean.
        gain: 1 keeps variance.
    """
    for summarizer in _summarizers(model):
        summarizer.reset_parameters()
        merge = summarizer.merge if isinstance(summarizer, ExpanderSummarizer) else summarizer
        merge.weight.mul_(gain)
        if mean_share is None:
            continue
        for bank, children in enumerate(_children(summarizer)):
            left, right = children.unbind(0)
            left.diagonal().add_(mean_share(bank))
            right.diagonal().add_(1 - mean_share(bank))
        if isinstance(summarizer, ExpanderSummarizer):
            taps = summarizer.widen.weight  # (width in, width out, taps)
            taps.mul_(gain).diagonal().add_(1 / taps.shape[2])


def _children(summarizer: Summarizer) -> list[Tensor]:
    """Per bank, what maps this bank of each child to it: views (2, width in, width out)."""
    if isinstance(summarizer, MixingSummarizer):
        banks = summarizer.banks
        # (child, bank in, width in, bank out, width out)
        weight = summarizer.weight.view(2, banks, -1, banks, summarizer.weight.shape[1] // banks)
        return [weight[:, bank, :, bank] for bank in range(banks)]
    merge = summarizer.merge if isinstance(summarizer, ExpanderSummarizer) else summarizer
    return list(merge.weight.unflatten(1, (2, -1)).unbind(0))


def _orthogonal(like: Tensor) -> Tensor:
    """A random orthogonal matrix; drawn and decomposed in float64, whatever the weights' type."""
    drawn = nn.init.orthogonal_(torch.empty(like.shape, dtype=torch.float64))
    return drawn.to(like)


def _draw_published(summarizer: Summarizer) -> None:
    assert isinstance(summarizer, LinearSummarizer)  # a mixing one is a convolution
    for parameter in (summarizer.weight, summarizer.bias):
        nn.init.xavier_normal_(parameter, gain=PUBLISHED_GAIN)


def _draw_convolution(summarizer: Summarizer) -> None:
    """As `nn.Conv1d` draws weight and bias: uniform within 1 / sqrt(number of inputs)."""
    assert not isinstance(summarizer, ExpanderSummarizer)
    inputs = summarizer.weight.shape[-2]
    for parameter in (summarizer.weight, summarizer.bias):
        nn.init.uniform_(parameter, -(inputs**-0.5), inputs**-0.5)
