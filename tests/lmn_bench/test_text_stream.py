"""Tokens that come one by one give whole characters, and stop where they should."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lmn_bench.learning.subwords import SubwordVocabulary
from lmn_bench.learning.text_stream import StopText, text_stream
from lmn_bench.learning.tokens import ByteVocabulary, CharacterVocabulary

# No surrogates: they have no UTF-8.
texts = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=30)


@pytest.fixture(scope="module")
def subwords():
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300, show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(["the cat sat on the mat, naïve façade 😀😀"] * 5, trainer)
    return SubwordVocabulary(tokenizer.to_str())


def pieces_of(vocabulary, text, before=()):
    stream = text_stream(vocabulary, before)
    return [stream.feed(int(token)) for token in vocabulary.encode(text)]


@given(texts)
@example("naïve 😀 ﷽")
def test_bytes_come_as_whole_characters_only(text):
    pieces = pieces_of(ByteVocabulary(), text)
    assert "".join(pieces) == text
    assert all(piece in ("", character) for piece, character in zip(
        pieces, (c for c in text for _ in c.encode()), strict=True))  # fmt: skip


def test_an_unfinished_character_at_the_end_is_not_shown():
    stream = text_stream(ByteVocabulary())
    assert "".join(stream.feed(byte) for byte in "ab😀".encode()[:-1]) == "ab"


def test_a_byte_that_is_no_text_does_not_swallow_what_follows():
    stream = text_stream(ByteVocabulary())
    assert "".join(stream.feed(byte) for byte in b"a\xffb") == "a\ufffdb"


@given(texts)
@example("the 😀 naïve 漢字 cat")
def test_subwords_give_the_text_and_no_unfinished_character(subwords, text):
    if "\ufffd" not in text:
        pieces = pieces_of(subwords, text, subwords.encode("the cat 😀").tolist())
        assert "".join(pieces) == text
        assert not any("\ufffd" in piece for piece in pieces)


def test_a_word_behind_the_prompt_keeps_its_space():
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({"one": 0, "two": 1, "?": 2}, unk_token="?")
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words = SubwordVocabulary(tokenizer.to_str())
    assert pieces_of(words, "two one", before=[0]) == [" two", " one"]


def test_characters_come_one_by_one():
    assert pieces_of(CharacterVocabulary.of("abc"), "cab") == ["c", "a", "b"]


@given(st.lists(st.text("ab", max_size=4), max_size=8), st.lists(st.text("ab", min_size=1,
       max_size=4), max_size=3))  # fmt: skip
def test_text_is_passed_on_up_to_the_first_stop(pieces, stops):
    stop, passed, stopped = StopText(stops), "", False
    for piece in pieces:
        more, stopped = stop.feed(piece)
        passed += more
        if stopped:
            break
    else:
        passed += stop.rest()
    text = "".join(pieces)
    # The first stop to be complete ends it; of those that a piece completes, the one further left.
    assert text.startswith(passed)
    assert stopped == any(stop in text for stop in stops)
    if stopped:
        assert any(text[len(passed) :].startswith(stop) for stop in stops)
        assert not any(stop in passed for stop in stops)
    else:
        assert passed == text
