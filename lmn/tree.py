"""Index arithmetic of the tree: which nodes exist, which ones a token sees, where they lie in
memory.

Integers only. Tokens are counted from 1; node (i, j) at level i >= 0 with j >= 1 sums up the tokens
(j - 1) * 2^i + 1 .. j * 2^i and exists once token j * 2^i has been seen. Node (0, t) is token t.
`banks` is K and `expansion` is v: a node at level i holds 1 + i * v vectors in each of K banks, but
level 0 is the same for every bank and so is kept once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# Tokens per chunk, as a power of two. Inside a chunk of 2^c tokens a score is computed for every
# pair of a token and a visible node, wanted or not; smaller chunks gather, and project, more rows
# per token. Medians of CPU time in ms, one thread of an AMD EPYC, float32:
#     c                                                4      5
#     width 32, 1 head, prefill of 32,768 tokens      34     37
#     width 32, 4 heads, 2 banks, training on them   295    353
#     width 256, 4 heads, prefill of 16,384 tokens   541    489
#     width 256, 4 heads, training on them         1,790  1,715
CHUNK_EXPONENT: Final = 4
WIDE: Final = 128
WIDE_CHUNK_EXPONENT: Final = 5


# Features (sequences x tokens x width) that a block works on at a time. On a CPU, what it makes of
# them should stay in the cache, and every segment reuses the memory of the one before; products
# need some 2,048 rows to run at full speed. Medians of CPU time in ms, one thread of an AMD EPYC,
# of a prefill:
#     features                                     2^16   2^17   2^18   2^19
#     width 32, 1 head, 32,768 tokens                48     40     32     35
# On a GPU, a segment should fill the machine (a guess, not measured).
SEGMENT_FEATURES: Final = {"cpu": 1 << 18, "cuda": 1 << 24}
SEGMENT_ROWS: Final = 2048
MINIMUM_SEGMENT: Final = 64


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

    def seen_nodes(self, level: int) -> tuple[int, int]:
        """Numbers of the first and the last node at `level` that the chunks' places see, padding
        included; number 0 stands for none.
        """
        end = (self.first_chunk + self.chunks) << self.exponent
        return newest_node(self.first_chunk << self.exponent, level), newest_node(end - 1, level)

    @property
    def is_uniform(self) -> bool:
        """Whether every token sees a node of every level, as all but early tokens do."""
        return bool(newest_node(self.first_chunk << self.exponent, self.levels))

    def nodes_per_chunk(self, level: int) -> int:
        """Different nodes of `level` that the tokens of one chunk see."""
        return max(self.chunk_size >> level, 1)

    def rows_per_chunk(self, banks: int, expansion: int) -> int:
        """Rows that the tokens of one chunk see between them, their own left out."""
        return sum(
            self.nodes_per_chunk(level) * rows_per_node(level, banks, expansion)
            for level in range(1, self.levels + 1)
        )


def chunk_layout(tokens_before: int, tokens: int, width: int) -> ChunkLayout:
    """Layout for `tokens` tokens that follow `tokens_before`; few tokens get smaller chunks."""
    _require_tokens(tokens_before)
    _require_tokens(tokens - 1)
    exponent = CHUNK_EXPONENT if width < WIDE else WIDE_CHUNK_EXPONENT
    return ChunkLayout(tokens_before, tokens, min(exponent, (tokens - 1).bit_length()))


def segment_tokens(batch: int, width: int, device: str = "cpu") -> int:
    """Tokens of a segment, a power of two: what `SEGMENT_FEATURES` hold, or `SEGMENT_ROWS`."""
    features = SEGMENT_FEATURES.get(device, SEGMENT_FEATURES["cpu"])
    rows = max(features // width, SEGMENT_ROWS)
    tokens = max(rows // batch, MINIMUM_SEGMENT)
    return 1 << (tokens.bit_length() - 1)


def segments(tokens_before: int, tokens: int, size: int) -> Iterator[tuple[int, int]]:
    """Cut `tokens` tokens that follow `tokens_before` into segments of at most `size`.

    Gives (first, last) as in a slice. Cuts lie before the token numbers that `size` divides, so
    that segments hold whole chunks, counted from a dummy token 0.
    """
    first = 0
    while first < tokens:
        last = min(first + size - (tokens_before + first + 1) % size, tokens)
        yield first, last
        first = last


def segment_runs(tokens_before: int, tokens: int, size: int) -> Iterator[tuple[int, int, int]]:
    """The segments of `segments`, alike ones told once: (first, last, how many there are).

    Alike are neighbouring whole segments whose last tokens see as many levels. A run is told by its
    first segment; there are about log2(tokens) of them, however many segments there are.

    Args:
        tokens_before: that were read before.
        tokens: to be cut.
        size: of a segment, a power of two.
    """
    if not tokens:
        return
    first = min(size - (tokens_before + 1) % size, tokens)
    yield 0, first, 1
    whole, rest = divmod(tokens - first, size)
    # whole segment number m covers the tokens m * size .. m * size + size - 1
    number = (tokens_before + first + 1) // size
    end = number + whole
    while number < end:
        after = min(1 << number.bit_length(), end)
        start = number * size - 1 - tokens_before
        yield start, start + size, after - number
        number = after
    if rest:
        yield tokens - rest, tokens, 1


def _require_tokens(tokens: int) -> None:
    if tokens < 0:
        raise ValueError(f"a number of tokens cannot be negative, got {tokens}")
