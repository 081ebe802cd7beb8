"""The index arithmetic against the definition, counted out node by node."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lmn_helpers import some

from lmn import tree


def nodes_after(tokens):
    """Every complete node (level, j) with j * 2^level <= tokens."""
    return [
        (level, j) for level in range(tokens.bit_length()) for j in range(1, tokens // 2**level + 1)
    ]


@pytest.mark.parametrize("tokens", range(1, 70))
def test_visible_nodes_are_the_newest_of_every_level(tokens):
    newest = {}
    for level, j in nodes_after(tokens):
        newest[level] = max(j, newest.get(level, 0))
    assert dict(tree.visible_nodes(tokens)) == newest
    assert tree.level_count(tokens) == max(newest)


def test_visible_nodes_cover_the_whole_prefix():
    for tokens in range(1, 70):
        covered = set()
        for level, j in tree.visible_nodes(tokens):
            covered |= set(range((j - 1) * 2**level + 1, j * 2**level + 1))
        assert covered == set(range(1, tokens + 1))


@some
@given(st.integers(1, 10**6), st.integers(1, 4), st.integers(0, 3))
def test_slot_count_is_the_closed_formula(tokens, banks, expansion):
    levels = tree.level_count(tokens)
    formula = 1 + banks * (levels + expansion * levels * (levels + 1) // 2)
    assert tree.slot_count(tokens, banks, expansion) == formula


@some
@given(st.integers(0, 20), st.integers(1, 4), st.integers(0, 3))
def test_levels_lie_one_after_another(level, banks, expansion):
    start = tree.row_offset(level, banks, expansion)
    assert tree.row_offset(level + 1, banks, expansion) == start + tree.rows_per_node(
        level, banks, expansion
    )


def test_merges_make_exactly_the_nodes_that_complete():
    made = 0
    for token in range(1, 130):
        made += tree.merges_at(token)
        assert made == sum(level > 0 for level, _ in nodes_after(token))


def test_before_the_first_token_there_is_nothing():
    assert tree.visible_nodes(0) == ()
    assert tree.slot_count(0, 2, 1) == tree.level_count(0) == tree.newest_node(0, 3) == 0


@pytest.mark.parametrize(
    "call", [lambda: tree.level_count(-1), lambda: tree.chunk_layout(-1, 3, 8)]
)
def test_negative_counts_are_refused(call):
    with pytest.raises(ValueError, match="cannot be negative, got -1"):
        call()


def test_tokens_are_counted_from_one():
    with pytest.raises(ValueError, match="counted from 1, got token 0"):
        tree.merges_at(0)


@some
@given(st.integers(0, 3000), st.integers(1, 600), st.integers(0, 7))
def test_chunks_hold_every_token_and_every_node_it_sees(before, tokens, exponent):
    layout = tree.ChunkLayout(before, tokens, exponent)
    front, back = layout.token_padding
    size = layout.chunk_size
    assert 0 <= front <= size
    assert 0 <= back < size
    assert front + tokens + back == layout.chunks * size
    places = range(layout.first_chunk * size, (layout.first_chunk + layout.chunks) * size)
    for level in range(1, layout.levels + 1):
        first, last = layout.seen_nodes(level)
        assert (first, last) == (places[0] >> level, places[-1] >> level)
        # every chunk sees as many neighbouring nodes as the layout says
        for start in places[::size]:
            seen = {place >> level for place in range(start, start + size)}
            assert len(seen) == layout.nodes_per_chunk(level)
    assert layout.is_uniform == all(place >> layout.levels for place in places)


@some
@given(st.integers(0, 3000), st.integers(1, 600), st.integers(0, 9))
def test_segments_are_the_tokens_in_order_cut_before_multiples_of_their_size(
    before, tokens, exponent
):
    cuts = list(tree.segments(before, tokens, 1 << exponent))
    assert [token for first, last in cuts for token in range(first, last)] == list(range(tokens))
    for first, last in cuts:
        assert 1 <= last - first <= 1 << exponent
        assert first == 0 or (before + first + 1) % (1 << exponent) == 0


@some
@given(st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 9))
def test_runs_of_segments_are_the_segments(before, tokens, exponent):
    told = [
        (first + number * (last - first), last + number * (last - first))
        for first, last, times in tree.segment_runs(before, tokens, 1 << exponent)
        for number in range(times)
    ]
    assert told == list(tree.segments(before, tokens, 1 << exponent))


def test_a_segment_shrinks_with_the_batch_and_with_the_width_down_to_what_products_need():
    assert tree.segment_tokens(1, 32) == 8192
    assert tree.segment_tokens(4, 32) == 2048
    assert tree.segment_tokens(1, 256) == tree.segment_tokens(1, 1024) == tree.SEGMENT_ROWS
    assert tree.segment_tokens(5, 1024) == 256
    assert tree.segment_tokens(1000, 1024) == tree.MINIMUM_SEGMENT
