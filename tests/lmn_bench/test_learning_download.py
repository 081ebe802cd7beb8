from __future__ import annotations

import hashlib
import io
import threading
from dataclasses import replace
from http.client import IncompleteRead
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest

from lmn_bench.errors import UsageError
from lmn_bench.learning.download import RemoteFile, cache_folder, fetch, open_address

CONTENT = b"To be, or not to be"
REMOTE = RemoteFile(
    "plays.txt", "https://example.org/plays", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT)
)


class Network:
    """Answers with a content, and counts how often it was asked."""

    def __init__(self, content=CONTENT):
        self.content = content
        self.opened = []

    def __call__(self, address):
        self.opened.append(address)
        return io.BytesIO(self.content)


def failing(error):
    def opener(address):
        raise error

    return opener


def refused(folder, opener):
    with pytest.raises(UsageError) as caught:
        fetch(REMOTE, folder, opener)
    return caught.value


def test_a_file_is_downloaded_once_and_kept(tmp_path):
    network = Network()
    folder = tmp_path / "new" / "cache"
    assert fetch(REMOTE, folder, network) == CONTENT
    assert fetch(REMOTE, folder, network) == CONTENT
    assert network.opened == [REMOTE.address]
    assert [path.name for path in folder.iterdir()] == ["plays.txt"]


def test_an_address_is_opened_for_its_bytes(tmp_path):
    # An address on this machine: tests never touch the network.
    (tmp_path / "there.txt").write_bytes(CONTENT)
    remote = replace(REMOTE, address=(tmp_path / "there.txt").as_uri())
    assert fetch(remote, tmp_path, open_address) == CONTENT


def test_a_file_put_into_the_cache_by_hand_needs_no_network(tmp_path):
    (tmp_path / "plays.txt").write_bytes(CONTENT)
    assert fetch(REMOTE, tmp_path, failing(AssertionError("opened"))) == CONTENT


def test_another_content_from_the_network_is_refused_and_not_kept(tmp_path):
    error = refused(tmp_path, Network(b"<html>log in first</html>"))
    assert REMOTE.sha256 in error.message
    assert "by its path" in error.hint
    assert not list(tmp_path.iterdir())


def test_no_more_is_read_than_the_file_has(tmp_path):
    class Endless(io.RawIOBase):
        def read(self, size=-1):
            assert 0 < size <= len(CONTENT) + 1
            return b"x" * size

    assert "something else" in refused(tmp_path, lambda address: Endless()).message


def test_a_download_has_a_deadline_as_a_whole(tmp_path):
    ended = threading.Event()

    class Slow(io.RawIOBase):
        def read(self, size=-1):
            ended.wait(60)
            return CONTENT

    with pytest.raises(UsageError, match=r"not done within 0\.01 s") as caught:
        fetch(REMOTE, tmp_path, lambda address: Slow(), deadline_s=0.01)
    ended.set()
    assert "by its path" in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_another_content_in_the_cache_is_refused_and_left_alone(tmp_path):
    (tmp_path / "plays.txt").write_bytes(b"mine")
    network = Network()
    error = refused(tmp_path, network)
    assert "expected sha256" in error.message
    assert "delete it" in error.hint
    assert (tmp_path / "plays.txt").read_bytes() == b"mine"
    assert not network.opened


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (URLError(OSError("no route to host")), "no route to host"),
        (HTTPError(REMOTE.address, 404, "Not Found", None, None), "Not Found"),
        (TimeoutError("timed out"), "timed out"),
        (IncompleteRead(b"To"), "IncompleteRead"),
    ],
    ids=["offline", "missing", "timeout", "cut"],
)
def test_being_offline_says_how_to_supply_the_file(tmp_path, error, reason):
    found = refused(tmp_path, failing(error))
    assert reason in found.message
    assert REMOTE.address in found.message
    assert str(tmp_path / "plays.txt") in found.hint
    assert "by its path" in found.hint


def test_a_cache_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "cache").write_text("a file, not a folder")
    error = refused(tmp_path / "cache", Network())
    assert str(tmp_path / "cache") in error.message


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    (tmp_path / "plays.txt").mkdir()
    assert "cannot read" in refused(tmp_path, Network()).message
    assert [path.name for path in tmp_path.iterdir()] == ["plays.txt"]


def test_the_cache_lies_where_the_user_keeps_caches(tmp_path):
    assert cache_folder({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "lmn-bench"


@pytest.mark.parametrize("environ", [{}, {"XDG_CACHE_HOME": ""}, {"XDG_CACHE_HOME": "relative"}])
def test_without_an_absolute_folder_for_caches_it_is_that_of_the_home(environ):
    assert cache_folder(environ) == Path.home() / ".cache" / "lmn-bench"
