"""Kills at seeded moments of every command that writes: is anything lost, doubled or left behind?

    python tools/storm_kills.py                      60 kills of each: 20 minutes on two quiet cores
    python tools/storm_kills.py --kills 8 --only run,ab
    python tools/storm_kills.py -o                   also writes results/evidence/faults.md

Half of the kills are spread over the command's whole life, the other half follow its first write.
What was whole on the disk just before a kill is held against what is there after the next command
(`run --resume`, or the same command again). Trainings and hostile models have storms of their own.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from storm_file_targets import Replace, Report, ReportMarkdown, Save
from storm_material import make_runs
from storm_shared import (
    EVIDENCE,
    Command,
    Findings,
    Life,
    Moment,
    life_of,
    moments,
    strays,
    strike,
    write_section,
)
from storm_targets import Gate, Kill, Profile, Run, Size, Target

HEADING = "Kills"
TARGETS: Sequence[type[Target]] = (
    Run, Gate, Save, Replace, Report, ReportMarkdown, Profile, Size,
)  # fmt: skip
# A kill that comes after the end comes earlier the next time.
_ATTEMPTS = 3


@dataclass
class Row:
    """What the kills of one victim of one command did."""

    tried: int = 0
    hit: int = 0
    found: Findings = field(default_factory=Findings)


@dataclass(frozen=True)
class Chain:
    """Kills of one target that follow each other in one folder."""

    target: type[Target]
    places: Sequence[int]
    moments: Sequence[Moment]
    folder: Path
    mark: str


def prepared(target: type[Target], template: Path, folder: Path) -> Target:
    """A target with what it works on."""
    shutil.copytree(template, folder)
    made = target(folder)
    made.prepare()
    return made


def life(target: type[Target], template: Path, folder: Path) -> Life:
    """A whole life of a target's command, watched.

    Raises:
        RuntimeError: it does not end well by itself.
    """
    made = prepared(target, template, folder)
    command = Command(made.words(0), folder, folder.name, made.watched)
    seen, ended = life_of(command, target.who)
    if ended.code not in target.codes:
        raise RuntimeError(f"{target.name} ends in {ended.code}: {ended.err[-800:]}")
    return seen


def follow(chain: Chain, template: Path) -> dict[str, Row]:
    """Kill, look, and kill again; then let the command end and look at all that is there."""
    target = prepared(chain.target, template, chain.folder)
    rows: dict[str, Row] = {}
    for place, moment in zip(chain.places, chain.moments, strict=True):
        row = rows.setdefault(label(target, place), Row())
        row.tried += 1
        for attempt in range(_ATTEMPTS):
            seconds = moment.seconds / 2**attempt
            kill = struck(target, place, replace(moment, seconds=seconds), f"{chain.mark}-{place}")
            found = Findings(left=strays(kill.mark))
            found.add(target.after(kill))
            row.found.add(told(found, f"kill {place}, {seconds:.4f} s since the {moment.since}"))
            if kill.hit:
                row.hit += 1
                break
    last = rows.setdefault(label(target, chain.places[0]), Row())
    last.found.add(told(target.finish(f"{chain.mark}-last-{chain.places[0]}"), "after the last"))
    return rows


def struck(target: Target, place: int, moment: Moment, mark: str) -> Kill:
    """Start a target's command, kill what is its turn, and wait for the end."""
    who = target.who[place % len(target.who)]
    number = target.numbers[place % len(target.numbers)]
    command = Command(target.words(place), target.folder, mark, target.watched)
    hit, journal = strike(command, who, moment, number, target.journal)
    return Kill(who, number, hit, journal, command.ended(), mark)


def told(found: Findings, when: str) -> Findings:
    """Findings that say when."""
    kinds = (found.lost, found.doubled, found.left, found.wrong)
    return Findings(*([f"{one} ({when})" for one in kind] for kind in kinds))


