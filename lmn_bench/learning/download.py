"""A file that is downloaded once, known by its hash, and kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import queue
import threading
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
# A server that sends a byte now and then never lets that pass: the whole has a limit too. Our
# largest file takes it at 4 kB/s.
DEADLINE_S = 300.0

Opener = Callable[[str], AbstractContextManager[IO[bytes]]]


@dataclass(frozen=True)
class RemoteFile:
    """A file on the network whose content never changes."""

    name: str
    address: str
    sha256: str
    size_bytes: int


def open_address(address: str) -> AbstractContextManager[IO[bytes]]:
    """The bytes at an address; gives up after 30 s without any (`fetch` has one for the whole)."""
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


def fetch(
    remote: RemoteFile,
    folder: Path,
    opener: Opener = open_address,
    deadline_s: float = DEADLINE_S,
) -> bytes:
    """The content of `remote`: out of `folder`, or downloaded into it within `deadline_s` seconds.

    Raises:
        UsageError: it is neither there nor to be had (in time), has another hash, or cannot be
            kept.
    """
    kept = folder / remote.name
    try:
        content = kept.read_bytes()
    except FileNotFoundError:
        content = _download(remote, kept, opener, deadline_s)
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


def _download(remote: RemoteFile, kept: Path, opener: Opener, deadline_s: float) -> bytes:
    try:
        content = _within(deadline_s, lambda: _read(remote, opener))
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


def _read(remote: RemoteFile, opener: Opener) -> bytes:
    with opener(remote.address) as response:
        # One byte more than expected shows a longer file; there may be no end to it.
        return response.read(remote.size_bytes + 1)


def _within(seconds: float, work: Callable[[], bytes]) -> bytes:
    """What `work` returns or raises; a TimeoutError where it takes longer.

    No limit of a socket ends what is asked before there is one (a name), or what comes in drops.
    Work that is late is left to itself in a thread that ends with the process.
    """
    outcome: queue.SimpleQueue[bytes | BaseException] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put(work())
        except BaseException as error:
            outcome.put(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        found = outcome.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"not done within {seconds:g} s") from None
    if isinstance(found, BaseException):
        raise found
    return found


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
