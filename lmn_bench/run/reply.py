"""How a child ended, and what its end says."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lmn_bench.errors import ProfileError
from lmn_bench.keeping import HEAD_BYTES, TAIL_BYTES
from lmn_bench.outcomes import allocation_that_failed, says_out_of_memory
from lmn_bench.plain import one_line
from lmn_bench.units import format_bytes, format_duration

_SHORTER = "take a shorter --length or a smaller --batch"


@dataclass(frozen=True)
class Reply:
    """How a child ended.

    Attributes:
        result: what it measured; None when it died before it could say.
        exit_code: its exit status, negative for a signal.
        timed_out: whether we killed it.
        output: the end of what it printed.
        left: processes that it had started and left behind; they were ended.
        cap: what limited its memory: `mechanism`, `floor_bytes`; by cgroup also `peak_bytes` and
            `killed`. None without a cap, or when it died before one was set.
        printed: bytes that it printed, by stream.
        oom_kills: processes that the kernel ended meanwhile, on this machine, for want of memory;
            None where it does not tell.
    """

    result: dict[str, Any] | None
    exit_code: int
    timed_out: bool
    output: str
    cap: dict[str, Any] | None = None
    left: int = 0
    printed: Mapping[str, int] = field(default_factory=dict)
    oom_kills: int | None = None

    @property
    def last_words(self) -> str:
        """The last line that it printed."""
        return (self.output.strip().splitlines() or ["no last words"])[-1]


def profile_of(reply: Reply, timeout_s: float) -> dict[str, Any]:
    """The profile in a reply.

    Raises:
        ProfileError: there is none: the child failed, died, or took too long.
    """
    if reply.result is not None and "failed" in reply.result:
        raise ProfileError(**reply.result["failed"])
    if reply.result is not None:
        profile: dict[str, Any] = reply.result["profile"]
        return profile
    if reply.timed_out:
        raise ProfileError(f"the profile took longer than {format_duration(timeout_s)}", _SHORTER)
    if says_out_of_memory(reply.output):
        reason = allocation_that_failed(reply.output)
        raise ProfileError(f"the model ran out of memory: {reason}", _SHORTER)
    if reply.exit_code == -signal.SIGKILL:
        raise ProfileError(f"the profiled process was {kill_words(reply)}", _SHORTER)
    raise ProfileError(f"the profiled process {end_words(reply)}")


def kill_words(reply: Reply) -> str:
    """Who has killed a child by signal 9, as far as that can be told."""
    return signal_9_words(reply.oom_kills)


def signal_9_words(oom_kills: int | None) -> str:
    """Who has killed a process by signal 9, given how many the kernel has killed meanwhile."""
    if oom_kills == 0:
        return "killed by signal 9, not by the kernel for want of memory: by its own code or a user"
    return "killed by signal 9: most likely the kernel, short of memory"


def end_words(reply: Reply) -> str:
    """How a child without a result has ended: "ended with exit code 7: what it said last"."""
    end = f"signal {-reply.exit_code}" if reply.exit_code < 0 else f"exit code {reply.exit_code}"
    return f"ended with {end}: {one_line(reply.last_words)}"


def printed_words(reply: Reply) -> str:
    """What a child said last, in brackets; nothing where it said nothing."""
    lines = [line for line in reply.output.splitlines() if line.strip()]
    return f" (it printed: {one_line(lines[-1])})" if lines else ""


def notes_of(reply: Reply) -> Iterator[str]:
    """What a record tells of what a child left, printed and met beside its measurement."""
    if reply.left:
        yield left_words(reply.left)
    for stream, printed in reply.printed.items():
        if printed > HEAD_BYTES + TAIL_BYTES:
            yield cut_words(stream, printed)


def cut_words(stream: str, printed: int) -> str:
    """What a record tells of a stream of which the middle was not kept."""
    return (
        f"it printed {format_bytes(printed)} to {stream}, of which the first "
        f"{format_bytes(HEAD_BYTES)} and the last {format_bytes(TAIL_BYTES)} were kept"
    )


def left_words(count: int) -> str:
    """What a record tells of processes that a model had started and left behind."""
    each = "process that it had started was" if count == 1 else "processes that it had started were"
    return f"helpers ran beside the timing: {count:,} {each} still running at its end, and ended"
