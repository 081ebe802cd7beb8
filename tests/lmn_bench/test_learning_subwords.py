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


def separated(**options):
    """Byte pairs whose unknown token is the one that parts documents, as GPT-2 and CLIP have it."""
    made = byte_pairs()
    model = json.loads(made.to_str())["model"]
    vocabulary = {"<|end|>": len(model["vocab"]), **model["vocab"]}
    merges = [tuple(pair) for pair in model["merges"]]
    made.model = tokenizers.models.BPE(vocabulary, merges, unk_token="<|end|>", **options)
    made.add_special_tokens(["<|end|>"])
    return made


def test_the_unknown_token_may_be_written_in_the_text():
    made = separated()
    ids = SubwordVocabulary(made.to_str()).encode("to be<|end|>or not<|end|>")
    assert (ids == made.token_to_id("<|end|>")).sum() == 2


def test_the_unknown_token_of_words_may_be_written_in_the_text():
    made = words(unk_token="be")
    assert SubwordVocabulary(made.to_str()).encode("to be").tolist() == [0, 1]


def test_a_piece_is_unknown_beside_a_written_token_of_the_unknown():
    made = words(unk_token="be")
    with pytest.raises(UsageError, match="'or' at 6, 'not' at 9, 3 times in all"):
        SubwordVocabulary(made.to_str()).encode("to be or not or")


def test_many_unknown_pieces_are_counted_and_a_few_named():
    made = words(unk_token="?")
    with pytest.raises(UsageError, match="'e' at 8 and 2 more, 7 times in all"):
        SubwordVocabulary(made.to_str()).encode("a b c d e f g")


def test_dropout_is_switched_off_and_told():
    made = byte_pairs()
    made.model.dropout = 0.5
    assert len({tuple(made.encode(TEXT).ids) for _ in range(50)}) > 1
    vocabulary = SubwordVocabulary(made.to_str())
    first = vocabulary.encode(TEXT)
    assert all(vocabulary.encode(TEXT).tolist() == first.tolist() for _ in range(50))
    (remark,) = vocabulary.remarks(TEXT, first)
    assert remark == "switched off of the tokenizer file: dropout 0.5"


def remarks(made, text):
    vocabulary = SubwordVocabulary(made.to_str())
    return vocabulary.remarks(text, vocabulary.encode(text))


def test_of_a_tokenizer_that_gives_the_text_back_nothing_is_said():
    assert remarks(byte_pairs(), TEXT) == []


def test_a_space_put_before_a_text_is_no_change_of_it():
    made = byte_pairs()
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
    assert remarks(made, TEXT) == []


def test_what_the_file_asks_for_and_does_not_get_is_told():
    made = byte_pairs()
    made.enable_truncation(512)
    made.enable_padding(length=1000)
    (remark,) = remarks(made, TEXT)
    assert remark == "switched off of the tokenizer file: truncation at 512 tokens, padding"


def test_special_tokens_that_the_text_writes_out_are_counted():
    (remark,) = remarks(separated(), "to be<|end|>or not<|end|>")
    assert remark.endswith("are a token each: '<|end|>' 2×")


def test_a_tokenizer_that_lowers_the_case_is_told_with_the_first_place():
    made = byte_pairs()
    made.normalizer = tokenizers.normalizers.Lowercase()
    (remark,) = remarks(made, "to Be, or")
    assert "'Be, or' at 3 reads 'be, or'" in remark


def test_what_a_normalizer_leaves_out_is_told_with_how_much_is_lost():
    made = byte_pairs()
    made.normalizer = tokenizers.normalizers.Replace(",", "")
    (remark,) = remarks(made, "to be, or not, to")
    assert "at 5 reads ' or not to'" in remark
    assert "17 characters come back as 15" in remark


def test_white_space_that_words_leave_out_is_told():
    (remark,) = remarks(words(unk_token="?"), "to\n\nbe")
    assert "at 2 reads ' be'" in remark


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
