"""Texts to learn from: by name, or any UTF-8 file or folder of them."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path

from lmn_bench.errors import UnknownNameError, UsageError
from lmn_bench.learning.download import Opener, RemoteFile, cache_folder, fetch, open_address
from lmn_bench.learning.names import CORPORA
from lmn_bench.reading import read_bytes
from lmn_bench.texts import decode_text
from lmn_bench.units import format_bytes

TINY_SHAKESPEARE = RemoteFile(
    name="tinyshakespeare.txt",
    address="https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
    sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    size_bytes=1_115_394,
)
# As text and as tokens in memory it takes ten times as much.
MOST_CORPUS_BYTES = 2**30
# What is read of a folder; everything else in it is left alone.
SUFFIXES = (".md", ".rst", ".text", ".txt")


@dataclass(frozen=True)
class Corpus:
    """A text, under the name and the hash that stand in every record of a run on it.

    Attributes:
        name: of the corpus, or of the file or folder.
        text: all of it.
        sha256: of the text's UTF-8, in hexadecimal; results of different ones are never mixed.
        remark: what a user should know of how it was read; may be empty.
    """

    name: str
    text: str = field(repr=False)
    sha256: str
    remark: str = field(default="", compare=False)


def load_corpus(
    source: str | Path, *, cache: Path | None = None, opener: Opener = open_address
) -> Corpus:
    """The corpus of a name in `CORPORA`, or the text at a path.

    A name goes before a file of that name: for the file write "./python-docs". Of a folder, the
    files that end in one of `SUFFIXES` are read, those in its folders too, sorted by path and
    joined with a line break; what is hidden is left out.

    Args:
        source: a name or a path.
        cache: where downloads are kept; by default `cache_folder()`.
        opener: opens an address for reading.

    Raises:
        UnknownNameError: no such name, and nothing of that path.
        UsageError: a text that is empty, not UTF-8, cannot be read or cannot be had.
    """
    if source == "python-docs":
        return _corpus("python-docs", _python_docs())
    if source == "tinyshakespeare":
        content = fetch(TINY_SHAKESPEARE, cache or cache_folder(), opener)
        return _corpus("tinyshakespeare", content.decode())
    path = Path(source)
    text, remark = _folder(path) if _is_folder(path) else (_file(path), "")
    return replace(_corpus(path.resolve().name or str(path), text), remark=remark)


def needs_download(source: str | Path, *, cache: Path | None = None) -> bool:
    """Whether `load_corpus` would have to ask the network."""
    kept = (cache or cache_folder()) / TINY_SHAKESPEARE.name
    return source == "tinyshakespeare" and not kept.exists()


def announced_download(source: str | Path, *, cache: Path | None = None) -> str | None:
    """What `load_corpus` would fetch, in words, for a user to know before; None if nothing."""
    if not needs_download(source, cache=cache):
        return None
    size = format_bytes(TINY_SHAKESPEARE.size_bytes)
    return (
        f"downloading {TINY_SHAKESPEARE.name}, {size}, from {TINY_SHAKESPEARE.address} into "
        f"{cache or cache_folder()}"
    )


def _corpus(name: str, text: str) -> Corpus:
    if not text.strip():
        raise UsageError(f"corpus {name!r} is empty: it holds no text", "give another file")
    return Corpus(name, text, hashlib.sha256(text.encode()).hexdigest())


def _python_docs() -> str:
    """The topics that `help()` shows: other Pythons hold other texts, hence another hash."""
    try:
        topics = import_module("pydoc_data.topics").topics
    except ImportError:
        raise UsageError(
            "this Python was installed without pydoc_data, the text of its help()",
            "give a text file or folder of your own by its path",
        ) from None
    return "\n".join(topics[name] for name in sorted(topics))


def _folder(folder: Path) -> tuple[str, str]:
    """The text of a folder, and what of it was read."""
    files = sorted(_files(folder))
    found = [path for path in files if _is_text(path, folder)]
    if not found:
        endings = ", ".join(f"*{suffix}" for suffix in SUFFIXES)
        raise UsageError(f"folder {folder} holds no text", f"it is searched for {endings}")
    return "\n".join(_file(path) for path in found), _left_alone(folder, len(found), len(files))


def _left_alone(folder: Path, read: int, files: int) -> str:
    if read == files:
        return ""
    endings = ", ".join(SUFFIXES)
    return (
        f"of {folder} {read:,} file{'s are' if read > 1 else ' is'} read, {files - read:,} left "
        f"alone: hidden, or not {endings}"
    )


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder, hidden folders left out; one that can't be read ends in an error.

    Raises:
        UsageError: a folder that cannot be looked into, or a link to one: half a corpus is another.
    """

    def refuse(error: OSError) -> None:
        raise UsageError(f"cannot read {error.filename}: {error.strerror}") from None

    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            if (Path(place) / name).is_symlink():
                raise UsageError(
                    f"{Path(place) / name} is a link to a folder, which is not followed",
                    "put the folder itself there, or take the link away",
                )
        yield from (Path(place) / name for name in files)


def _is_text(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.suffix.lower() in SUFFIXES and not hidden


def _file(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            # Reading a pipe or a device might never end.
            raise UsageError(f"{path} is neither a file nor a folder", "a corpus is UTF-8 text")
        content = read_bytes(path, MOST_CORPUS_BYTES)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    text = decode_text(content, str(path))
    if "\0" in text:
        raise UsageError(
            f"{path} is binary: byte {content.index(0)} is zero", "a corpus is UTF-8 text"
        )
    return text


def _is_folder(path: Path) -> bool:
    """Whether a path is a folder; else it is a file that can be read to its end."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        known = "; or give the path of a text file or folder"
        raise UnknownNameError("corpus", str(path), CORPORA, known) from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    # Reading a pipe or a device might never end.
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise UsageError(f"{path} is neither a file nor a folder", "a corpus is UTF-8 text")
    return stat.S_ISDIR(mode)
