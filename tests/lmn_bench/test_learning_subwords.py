from __future__ import annotations

import json

import pytest

from lmn_bench.errors import UsageError
from lmn_bench.learning.subwords import SubwordVocabulary
from lmn_bench.learning.tokens import make_vocabulary, vocabulary_from_dict

tokenizers = pytest.importorskip("tokenizers")

TEXT = "to be, or not to be, that is the question\n"


def byte_pairs():
    """Byte-level byte pairs: nothing is unknown to them."""
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300,
        show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )
    made.train_from_iterator([TEXT] * 9, trainer)
    return made


def words(**options):
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"to": 0, "be": 1, "?": 7}, **options))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return made


def test_a_text_comes_back_in_fewer_tokens():
    vocabulary = SubwordVocabulary(byte_pairs().to_str())
    ids = vocabulary.encode(TEXT + "ünknown")
    assert vocabulary.decode(ids) == TEXT + "ünknown"
    assert len(vocabulary.encode(TEXT)) < len(TEXT)
    assert ids.max() < vocabulary.size <= 300


def test_a_file_gives_the_vocabulary_that_its_checkpoint_gives(tmp_path):
    byte_pairs().save(str(tmp_path / "tokenizer.json"))
    vocabulary = make_vocabulary(str(tmp_path / "tokenizer.json"), "")
    again = vocabulary_from_dict(json.loads(json.dumps(vocabulary.to_dict())))
    assert again == vocabulary
    assert again.encode(TEXT).tolist() == vocabulary.encode(TEXT).tolist()


def test_ids_with_gaps_count_up_to_the_largest():
    assert SubwordVocabulary(words(unk_token="?").to_str()).size == 8


def test_added_tokens_count():
    made = byte_pairs()
    made.add_special_tokens(["<end>"])
    vocabulary = SubwordVocabulary(made.to_str())
    assert vocabulary.size == made.token_to_id("<end>") + 1
    assert vocabulary.decode([made.token_to_id("<end>")]) == "<end>"


def test_an_unknown_word_is_named_with_its_position():
    with pytest.raises(UsageError, match="'or' at 6"):
        SubwordVocabulary(words(unk_token="?").to_str()).encode("to be or not")


def test_a_model_of_words_without_a_token_for_the_unknown_refuses_it_too():
    vocabulary = SubwordVocabulary(words(unk_token="<none>").to_str())
    assert vocabulary.encode("to be").tolist() == [0, 1]
    with pytest.raises(UsageError, match="cannot encode"):
        vocabulary.encode("to be or not")


def test_a_character_that_byte_pairs_would_drop_is_named_with_its_position():
    made = tokenizers.Tokenizer(tokenizers.models.BPE({"a": 0, "b": 1}, []))
    vocabulary = SubwordVocabulary(made.to_str())
    assert vocabulary.encode("abba").tolist() == [0, 1, 1, 0]
    with pytest.raises(UsageError, match="'c' at 2"):
        vocabulary.encode("abc")


def test_a_file_that_cuts_and_pads_leaves_the_corpus_whole():
    made = byte_pairs()
    made.enable_truncation(4)
    made.enable_padding(length=1000)
    vocabulary = SubwordVocabulary(made.to_str())
    assert vocabulary.decode(vocabulary.encode(TEXT)) == TEXT


def test_special_tokens_at_the_ends_are_left_out():
    made = byte_pairs()
    made.add_special_tokens(["<start>"])
    start = made.token_to_id("<start>")
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="<start> $A", special_tokens=[("<start>", start)]
    )
    assert start not in SubwordVocabulary(made.to_str()).encode(TEXT)


@pytest.mark.parametrize("text", ["", "{}", "[]", "no JSON", '{"model": {"type": "?"}}'])
def test_what_is_no_tokenizer_file_is_refused(text):
    with pytest.raises(UsageError, match="cannot read the tokenizer file"):
        SubwordVocabulary(text)


def test_a_tokenizer_without_tokens_is_refused():
    with pytest.raises(UsageError, match="no tokens"):
        SubwordVocabulary(tokenizers.Tokenizer(tokenizers.models.BPE()).to_str())


@pytest.mark.parametrize("beyond", [-1, 8])
def test_an_id_outside_the_vocabulary_is_not_decoded(beyond):
    with pytest.raises(ValueError, match=f"got {beyond}"):
        SubwordVocabulary(words(unk_token="?").to_str()).decode([beyond])
