"""What models start, print and leave behind, one after the other: what became of each.

    python tools/storm_processes.py -o rows.md

Every model of `storm_models.py` is measured by a server of its kind; a row tells the outcome that
was expected and the one that was seen, how long it took against its limit plus 2 s, how many of its
processes were left when the next case could begin, and the most memory that this process has held.
Exit code 1 where a row is not as it was expected.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lmn_bench.run.process import ForkServer
from lmn_bench.run.schedule import Task, measure_task
from lmn_bench.schema import Case, Measuring, ModelSpec, Record

HERE = Path(__file__).parent
LENGTH = 1024
MIB = 2**20
CAP = 64 * MIB
# Beyond its limit, by when a case is over and its processes are gone.
GRACE_S = 2.0
MOST_PARENT_MIB = 300
MARK = "LMN_BENCH_STORM"
_HELPERS = "still running at its end"
_CUT = "were kept"
_UNSEEN = "unseen by RLIMIT_DATA"


@dataclass(frozen=True)
class Storm:
    """One model, and what is to become of it.

    Attributes:
        name: of the factory in storm_models.py.
        outcome: of its record.
        words: to be found in its reason or its warnings.
        limit_s: of its time.
        cap: of its memory, by `mechanism`.
    """

    name: str
    outcome: str
    words: str = ""
    limit_s: float = 20.0
    cap: int | None = None
    mechanism: str = "rlimit"


STORMS = (
    Storm("forks_twice", "ok", _HELPERS),
    Storm("forks_twice_in_trials", "ok", _HELPERS),
    Storm("raw_daemon_in_trials", "ok", _HELPERS),
    Storm("four_sleepers", "ok", _HELPERS),
    Storm("forks_as_it_dies", "ok", _HELPERS),
    Storm("guards", "ok", _HELPERS),
    Storm("daemon_and_hang", "timeout", _HELPERS, limit_s=4),
    Storm("leaves_to_a_daemon", "error", "exit code 0"),
    Storm("ignores_sigterm", "timeout", limit_s=4),
    Storm("thousand_threads", "ok", limit_s=60),
    Storm("thousand_threads", "out_of_memory", "no memory for another thread", cap=CAP),
    Storm("prints_3_gib", "ok", _CUT, limit_s=60),
    Storm("complains_3_gib", "ok", _CUT, limit_s=60),
    Storm("prints_for_ever", "timeout", _CUT, limit_s=4),
    Storm("raises_50_mb", "error", "ValueError: xxx", limit_s=60),
    Storm("raises_50_mb_at_once", "error", "ValueError: xxx", limit_s=60),
    Storm("warns_50_mb", "ok", limit_s=60),
    Storm("refuses_50_mb", "error", "SubjectError: sss", limit_s=60),
    Storm("eats_descriptors", "error", "files open", limit_s=60),
    Storm("writes_into_descriptors", "ok"),
    Storm("closes_descriptors", "ok"),
    Storm("closes_all_descriptors", "ok"),
    Storm("kills_the_server", "killed", "not by the kernel", limit_s=4),
    Storm("asks_the_server_to_end", "killed", "signal 15", limit_s=4),
    Storm("stops_the_server", "timeout", limit_s=4),
    Storm("kills_the_warden", "killed", "not by the kernel", limit_s=4),
    Storm("kills_its_group", "killed", "not by the kernel"),
    Storm("leaves_by_exit", "error", "exit code 0"),
    Storm("leaves_by_sys_exit", "error", "SystemExit: 0"),
    Storm("memory_file", "out_of_memory", _UNSEEN, cap=CAP),
    Storm("shared_memory", "out_of_memory", _UNSEEN, cap=CAP),
    Storm("dev_shm", "out_of_memory", _UNSEEN, cap=CAP),
    Storm("others_hold", "out_of_memory", _UNSEEN, cap=CAP),
    Storm("child_allocates", "ok", cap=CAP),
    Storm("memory_file", "killed", "by the kernel at memory", cap=CAP, mechanism="cgroup"),
    Storm("child_allocates", "killed", "a process that it had started", cap=CAP,
          mechanism="cgroup"),
)  # fmt: skip
QUICK = Measuring(
    processes=1, time_goal_s=0.01, max_samples=3, warmup_limit_s=0.01, counters=False,
    quiet_wait_s=0,
)  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What became of one: its record, its processes, and the memory of this process."""

    storm: Storm
    record: Record
    seconds: float
    left: tuple[str, ...]
    parent_mib: float

    @property
    def wrong(self) -> list[str]:
        """What is not as it was expected."""
        storm, record = self.storm, self.record
        said = " / ".join([record.reason or "", *record.warnings])
        found = {
            f"{record.outcome}, not {storm.outcome}": record.outcome != storm.outcome,
            f"says nothing of {storm.words!r}: {said[:200]!r}": storm.words not in said,
            f"took {self.seconds:.1f} s": self.seconds > storm.limit_s + GRACE_S,
            f"left {self.left}": bool(self.left),
            f"the parent took {self.parent_mib:.0f} MiB": self.parent_mib > MOST_PARENT_MIB,
        }
        return [words for words, is_so in found.items() if is_so]


