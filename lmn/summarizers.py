"""Three ways to merge two neighbouring nodes of the tree into their parent.

Every summarizer maps children (batch, 2 * pairs, vectors, banks, width) to parents (batch, pairs,
vectors + expansion, banks, width) and serves all levels with one set of weights. Level 0 may be
given with a banks axis of 1: a token is the same for every bank.

Default initialisation. The published one (Xavier over the whole weight, times 0.1) shrinks a token
to about 1e-10 of its size by level 6. Here a merge keeps variance: weights are normal with variance
1 / (number of inputs), so two children of variance 1 give a parent of variance about 1, however
deep.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lmn.config import LMNConfig


class LinearSummarizer(nn.Module):
    """Per bank b, parent = concat(left, right) W_b + c_b.

    A convolution of kernel 2 and stride 2 that is grouped by bank is the same map, so the `conv`
    summarizer uses this class too.

    Parameters: `weight` (banks, 2 * width, width), left child first, and `bias` (banks, 1, width).
    """

    def __init__(self, width: int, banks: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(banks, 2 * width, width))
        self.bias = nn.Parameter(torch.empty(banks, 1, width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights that keep variance; zero the bias."""
        nn.init.normal_(self.weight, std=self.weight.shape[1] ** -0.5)
        nn.init.zeros_(self.bias)

    def merge_by_bank(self, children: Tensor) -> Tensor:
        """The same map with banks first: no bank's nodes have to move.

        (banks or 1, batch, 2 * pairs, vectors, width) -> (banks, batch, pairs, vectors, width).
        """
        given, batch, nodes, vectors, width = children.shape
        banks = self.weight.shape[0]
        weight, bias = self.weight.to(children.dtype), self.bias.to(children.dtype)
        if vectors > 1:
            children = children.unflatten(2, (-1, 2)).transpose(3, 4)
        rows = children.reshape(given, -1, 2 * width)
        if banks == 1:
            merged = torch.addmm(bias[0], rows[0], weight[0])
        else:
            merged = torch.baddbmm(bias, rows.expand(banks, -1, -1), weight)
        return merged.view(banks, batch, nodes // 2, vectors, width)

    def forward(self, children: Tensor) -> Tensor:
        """Merge (batch, 2 * pairs, vectors, banks or 1, width) -> (batch, pairs, vectors, ...)."""
        batch, _, vectors, _, width = children.shape
        banks = self.weight.shape[0]
        if banks == 1:
            # with one vector per node, left and right lie next to each other already
            rows = (children if vectors == 1 else _pair(children)).reshape(-1, 2 * width)
            merged = torch.addmm(self.bias[0], rows, self.weight[0])
            return merged.view(batch, -1, vectors, 1, width)
        pairs = _pair(children)  # (batch, pairs, vectors, banks or 1, 2 * width)
        # the product is batched over banks: (banks, batch * pairs * vectors, 2 * width)
        rows = pairs.permute(3, 0, 1, 2, 4).reshape(pairs.shape[3], -1, 2 * width)
        merged = torch.baddbmm(self.bias, rows.expand(banks, -1, -1), self.weight)
        return merged.view(banks, batch, -1, vectors, width).permute(1, 2, 3, 0, 4)


class MixingSummarizer(nn.Module):
    """Every bank of the parent reads all banks of both children: a convolution without groups.

    Parameters: `weight` (2 * banks * width, banks * width) and `bias` (banks * width); the input
    features are ordered by child, then bank.
    """

    def __init__(self, width: int, banks: int) -> None:
        super().__init__()
        self.banks = banks
        self.weight = nn.Parameter(torch.empty(2 * banks * width, banks * width))
        self.bias = nn.Parameter(torch.empty(banks * width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights that keep variance; zero the bias."""
        nn.init.normal_(self.weight, std=self.weight.shape[0] ** -0.5)
        nn.init.zeros_(self.bias)

    def forward(self, children: Tensor) -> Tensor:
        """Merge (batch, 2 * pairs, 1, banks or 1, width) -> (batch, pairs, 1, banks, width)."""
        batch, nodes, _, _, width = children.shape
        weight, bias = self.weight.to(children.dtype), self.bias.to(children.dtype)
        rows = children.expand(-1, -1, -1, self.banks, -1).reshape(batch * nodes // 2, -1)
        merged = torch.addmm(bias, rows, weight)
        return merged.view(batch, nodes // 2, 1, self.banks, width)

    def merge_by_bank(self, children: Tensor) -> Tensor:
        """The same map: (banks or 1, batch, 2 * pairs, 1, width) -> (banks, batch, pairs, ...)."""
        merged: Tensor = self(children.permute(1, 2, 3, 0, 4))
        return merged.permute(3, 0, 1, 2, 4)


class ExpanderSummarizer(nn.Module):
    """Widen each child along its vectors axis, w -> w + v, then merge position by position.

    Widening is a transposed convolution along the vectors, `widen.weight` (width in, width out,
    1 + expansion) and `widen.bias` (width), the same for all levels and banks; `merge` is a
    `LinearSummarizer`. Widening keeps the sum of squares over all vectors of a node: the middle
    ones stay at variance about 1, the mean falls as 1 / w, slowly enough for deep levels to be
    heard.
    """

    def __init__(self, width: int, banks: int, expansion: int) -> None:
        super().__init__()
        self.widen = nn.ConvTranspose1d(width, width, kernel_size=1 + expansion)
        self.merge = LinearSummarizer(width, banks)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights that keep the energy of a node; zero the biases."""
        width, _, taps = self.widen.weight.shape
        nn.init.normal_(self.widen.weight, std=(width * taps) ** -0.5)
        assert self.widen.bias is not None  # ConvTranspose1d was made with a bias
        nn.init.zeros_(self.widen.bias)
        self.merge.reset_parameters()

    def forward(self, children: Tensor) -> Tensor:
        """Merge (batch, 2 * pairs, w, banks or 1, width) -> (batch, pairs, w + v, banks, width)."""
        batch, nodes, vectors, banks, width = children.shape
        columns = children.permute(0, 1, 3, 4, 2).reshape(-1, width, vectors)
        widened = torch.unflatten(self._widen(columns), 0, (batch, nodes, banks))
        merged: Tensor = self.merge(widened.permute(0, 1, 4, 2, 3))
        return merged

    def merge_by_bank(self, children: Tensor) -> Tensor:
        """The same map: (banks or 1, batch, 2 * pairs, w, width) -> (banks, batch, pairs, ...)."""
        given, batch, nodes, vectors, width = children.shape
        columns = children.transpose(3, 4).reshape(-1, width, vectors)
        widened = torch.unflatten(self._widen(columns), 0, (given, batch, nodes))
        return self.merge.merge_by_bank(widened.transpose(3, 4))

    def _widen(self, columns: Tensor) -> Tensor:
        """(any number, width, w) -> (any number, width, w + v)."""
        assert self.widen.bias is not None  # ConvTranspose1d was made with a bias
        weight, bias = self.widen.weight.to(columns.dtype), self.widen.bias.to(columns.dtype)
        return F.conv_transpose1d(columns, weight, bias)


Summarizer = LinearSummarizer | MixingSummarizer | ExpanderSummarizer


def make_summarizer(config: LMNConfig) -> Summarizer:
    """Build the summarizer that `config` names."""
    if config.summarizer == "expander":
        return ExpanderSummarizer(config.width, config.banks, config.expansion)
    if config.summarizer == "conv" and config.conv_groups == "mix":
        return MixingSummarizer(config.width, config.banks)
    return LinearSummarizer(config.width, config.banks)


def _pair(children: Tensor) -> Tensor:
    """Concatenate neighbours: (batch, 2 * pairs, ...) -> (batch, pairs, ..., 2 * width)."""
    left_right = torch.unflatten(children, 1, (-1, 2))  # (batch, pairs, 2, vectors, banks, width)
    return left_right.permute(0, 1, 3, 4, 2, 5).flatten(-2)
