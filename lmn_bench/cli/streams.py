"""Standard output and error that never end a command: what it found out stands without them.

A reader may leave (`| head`), a disk be full, a terminal die or lack a letter. From the first
failure on, a stream swallows what it is given; what became of it is asked at the end.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO, cast

from lmn_bench.escapes import ESCAPED


class SteadyStream(io.TextIOBase):
    """A text stream in front of another one (None: closed from the start) that never raises.

    It has no `buffer`: nothing is to reach the stream behind it unguarded.
    """

    encoding: str = "utf-8"

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        """Write what the encoding has, equivalents for the rest; or nothing, once that failed."""
        if self.failure is None:
            try:
                self._write(text)
            except (OSError, ValueError) as error:
                self._fail(error)
        return len(text)

    def write_utf8(self, text: str) -> int:
        """Write in UTF-8, whatever the encoding, where the stream behind takes bytes."""
        buffer = getattr(self._stream, "buffer", None)
        if buffer is None:
            return self.write(text)
        self.flush()
        if self.failure is None:
            try:
                buffer.write(text.encode("utf-8", ESCAPED))
            except (OSError, ValueError) as error:
                self._fail(error)
        return len(text)

    def flush(self) -> None:
        """Flush, unless something failed before."""
        if self.failure is None and self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._fail(error)

    def isatty(self) -> bool:
        """Whether a terminal is there to see it."""
        try:
            return self.failure is None and self._stream is not None and self._stream.isatty()
        except ValueError:
            return False

    def fileno(self) -> int:
        """The descriptor of the stream behind."""
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()

    def writable(self) -> bool:
        """Always: what can't be written is swallowed."""
        return True

    @property
    def reader_left(self) -> bool:
        """Whether it was a pipe that nobody reads any more: no error, but nothing is wanted."""
        return isinstance(self.failure, BrokenPipeError)

    @property
    def lost(self) -> str | None:
        """Why output that was wanted could not be written; None if all of it was."""
        if self.failure is None or self.reader_left:
            return None
        if self.failure.errno == errno.EBADF:
            return "it is closed"
        return self.failure.strerror or str(self.failure)

    def _write(self, text: str) -> None:
        if self._stream is None:
            if text:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            return
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            # Encoded as a whole before anything is written, so that nothing is written twice.
            fit = text.encode(self.encoding, ESCAPED).decode(self.encoding)
            self._stream.write(fit)

    def _fail(self, error: OSError | ValueError) -> None:
        # A ValueError: the stream was closed within this process.
        closed = OSError(errno.EBADF, os.strerror(errno.EBADF))
        self.failure = error if isinstance(error, OSError) else closed


@contextmanager
def steady_streams() -> Iterator[tuple[SteadyStream, SteadyStream]]:
    """Stand in for `sys.stdout` and `sys.stderr` meanwhile."""
    before = sys.stdout, sys.stderr
    out, err = SteadyStream(sys.stdout), SteadyStream(sys.stderr)
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    try:
        yield out, err
    finally:
        sys.stdout, sys.stderr = before


def is_unread() -> bool:
    """Whether standard output fails, or its reader has left: more of it helps nobody."""
    return isinstance(sys.stdout, SteadyStream) and sys.stdout.failure is not None


def secure_descriptors() -> None:
    """Give every process the three descriptors it counts on.

    A file opened while one of them is closed would get its number, and with it all that a library
    or a child of ours says.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, closefd=False)
    for descriptor in (1, 2):
        if not os.get_blocking(descriptor):
            # Shared with a program that left it so: a full pipe is to be waited for.
            os.set_blocking(descriptor, True)


def settle_streams() -> None:
    """Nothing is left for Python to flush at exit, where a failure would change the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