def label(target: Target | type[Target], place: int) -> str:
    """The row of a kill."""
    who = target.who[place % len(target.who)]
    name = signal.Signals(target.numbers[place % len(target.numbers)]).name.removeprefix("SIG")
    return f"{target.name} | {name} to the {who}"


def storm(
    names: Sequence[str], kills: int, seed: int, jobs: int, folder: Path
) -> dict[str, Row]:  # fmt: skip
    """All kills of the targets of these names, in so many chains side by side; rows by label."""
    template = folder / "template"
    template.mkdir()
    make_runs(template)
    rows: dict[str, Row] = {}
    with ThreadPoolExecutor(jobs) as pool:
        for target in (one for one in TARGETS if one.name in names):
            begin = time.monotonic()
            seen = life(target, template, folder / f"{target.slug}-life")
            variants = len(target.who) * len(target.numbers)
            drawn = random.Random(f"{seed} {target.name}")
            when = moments(kills, seen, target.who, variants, drawn)
            chains = [
                Chain(target, range(first, kills, jobs), when[first::jobs],
                      folder / f"{target.slug}-{first}", f"{folder.name}-{target.slug}")
                for first in range(min(jobs, kills))
            ]  # fmt: skip
            for made in pool.map(lambda chain: follow(chain, template), chains):
                for name, row in made.items():
                    mine = rows.setdefault(name, Row())
                    mine.tried, mine.hit = mine.tried + row.tried, mine.hit + row.hit
                    mine.found.add(row.found)
            took_s = time.monotonic() - begin
            say(f"{target.name}: a life of {seen.wall_s:.1f} s, first write at "
                f"{seen.written_s:.1f} s; {kills} kills in {took_s:.0f} s")  # fmt: skip
            for name, row in rows.items():
                if name.startswith(f"{target.name} |"):
                    for kind, sentence in row.found.all:
                        say(f"  {kind}: {name}: {sentence}")
    return rows


def table(rows: dict[str, Row]) -> list[str]:
    """The rows as Markdown, and sums."""
    lines = [
        "| command | what was killed | tried | hit | lost | doubled | left behind | wrong |",
        "|:--|:--|--:|--:|--:|--:|--:|--:|",
    ]
    sums: Counter[str] = Counter()
    for name, row in rows.items():
        cells = {
            "tried": row.tried, "hit": row.hit, "lost": len(row.found.lost),
            "doubled": len(row.found.doubled), "left": len(row.found.left),
            "wrong": len(row.found.wrong),
        }  # fmt: skip
        sums.update(cells)
        lines.append(f"| `{name.replace(' | ', '` | ')} | {' | '.join(map(str, cells.values()))} |")
    return [*lines, f"| all | | {' | '.join(str(count) for count in sums.values())} |"]


def say(line: str) -> None:
    """On stderr, at once."""
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Run the storm; exit code 1 where anything was found."""
    names = [target.name for target in TARGETS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=60, help="of each command (60)")
    parser.add_argument("--only", default=",".join(names), help=f"of {', '.join(names)}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="kills side by side (2)")
    parser.add_argument("-o", "--output", type=Path, nargs="?", const=EVIDENCE,
                        help="a Markdown file that gets the table")  # fmt: skip
    given = parser.parse_args()
    chosen = [name.strip() for name in given.only.split(",")]
    if unknown := sorted(set(chosen) - set(names)):
        parser.error(f"no {', '.join(unknown)} in {', '.join(names)}")
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="storm-") as folder:
        rows = storm(chosen, given.kills, given.seed, given.jobs, Path(folder))
    lines = table(rows)
    print("\n".join(lines))
    say(f"{time.monotonic() - begin:.0f} s in all")
    if given.output is not None:
        intro = [
            f"By `python tools/storm_kills.py --kills {given.kills} --seed {given.seed}`: half of "
            "the kills over the whole life of a command, half after its first write. A kill that "
            "hit nobody came after the end, three times.", "",
        ]  # fmt: skip
        write_section(given.output, HEADING, [*intro, *lines])
    return int(any(row.found.all for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
