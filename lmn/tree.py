"""Index arithmetic of the tree: which nodes exist, which ones a token sees, where they lie in
memory.

Integers only. Tokens are counted from 1; node (i, j) at level i >= 0 with j >= 1 sums up the tokens
(j - 1) * 2^i + 1 .. j * 2^i and exists once token j * 2^i has been seen. Node (0, t) is token t.
`banks` is K and `expansion` is v: a node at level i holds 1 + i * v vectors in each of K banks, but
level 0 is the same for every bank and so is kept once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# Inside a chunk of 2^c tokens an attention row is computed for every pair of a token and a visible
# node, wanted or not, while smaller chunks gather more rows per token.
CHUNK_EXPONENT: Final = 5


def level_count(tokens: int) -> int:
    """Highest level with a node after `tokens` tokens: floor(log2 t), and 0 before the first."""
    _require_tokens(tokens)
    return max(tokens.bit_length() - 1, 0)


def newest_node(tokens: int, level: int) -> int:
    """Number j of the newest complete node at `level` after `tokens` tokens; 0 if there is none."""
    return tokens >> level


def visible_nodes(tokens: int) -> tuple[tuple[int, int], ...]:
    """Nodes (level, j) that token number `tokens` attends to, itself first."""
    if tokens == 0:
        return ()
    return tuple((level, newest_node(tokens, level)) for level in range(level_count(tokens) + 1))


def merges_at(token: int) -> int:
    """Number of merges that token number `token` sets off: the zeros at the end of its binary form.

    Less than one on average, and log2(token) when the token number is a power of two.
    """
    if token < 1:
        raise ValueError(f"tokens are counted from 1, got token {token}")
    return (token & -token).bit_length() - 1


def vectors_per_node(level: int, expansion: int) -> int:
    """Vectors per bank of a node at `level`, w_i = 1 + i * v."""
    return 1 + level * expansion


def rows_per_node(level: int, banks: int, expansion: int) -> int:
    """Slots that one node at `level` fills: 1 at level 0, else K * w_i."""
    return banks * vectors_per_node(level, expansion) if level else 1


def row_offset(level: int, banks: int, expansion: int) -> int:
    """First row of `level` in the flat slot layout [level 0: 1 row][level 1: K * w_1 rows]...

    Within a level, rows are ordered by vector and then by bank.
    """
    if level == 0:
        return 0
    below = level - 1
    return 1 + banks * (below + expansion * below * level // 2)


def slot_count(tokens: int, banks: int, expansion: int) -> int:
    """Slots that token number `tokens` sees: 1 + K * (L + v * L * (L + 1) / 2) with L = floor(log2
    t).

    0 before the first token.
    """
    if tokens == 0:
        return 0
    return row_offset(level_count(tokens) + 1, banks, expansion)


@dataclass(frozen=True)
class ChunkGroup:
    """Neighbouring chunks whose tokens see nodes of the same levels, and so the same mask.

    Attributes:
        chunks: how many chunks there are in the group.
        levels: the highest level that they see.
        has_dummy: whether the group is the very first chunk, in which token 0 and the nodes
            numbered 0 do not exist.
    """

    chunks: int
    levels: int
    has_dummy: bool


@dataclass(frozen=True)
class ChunkLayout:
    """Tokens `tokens_before + 1 .. tokens_before + tokens` cut into aligned chunks of 2^exponent.

    Chunk m covers the tokens m * 2^c .. (m + 1) * 2^c - 1, counted from a dummy token 0. In it, a
    level i <= c has 2^(c - i) different visible nodes, and every higher level exactly one.
    """

    tokens_before: int
    tokens: int
    exponent: int

    @property
    def chunk_size(self) -> int:
        """Tokens per chunk, C = 2^c."""
        return 1 << self.exponent

    @property
    def last_token(self) -> int:
        """Number of the last real token."""
        return self.tokens_before + self.tokens

    @property
    def first_chunk(self) -> int:
        """Number of the chunk that holds the first real token."""
        return (self.tokens_before + 1) >> self.exponent

    @property
    def chunks(self) -> int:
        """Chunks touched, the ragged ones at both ends included."""
        return (self.last_token >> self.exponent) - self.first_chunk + 1

    @property
    def levels(self) -> int:
        """Highest level that any of the tokens sees."""
        return level_count(self.last_token)

    @property
    def token_padding(self) -> tuple[int, int]:
        """Places before the first and after the last real token that fill up whole chunks."""
        before = self.tokens_before + 1 - (self.first_chunk << self.exponent)
        return before, self.chunks * self.chunk_size - before - self.tokens

    def node_padding(self, level: int) -> tuple[int, int]:
        """Entries to add before and after the list of nodes at `level` so that it fits the chunks.

        The list holds the newest node of before, if there is one, and then the new nodes. The first
        number is -1 where the newest node of before is not seen by any of the tokens.
        """
        have_first = max(newest_node(self.tokens_before, level), 1)
        have_last = newest_node(self.last_token, level)
        want_first = newest_node(self.first_chunk << self.exponent, level)
        end = (self.first_chunk + self.chunks) << self.exponent
        return have_first - want_first, newest_node(end - 1, level) - have_last

    def groups(self) -> tuple[ChunkGroup, ...]:
        """The chunks in order, put together where they see the same levels."""
        groups: list[ChunkGroup] = []
        chunk, end = self.first_chunk, self.first_chunk + self.chunks
        while chunk < end:
            # chunks 2^p .. 2^(p + 1) - 1 see levels up to c + p; chunk 0 ends before level c
            stop = min(1 << chunk.bit_length(), end)
            levels = self.exponent + chunk.bit_length() - 1
            groups.append(ChunkGroup(stop - chunk, max(levels, 0), has_dummy=chunk == 0))
            chunk = stop
        return tuple(groups)

    def rows_per_chunk(self, levels: int, banks: int, expansion: int) -> int:
        """Rows that the tokens of one chunk see between them, up to level `levels`."""
        return sum(
            max(self.chunk_size >> level, 1) * rows_per_node(level, banks, expansion)
            for level in range(levels + 1)
        )


def chunk_layout(tokens_before: int, tokens: int) -> ChunkLayout:
    """Layout for `tokens` tokens that follow `tokens_before`; few tokens get smaller chunks."""
    _require_tokens(tokens_before)
    _require_tokens(tokens - 1)
    return ChunkLayout(tokens_before, tokens, min(CHUNK_EXPONENT, (tokens - 1).bit_length()))


def _require_tokens(tokens: int) -> None:
    if tokens < 0:
        raise ValueError(f"a number of tokens cannot be negative, got {tokens}")
