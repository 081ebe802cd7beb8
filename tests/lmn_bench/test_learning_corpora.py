from __future__ import annotations

import hashlib
import os
import sys
from contextlib import suppress

import pytest

from lmn_bench.errors import UnknownNameError, UsageError
from lmn_bench.learning.corpora import TINY_SHAKESPEARE, announced_download, load_corpus
from lmn_bench.learning.names import CORPORA


def refused(source, **options):
    """The message and the hint of the error that a corpus gives."""
    with pytest.raises(UsageError) as caught:
        load_corpus(source, **options)
    return caught.value.message, caught.value.hint


class NoNetworkError(Exception):
    """A test has opened an address."""


def no_network(address):
    raise NoNetworkError(address)


# ------------------------------------------------------------------------------------- by name


def test_the_docs_of_this_python_are_a_corpus_without_a_download():
    corpus = load_corpus("python-docs", opener=no_network)
    assert corpus.name == "python-docs"
    assert len(corpus.text) > 100_000
    assert "lambda" in corpus.text
    assert corpus == load_corpus("python-docs", opener=no_network)


def test_a_python_without_its_docs_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    message, hint = refused("python-docs")
    assert "without pydoc_data" in message
    assert "by its path" in hint


def test_a_name_goes_before_a_file_of_that_name(tmp_path, monkeypatch):
    (tmp_path / "python-docs").write_text("mine")
    monkeypatch.chdir(tmp_path)
    assert load_corpus("python-docs").text != "mine"
    assert load_corpus("./python-docs").text == "mine"


def test_tinyshakespeare_comes_from_the_cache_and_nothing_else_passes_for_it(tmp_path):
    kept = tmp_path / TINY_SHAKESPEARE.name
    kept.write_text("To be")
    message, hint = refused("tinyshakespeare", cache=tmp_path, opener=no_network)
    assert TINY_SHAKESPEARE.sha256 in message
    assert hashlib.sha256(b"To be").hexdigest() in message
    assert str(kept) in hint


def test_a_wrong_name_gets_the_nearest_and_the_way_to_give_a_file():
    with pytest.raises(UnknownNameError) as caught:
        load_corpus("tinyshakespear")
    assert caught.value.hint.startswith("did you mean 'tinyshakespeare'?")
    assert "path of a text file" in caught.value.hint


@pytest.mark.parametrize("name", CORPORA)
def test_every_listed_corpus_is_known(tmp_path, name):
    # A name that is unknown has another error.
    with suppress(NoNetworkError):
        load_corpus(name, cache=tmp_path, opener=no_network)


# ------------------------------------------------------------------------------------- by path


def test_a_file_is_read_as_it_is_and_known_by_its_hash(tmp_path):
    path = tmp_path / "verse.txt"
    path.write_bytes("über\r\nalles\n".encode())
    corpus = load_corpus(path)
    assert (corpus.name, corpus.text) == ("verse.txt", "über\r\nalles\n")
    assert corpus.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfhello")
    assert load_corpus(tmp_path / "a.txt").text == "hello"


def test_a_file_by_path_may_have_any_ending(tmp_path):
    (tmp_path / "code.py").write_text("pass")
    assert load_corpus(str(tmp_path / "code.py")).text == "pass"


def test_a_folder_is_its_text_files_in_the_order_of_their_paths(tmp_path):
    (tmp_path / "b").mkdir()
    for name, text in {"c.txt": "3", "a.md": "1", "b/z.TXT": "2", "no.py": "-"}.items():
        (tmp_path / name).write_text(text)
    assert load_corpus(tmp_path).text == "1\n2\n3"


def test_what_is_hidden_in_a_folder_is_left_out(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "a.txt").write_text("secret")
    (tmp_path / ".b.txt").write_text("secret")
    (tmp_path / "c.txt").write_text("shown")
    assert load_corpus(tmp_path).text == "shown"


def test_a_folder_that_lies_in_a_hidden_one_is_read(tmp_path):
    inside = tmp_path / ".data" / "texts"
    inside.mkdir(parents=True)
    (inside / "a.txt").write_text("shown")
    assert load_corpus(inside).text == "shown"