def storm(one: Storm, server: ForkServer, mark: str) -> Seen:
    """Measure one model; what became of it."""
    # Started before: what is timed is the case.
    server.has_cuda()
    Path("/proc/self/clear_refs").write_text("5")
    before = set(marked(mark))
    case = Case(f"storm_models:{one.name}", "prefill", LENGTH, memory_cap_bytes=one.cap,
                model=ModelSpec(width=16, heads=1))  # fmt: skip
    settings = {**vars(QUICK), "timeout_s": one.limit_s, "cap_mechanism": one.mechanism}
    begin = time.monotonic()
    record = measure_task(Task(case, 0, 0), Measuring(**settings), 0, server, time.monotonic)
    seconds = time.monotonic() - begin
    left = tuple(words for pid, words in marked(mark).items() if pid not in before)
    return Seen(one, record, seconds, left, _peak_mib())


def marked(mark: str) -> dict[int, str]:
    """The processes that were started under this mark and run yet, wherever they are now."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(folder.name)] = words.strip()
        except OSError:
            continue
    return found


def _peak_mib() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def all_seen(storms: tuple[Storm, ...]) -> Iterator[Seen]:
    """One after the other; one server per mechanism of caps, and none of its processes after it."""
    for mechanism in dict.fromkeys(one.mechanism for one in storms):
        mark = f"{os.getpid()}-{mechanism}"
        path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
        environ = {**os.environ, MARK: mark, "PYTHONPATH": path}
        with ForkServer(environ, cap_mechanism=mechanism) as server:
            for one in storms:
                if one.mechanism == mechanism:
                    yield storm(one, server, mark)
        if left := marked(mark):
            raise RuntimeError(f"left after the last case: {left}")


def rows(seen: list[Seen]) -> Iterator[str]:
    """A table in Markdown."""
    yield "| model | cap | expected | seen | seconds (limit + 2) | left | parent MiB |"
    yield "|---|---|---|---|---:|---:|---:|"
    for one in seen:
        case = one.storm
        cap = "" if case.cap is None else f"{case.cap // MIB} MiB, {case.mechanism}"
        yield (
            f"| {case.name} | {cap} | {case.outcome} | {one.record.outcome} | {one.seconds:.1f} "
            f"({case.limit_s + GRACE_S:g}) | {len(one.left)} | {one.parent_mib:.0f} |"
        )


def main() -> int:
    """Run the storm and write its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, help="file for the rows (Markdown)")
    parser.add_argument("names", nargs="*", help="models; all by default")
    options = parser.parse_args()
    chosen = tuple(one for one in STORMS if not options.names or one.name in options.names)
    seen = []
    for one in all_seen(chosen):
        seen.append(one)
        sign = "✗" if one.wrong else "✓"
        said = "  ".join([sign, one.storm.name, f"{one.seconds:.1f} s", *one.wrong])
        sys.stderr.write(f"{said}\n")
    table = "\n".join(rows(seen)) + "\n"
    if options.output is None:
        sys.stdout.write(table)
    else:
        options.output.write_text(table, encoding="utf-8")
    return int(any(one.wrong for one in seen))


if __name__ == "__main__":
    sys.exit(main())
