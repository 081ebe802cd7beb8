from __future__ import annotations

import json
import os
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmn_bench.errors import UnknownNameError, UsageError
from lmn_bench.learning.names import TOKENIZERS
from lmn_bench.learning.tokens import (
    ByteVocabulary,
    CharacterVocabulary,
    make_vocabulary,
    vocabulary_from_dict,
)

ABC = CharacterVocabulary.of("cabbage")
texts = st.text(st.characters(exclude_categories=["Cs"]))


def refused(vocabulary, text):
    with pytest.raises(UsageError) as caught:
        vocabulary.encode(text)
    return caught.value


@given(texts.filter(bool))
def test_characters_come_back_as_they_were(text):
    vocabulary = CharacterVocabulary.of(text)
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert vocabulary.size == len(set(text))


@given(texts)
def test_bytes_come_back_as_they_were(text):
    vocabulary = ByteVocabulary()
    ids = vocabulary.encode(text)
    assert ids.tolist() == list(text.encode())
    assert vocabulary.decode(ids) == text


@given(texts.filter(bool))
def test_a_vocabulary_survives_a_checkpoint(text):
    for vocabulary in (CharacterVocabulary.of(text), ByteVocabulary()):
        stored = json.loads(json.dumps(vocabulary.to_dict()))
        assert vocabulary_from_dict(stored) == vocabulary


def test_ids_of_characters_go_by_code_points():
    ids = ABC.encode("ceg")
    assert ABC.characters == "abceg"
    assert ids.tolist() == [2, 3, 4]
    assert ids.dtype == np.int32


def test_an_empty_prompt_has_no_tokens():
    assert ABC.encode("").tolist() == []
    assert ABC.decode([]) == ""


def test_unknown_characters_are_named_with_their_first_positions():
    error = refused(ABC, "a z a z é")
    assert error.message == "not in the vocabulary: ' ' at 1, 'z' at 2, 'é' at 8"
    assert "bytes" in error.hint


def test_of_many_unknown_characters_the_first_few_are_named():
    assert refused(ABC, "uvwxyz").message.endswith("'y' at 4 and 1 more")


def test_half_a_surrogate_pair_is_unknown_to_characters_and_no_bytes():
    assert "'\\udcff' at 1" in refused(ABC, "a\udcff").message
    assert "'\\udcff' at 1 has no UTF-8" in refused(ByteVocabulary(), "a\udcff").message


def test_a_character_cut_in_the_middle_is_shown_as_such():
    assert ByteVocabulary().decode("aé".encode()[:-1]) == "a\ufffd"


@pytest.mark.parametrize("vocabulary", [ABC, ByteVocabulary()])
@pytest.mark.parametrize("beyond", [-1, 256])
def test_an_id_outside_the_vocabulary_is_not_decoded(vocabulary, beyond):
    with pytest.raises(ValueError, match=f"got {beyond}"):
        vocabulary.decode([0, beyond])


def test_no_text_makes_no_vocabulary():
    with pytest.raises(UsageError, match="at least one"):
        CharacterVocabulary.of("")


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"kind": "words"},
        {"kind": "characters"},
        {"kind": "characters", "characters": 3},
        {"kind": "characters", "characters": ""},
        {"kind": "characters", "characters": "ba"},
        {"kind": "characters", "characters": "aab"},
        {"kind": "characters", "characters": "ab", "more": 1},
        {"kind": "bytes", "size": 300},
        {"kind": "subwords", "tokenizer": None},
    ],
    ids=str,
)
def test_a_damaged_vocabulary_is_refused(stored):
    with pytest.raises(UsageError, match="vocabulary"):
        vocabulary_from_dict(stored)


def test_every_listed_tokenizer_is_made_by_its_name():
    for name in TOKENIZERS:
        assert make_vocabulary(name, "some text").to_dict()["kind"] == name


def test_a_wrong_tokenizer_gets_the_nearest_name():
    with pytest.raises(UnknownNameError) as caught:
        make_vocabulary("character", "some text")
    assert "did you mean 'characters'?" in caught.value.hint
    assert "tokenizer.json" in caught.value.hint


def test_a_tokenizer_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="no tokenizer file"):
        make_vocabulary(str(tmp_path / "a.json"), "")


def test_a_folder_is_no_tokenizer_file(tmp_path):
    with pytest.raises(UsageError, match="cannot read"):
        make_vocabulary(str(tmp_path), "")


def test_a_tokenizer_file_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(UsageError) as caught:
        make_vocabulary(str(tmp_path / "a.json"), "")
    assert "not installed" in caught.value.message
    assert "pip install tokenizers" in caught.value.hint


def test_a_binary_file_is_no_tokenizer_file(tmp_path):
    path = tmp_path / "sentencepiece.model"
    path.write_bytes(b"\x0a\x0e\x0a\x05\xff\xfe")
    with pytest.raises(UsageError, match="no tokenizer file") as caught:
        make_vocabulary(str(path), "")
    assert "the JSON that `Tokenizer.save` writes" in caught.value.hint


def test_a_tokenizer_is_no_pipe_as_it_is_read_more_than_once(tmp_path):
    os.mkfifo(tmp_path / "tokenizer.json")
    with pytest.raises(UsageError) as caught:
        make_vocabulary(str(tmp_path / "tokenizer.json"), "text")
    assert "is a pipe or a device" in caught.value.message