def test_corpora_of_the_same_name_and_other_text_have_other_hashes(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one")
    first = load_corpus(path)
    path.write_text("two")
    assert first.sha256 != load_corpus(path).sha256


@pytest.mark.parametrize("text", ["", " \n\t\n"])
def test_an_empty_file_is_refused(tmp_path, text):
    (tmp_path / "a.txt").write_text(text)
    assert "'a.txt' is empty" in refused(tmp_path / "a.txt")[0]


def test_a_folder_of_empty_files_is_refused(tmp_path):
    (tmp_path / "a.txt").touch()
    (tmp_path / "b.txt").touch()
    assert "is empty" in refused(tmp_path)[0]


def test_a_folder_without_text_files_says_what_was_looked_for(tmp_path):
    (tmp_path / "a.bin").write_text("x")
    message, hint = refused(tmp_path)
    assert "holds no text" in message
    assert "*.md, *.rst, *.text, *.txt" in hint


def test_a_binary_file_is_refused_with_the_place(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"PK\x03\0")
    assert "a.txt is binary: byte 3 is zero" in refused(tmp_path / "a.txt")[0]


def test_a_file_that_is_not_utf8_is_refused_with_the_place(tmp_path):
    (tmp_path / "a.txt").write_bytes("naïve".encode("latin-1"))
    message, hint = refused(tmp_path / "a.txt")
    assert "not UTF-8: byte 0xef at 2" in message
    assert "UTF-8" in hint


def test_no_text_of_a_folder_is_left_out_unseen(tmp_path):
    corpus, elsewhere = tmp_path / "corpus", tmp_path / "elsewhere"
    for folder in (corpus, elsewhere):
        folder.mkdir()
        (folder / "a.txt").write_text("text")
    (corpus / "linked").symlink_to(elsewhere)
    assert "linked is a link to a folder" in refused(corpus)[0]
    (corpus / "linked").unlink()
    (corpus / "b.txt").symlink_to(tmp_path / "gone.txt")
    assert "b.txt: No such file" in refused(corpus)[0]
    (corpus / "b.txt").unlink()
    os.mkfifo(corpus / "c.txt")
    assert "c.txt is neither a file nor a folder" in refused(corpus)[0]


def test_a_folder_that_cannot_be_looked_into_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "closed").mkdir()
    listed = os.scandir

    def scandir(path):
        # a test may run as root, to whom nothing is closed
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert "closed: Permission denied" in refused(tmp_path)[0]


def test_one_bad_file_in_a_folder_is_named(tmp_path):
    (tmp_path / "good.txt").write_text("good")
    (tmp_path / "odd.txt").write_bytes(b"\xff")
    assert "odd.txt is not UTF-8" in refused(tmp_path)[0]


@pytest.mark.parametrize("path", ["no/such.txt", "", "a\0b"])
def test_a_path_to_nothing_is_an_unknown_name(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    if not path:
        # the empty path is this folder, which holds no text
        assert "holds no text" in refused(path)[0]
        return
    with pytest.raises(UnknownNameError):
        load_corpus(path)


def test_a_path_below_a_file_is_an_unknown_name(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(UnknownNameError):
        load_corpus(tmp_path / "a.txt" / "b.txt")


def test_a_name_that_is_too_long_for_a_file_is_refused():
    assert "cannot read" in refused("x" * 5000)[0]


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    assert "neither a file nor a folder" in refused(tmp_path / "pipe.txt")[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_says_so(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "a.txt").chmod(0)
    assert "Permission denied" in refused(tmp_path / "a.txt")[0]


def test_a_download_is_announced_with_size_and_places(tmp_path):
    said = announced_download("tinyshakespeare", cache=tmp_path)
    assert said.startswith("downloading tinyshakespeare.txt, 1.06 MiB, from https://")
    assert said.endswith(f"into {tmp_path}")


def test_what_is_here_is_not_announced(tmp_path):
    (tmp_path / "tinyshakespeare.txt").write_text("kept")
    assert announced_download("tinyshakespeare", cache=tmp_path) is None
    assert announced_download("python-docs", cache=tmp_path) is None
    assert announced_download(tmp_path / "mine.txt", cache=tmp_path) is None


def test_files_of_a_folder_that_are_left_alone_are_counted(tmp_path):
    for name in ("a.txt", "b.md", "c.html", ".d.txt", "e"):
        (tmp_path / name).write_text("text")
    said = load_corpus(tmp_path).remark
    assert said.startswith(f"of {tmp_path} 2 files are read, 3 left alone: hidden, or not .md")


def test_of_a_folder_that_is_read_as_a_whole_nothing_is_said(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    assert load_corpus(tmp_path).remark == ""
