"""Hostile and broken files and options against every reader: none may end in an internal error.

    python tools/fuzz_inputs.py                       all kinds, in full (half an hour of one core)
    python tools/fuzz_inputs.py --share 0.1 suites    a tenth of one kind
    python tools/fuzz_inputs.py -o results/evidence/faults.md

Every input is drawn from a seed of its own, which is printed where it fails: half of each kind by
hypothesis out of the shapes that a file has (keys, types, ranges, names), half by a mutator of the
bytes of good ones. Commands run in this process, with their output caught; each is watched: its
exit code, its seconds of CPU time, and how far the memory of the process rises. -o appends the
table.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from fuzz_targets import KINDS, Kind

from lmn_bench.errors import ExitCode

SEED = 190_001
MOST_S = 10.0
# On a busy machine an input may wait; one that waits longer waits for something.
MOST_WAITED_S = 60.0
MOST_BYTES = 2**30
_TOLD = 5
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Tally:
    """What became of the inputs of one kind."""

    name: str
    inputs: int = 0
    good: int = 0
    refused: int = 0
    internal: int = 0
    slow: int = 0
    large: int = 0
    longest_s: float = 0.0
    most_bytes: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing ended as it must not."""
        return not (self.internal or self.slow or self.large)

    def row(self) -> str:
        """The line of the table."""
        return (
            f"| {self.name} | {self.inputs:,} | {self.good:,} | {self.refused:,} | {self.internal} "
            f"| {self.slow} | {self.large} | {self.longest_s:.1f} s "
            f"| {self.most_bytes / 2**20:,.0f} MiB |"
        )


HEADER = (
    "| inputs | tried | taken | refused | internal errors | over 10 s | over 1 GiB | longest | "
    "most memory |\n|:--|--:|--:|--:|--:|--:|--:|--:|--:|"
)


class TooSlow(BaseException):
    """An input took longer than it may; no handler of errors shall take it for one."""


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """End what is inside by `TooSlow` after `MOST_S` of CPU time or `MOST_WAITED_S` of waiting."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    clocks = {
        signal.SIGPROF: (signal.ITIMER_PROF, MOST_S),
        signal.SIGALRM: (signal.ITIMER_REAL, MOST_WAITED_S),
    }
    before = {number: signal.signal(number, ring) for number in clocks}
    for clock, seconds in clocks.values():
        signal.setitimer(clock, seconds)
    try:
        yield
    finally:
        for number, (clock, _) in clocks.items():
            signal.setitimer(clock, 0)
            signal.signal(number, before[number])


def risen_bytes() -> int:
    """The highest resident memory since the last `forget_peak`."""
    line = next(one for one in _STATUS.read_text().splitlines() if one.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def forget_peak() -> int:
    """Let the kernel measure the peak anew; what is resident now."""
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5")
    return risen_bytes()


def try_one(tally: Tally, name: str, attempt: Callable[[], int | None]) -> None:
    """Run one attempt under watch: it returns an exit code, or None if that does not count."""
    out, err = io.StringIO(), io.StringIO()
    before, begin = forget_peak(), time.process_time()
    code: int | None = None
    said = ""
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), limited():
            code = attempt()
    except KeyboardInterrupt:
        raise
    except TooSlow:
        tally.slow += 1
        said = f"over {MOST_S:.0f} s"
    except BaseException:
        code, said = ExitCode.INTERNAL, traceback.format_exc()
    seconds, risen = time.process_time() - begin, risen_bytes() - before
    tally.inputs += 1
    tally.seconds += seconds
    tally.longest_s = max(tally.longest_s, seconds)
    tally.most_bytes = max(tally.most_bytes, risen)
    if risen > MOST_BYTES:
        tally.large += 1
        said = said or f"{risen:,} bytes"
    if code == ExitCode.INTERNAL:
        tally.internal += 1
        said = said or err.getvalue()
    elif code is not None:
        tally.good += code == ExitCode.OK
        tally.refused += code != ExitCode.OK
    if said:
        tally.failures.append(f"{name}\n{said[-3000:]}")


def fuzz(kind: Kind, count: int, seed: int, folder: Path) -> Tally:
    """Try `count` inputs of a kind, each drawn from its own seed."""
    tally = Tally(kind.title)
    for number in range(count):
        own = f"{seed}-{kind.name}-{number}"
        place = folder / f"{kind.name}-{number}"
        place.mkdir()
        drawn = kind.attempt(random.Random(own), place, number)
        try_one(tally, own, drawn)
        _remove(place)
    return tally


def _remove(place: Path) -> None:
    import shutil

    shutil.rmtree(place, ignore_errors=True)


def main(arguments: Sequence[str]) -> int:
    """Fuzz what the command line asks for; 1 if anything ended as it must not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--share", type=float, default=1.0, help="of the inputs of each kind")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("-o", "--output", type=Path, help="append the table to this file")
    given = parser.parse_args(arguments)
    rows, clean = [HEADER], True
    print(HEADER)
    with tempfile.TemporaryDirectory() as folder:
        for name in given.kinds or KINDS:
            kind = KINDS[name]
            count = max(1, round(kind.count * given.share))
            tally = fuzz(kind, count, given.seed, Path(folder))
            clean = clean and tally.is_clean
            rows.append(tally.row())
            print(tally.row(), flush=True)
            for failure in tally.failures[:_TOLD]:
                print(failure, file=sys.stderr, flush=True)
    if given.output is not None:
        with given.output.open("a", encoding="utf-8") as file:
            file.write("\n".join(rows) + "\n")
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
