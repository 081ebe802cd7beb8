"""Disks of 20 sizes that are too small, down to a page: what is kept, what is said, what resumes?

    python tools/storm_disk.py                       20 sizes of each: 20 minutes on two quiet cores
    python tools/storm_disk.py --sizes 6 --only run,profile
    python tools/storm_disk.py -o                    also writes results/evidence/faults.md

Every case has a tmpfs of its own, in a mount namespace that goes with the storm (root, or a system
that lets users make such; `unshare` of util-linux). Sizes go from one page in equal steps of a
logarithm to twice what the command is seen to take (128 KiB at least); then room is made, and the
command goes on.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from storm_disk_targets import TARGETS, Target
from storm_material import make_runs
from storm_shared import EVIDENCE, Command, Ended, Findings, completed, strays, write_section

HEADING = "Full disks"
PAGE = os.sysconf("SC_PAGE_SIZE")
# More than any of the commands takes.
_ROOM = 1 << 26
_INSIDE = "LMN_BENCH_STORM_INSIDE"
# How a message names the disk, and what it says where it takes it for something else.
_NAMES_THE_DISK = re.compile("disk is full|disk was full|No space left|no room", re.IGNORECASE)
_BLAMES = re.compile(
    "cannot be built|out of memory|short of memory|internal error|Traceback|failed with",
    re.IGNORECASE,
)
# A peak may be shorter than the time between two looks: a file that replaces another.
_SURELY_ENOUGH = 2
# A baseline is replaced between two looks; it and what is held in reserve fit into this.
_LEAST_MOST = 1 << 17


@dataclass
class Row:
    """What the sizes of one command did."""

    sizes: list[int] = field(default_factory=list)
    full: int = 0
    found: Findings = field(default_factory=Findings)


@contextmanager
def disk(folder: Path, size: int) -> Iterator[None]:
    """A tmpfs of so many bytes on a folder."""
    folder.mkdir(exist_ok=True)
    mount = ("mount", "-t", "tmpfs", "-o", f"size={size}", "storm", str(folder))
    subprocess.run(mount, check=True)
    try:
        yield
    finally:
        subprocess.run(("umount", "-l", str(folder)), check=True)


def resize(folder: Path, size: int) -> None:
    """Give a mounted tmpfs another size."""
    subprocess.run(("mount", "-o", f"remount,size={size}", str(folder)), check=True)


def used(folder: Path) -> int:
    """Bytes that are taken on the file system of a folder."""
    told = os.statvfs(folder)
    return (told.f_blocks - told.f_bfree) * told.f_frsize


def sizes_to(most: int, count: int) -> list[int]:
    """So many sizes from a page to `most` bytes, in whole pages, each once."""
    pages = max(1, -(-most // PAGE))
    steps = max(1, count - 1)
    return sorted({round(pages ** (step / steps)) * PAGE for step in range(count)})


def need(target: type[Target], template: Path, folder: Path) -> int:
    """Bytes that a command takes at most, beyond what was there before.

    Raises:
        RuntimeError: it does not end well with all the room there is.
    """
    shutil.copytree(template, folder)
    with disk(folder / "disk", _ROOM):
        made = target(folder)
        made.prepare()
        before = most = used(made.disk)
        command = Command(made.words(), folder, folder.name)
        while command.lives:
            most = max(most, used(made.disk))
            time.sleep(0.0005)
        ended = command.ended()
    if ended.code:
        raise RuntimeError(f"{target.name} ends in {ended.code}: {ended.err[-800:]}")
    return most - before


def tried(target: type[Target], size: int, template: Path, folder: Path) -> tuple[bool, Findings]:
    """One size: whether the disk was full, and what went wrong, with the size."""
    shutil.copytree(template, folder)
    with disk(folder / "disk", _ROOM):
        made = target(folder)
        made.prepare()
        resize(made.disk, used(made.disk) + size)
        ended = completed(made.words(), folder, folder.name)
        found = Findings(left=strays(folder.name), wrong=ill_said(ended, made.full_codes))
        journal = made.journal()
        found.add(made.full(ended))
        resize(made.disk, _ROOM)
        words = made.next_words(ended)
        again = completed(words, folder, f"{folder.name}-next")
        if again.code not in made.next_codes:
            last = again.err.strip()[-300:]
            found.wrong.append(f"with room, {' '.join(words[:3])} ends in {again.code}: {last}")
        found.add(made.after(journal))
    for kind in (found.lost, found.doubled, found.left, found.wrong):
        kind[:] = [f"{one} ({size >> 10} KiB)" for one in kind]
    return ended.code != 0, found


def ill_said(ended: Ended, codes: Sequence[int]) -> list[str]:
    """What is wrong with the words of a command whose disk was full, and an exit code not told."""
    last = ended.err.strip()[-300:]
    if ended.code == 0:
        lost = "not written" in ended.err
        return [f"an output is lost and the exit code 0: {last}"] if lost else []
    found = []
    if ended.code not in codes:
        found.append(f"exit code {ended.code}: {last}")
    if not _NAMES_THE_DISK.search(ended.err):
        found.append(f"the disk is not named: {last}")
    if _BLAMES.search(ended.err):
        found.append(f"something else is blamed: {last}")
    return found


def storm(names: Sequence[str], count: int, jobs: int, folder: Path) -> dict[str, Row]:
    """All sizes of the targets of these names; rows by name."""
    template = folder / "template"
    template.mkdir()
    make_runs(template)
    rows: dict[str, Row] = {}
    with ThreadPoolExecutor(jobs) as pool:
        for target in (one for one in TARGETS if one.name in names):
            begin = time.monotonic()
            slug = "".join(one if one.isalnum() else "-" for one in target.name)
            most = need(target, template, folder / f"{slug}-need")
            row = rows.setdefault(
                target.name, Row(sizes_to(max(_SURELY_ENOUGH * most, _LEAST_MOST), count))
            )
            done = pool.map(
                lambda size: tried(target, size, template, folder / f"{slug}-{size}"),  # noqa: B023
                row.sizes,
            )
            for full, found in done:
                row.full += full
                row.found.add(found)
            say(f"{target.name}: takes {most >> 10} KiB; {len(row.sizes)} sizes in "
                f"{time.monotonic() - begin:.0f} s")  # fmt: skip
            for kind, sentence in row.found.all:
                say(f"  {kind}: {target.name}: {sentence}")
    return rows


def table(rows: dict[str, Row]) -> list[str]:
    """The rows as Markdown."""
    lines = [
        "| command | sizes | from | to | full | lost | doubled | left behind | wrong |",
        "|:--|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, row in rows.items():
        found = row.found
        cells = [
            len(row.sizes), f"{row.sizes[0] >> 10} KiB", f"{row.sizes[-1] >> 10} KiB", row.full,
            len(found.lost), len(found.doubled), len(found.left), len(found.wrong),
        ]  # fmt: skip
        lines.append(f"| `{name}` | {' | '.join(map(str, cells))} |")
    return lines


def say(line: str) -> None:
    """On stderr, at once."""
    print(line, file=sys.stderr, flush=True)


def enter_namespace() -> None:
    """Go on in a mount namespace of our own: disks made in it are gone with us."""
    if os.environ.get(_INSIDE):
        return
    ours = () if os.geteuid() == 0 else ("--map-root-user",)
    words = ["unshare", "--mount", *ours, sys.executable, *sys.argv]
    os.execvpe(words[0], words, {**os.environ, _INSIDE: "1"})


def main() -> int:
    """Run the storm; exit code 1 where anything was found."""
    names = [target.name for target in TARGETS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, default=20, help="of each command (20)")
    parser.add_argument("--only", default=",".join(names), help=f"of {', '.join(names)}")
    parser.add_argument("--jobs", type=int, default=2, help="cases side by side (2)")
    parser.add_argument("-o", "--output", type=Path, nargs="?", const=EVIDENCE,
                        help="a Markdown file that gets the table")  # fmt: skip
    given = parser.parse_args()
    chosen = [name.strip() for name in given.only.split(",")]
    if unknown := sorted(set(chosen) - set(names)):
        parser.error(f"no {', '.join(unknown)} in {', '.join(names)}")
    enter_namespace()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="storm-") as folder:
        rows = storm(chosen, given.sizes, given.jobs, Path(folder))
    lines = table(rows)
    print("\n".join(lines))
    say(f"{time.monotonic() - begin:.0f} s in all")
    if given.output is not None:
        intro = [
            f"By `python tools/storm_disk.py --sizes {given.sizes}`: a tmpfs of every size, beyond "
            "what lies there before the command; the largest is twice what it is seen to take.", "",
        ]  # fmt: skip
        write_section(given.output, HEADING, [*intro, *lines])
    return int(any(row.found.all for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
