"""A file that is downloaded once, known by its hash, and kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO

from lmn.atomic import replacing
from lmn_bench.errors import UsageError

# Without an answer for this long the machine is as good as offline.
_TIMEOUT_S = 30.0

Opener = Callable[[str], AbstractContextManager[IO[bytes]]]


@dataclass(frozen=True)
class RemoteFile:
    """A file on the network whose content never changes."""

    name: str
    address: str
    sha256: str
    size_bytes: int


def open_address(address: str) -> AbstractContextManager[IO[bytes]]:
    """The bytes at an address; gives up after 30 s without any."""
    response: AbstractContextManager[IO[bytes]] = urllib.request.urlopen(
        address, timeout=_TIMEOUT_S
    )
    return response


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where downloads are kept: `lmn-bench` in XDG_CACHE_HOME, or else in ~/.cache.

    A relative XDG_CACHE_HOME is ignored, as the XDG base directory specification says.
    """
    given = Path(environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "lmn-bench"


def fetch(remote: RemoteFile, folder: Path, opener: Opener = open_address) -> bytes:
    """The content of `remote`: out of `folder`, or downloaded into it.

    Raises:
        UsageError: it is neither there nor to be had, has another hash, or cannot be kept.
    """
    kept = folder / remote.name
    try:
        content = kept.read_bytes()
    except FileNotFoundError:
        content = _download(remote, kept, opener)
        _keep(content, kept, remote)
        return content
    except OSError as error:
        raise UsageError(f"cannot read {kept}: {error.strerror}", _by_hand(kept)) from None
    if _sha256(content) != remote.sha256:
        raise UsageError(
            f"{kept} is not the file it should be: {_expected(remote, content)}",
            f"delete it to have it downloaded anew; {_by_hand(kept)}",
        )
    return content


def _download(remote: RemoteFile, kept: Path, opener: Opener) -> bytes:
    try:
        with opener(remote.address) as response:
            # One byte more than expected shows a longer file; there may be no end to it.
            content = response.read(remote.size_bytes + 1)
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise UsageError(
            f"cannot download {remote.name} from {remote.address}: {reason}", _by_hand(kept)
        ) from None
    if _sha256(content) != remote.sha256:
        raise UsageError(
            f"{remote.address} sent something else: {_expected(remote, content)}", _by_hand(kept)
        )
    return content


def _keep(content: bytes, kept: Path, remote: RemoteFile) -> None:
    """Write a file as a whole; processes that do so at the same time don't meet."""
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as file:
            file.write(content)
    except OSError as error:
        raise UsageError(
            f"cannot keep {remote.name} as {kept}: {error.strerror}",
            f"set XDG_CACHE_HOME to a folder that can be written; {_by_hand(kept)}",
        ) from None


def _expected(remote: RemoteFile, content: bytes) -> str:
    return f"expected sha256 {remote.sha256}, got {_sha256(content)}"


def _by_hand(kept: Path) -> str:
    return f"give a file of your own by its path, or put the right one at {kept}"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
