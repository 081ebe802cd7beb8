"""Run the strangers' models of tests/strangers, and say of each whether it was told what is right.

    python tests/scripts/strangers_table.py            writes results/evidence/strangers.md
    python tests/scripts/strangers_table.py NAME ...   runs cases whose name holds a NAME, in that
                                                       order, and puts their rows into the table

Every case is a run of its own, by the command and from the models' folder, as a user would do it.
What is right is in tests/strangers/cases.py, and the models themselves write down what was done to
them. A run is slow (some ten minutes): every one starts the command, its server and its processes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "strangers"
OUTPUT = ROOT / "results" / "evidence" / "strangers.md"
sys.path[:0] = [str(FOLDER)]

from cases import CASES, Case, Seen, complaints, told  # noqa: E402

RIGHT = "| ✓ |"
COMMAND = (
    "run", "--memory-cap", "none", "--device", "cpu", "--processes", "1", "--threads", "1",
    "--seed", "1", "-q", "--set", "timeout_s=20",
)  # fmt: skip


def seen_of(case: Case, folder: Path) -> Seen:
    """What the command said and left behind; its log is what the model wrote."""
    log = folder / "log"
    models = ",".join(filter(None, (case.name, case.beside)))
    words = [
        Path(sys.executable).with_name("lmn-bench"), *COMMAND, "--models", models,
        "--modes", case.mode, "--lengths", case.lengths, "--results", folder / "results",
        *case.options,
    ]  # fmt: skip
    environment = {**os.environ, "STRANGER_LOG": str(log)}
    start = time.perf_counter()
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        # Files, not pipes: a helper that a model starts may hold them open for long.
        process = subprocess.Popen(
            [*map(str, words)], cwd=FOLDER, stdout=out, stderr=err, env=environment,
            start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(case.limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            code = process.wait()
    wall = time.perf_counter() - start
    lines = [
        json.loads(line)
        for path in (folder / "results").glob("*/records.jsonl")
        for line in path.read_text().splitlines()
    ]
    records = [line for line in lines if "outcome" in line]
    return Seen(
        [record for record in records if record["subject"] == case.name],
        records,
        log.read_text().splitlines() if log.exists() else [],
        (folder / "out").read_text(errors="replace"),
        (folder / "err").read_text(errors="replace"),
        code,
        wall,
    )


def said(seen: Seen) -> str:
    """What lmn-bench said, shortened: per length the outcome, its reason and its warnings."""
    parts = [
        f"{record['length']}: {record['outcome']}" + (f" ({told(record).strip(' |')})"
        if told(record).strip(" |") else "")
        for record in seen.records
    ]  # fmt: skip
    return "; ".join(parts) or f"exit {seen.code}: {seen.stderr.strip()}"


def cell(text: str, most: int = 320) -> str:
    short = " ".join(text.split())
    short = short if len(short) <= most else short[: most - 1] + "…"
    return short.replace("\\", "\\\\").replace("|", "\\|").replace("<", "\\<")


def what(case: Case) -> str:
    """The first sentences of a model's docstring, up to what is right."""
    source = (FOLDER / f"{case.name.split(':')[0]}.py").read_text()
    name = case.name.split(":")[1]
    at = source.find(f"def {name}(")
    if at < 0:
        at = max(source.find(f"class {name}("), source.find(f"{name} = "))
    body = source[at:].split("\n\n\n")[0]
    if '"""' not in body:
        made = body.rsplit("return ", 1)[1].replace("torch.jit.script(", "").split("(")[0]
        body = source[source.find(f"class {made}(") :]
    return " ".join(body.split('"""')[1].split("Right:")[0].split())


def row(case: Case, seen: Seen, wrong: Sequence[str]) -> str:
    verdict = "✗ " + "; ".join(wrong) if wrong else "✓"
    cells = (f"`{case.name}`", what(case), f"{case.mode} {case.lengths}", case.right, said(seen),
             verdict)  # fmt: skip
    return "| " + " | ".join(map(cell, cells)) + " |"


def main() -> int:
    asked = sys.argv[1:]
    chosen = [case for word in asked or [""] for case in CASES if word in case.name]
    rows = {} if not asked else rows_of(OUTPUT)
    for case in {case.name: case for case in chosen}.values():
        with tempfile.TemporaryDirectory() as folder:
            seen = seen_of(case, Path(folder))
        wrong = complaints(case, seen)
        rows[case.name] = row(case, seen, wrong)
        OUTPUT.write_text(page(rows), encoding="utf-8")
        print(f"{'✗' if wrong else '✓'} {case.name} {seen.wall_s:.0f} s", file=sys.stderr)
        for text in (*wrong, said(seen)):
            print(f"    {text}", file=sys.stderr, flush=True)
    return 0 if all(text.endswith(RIGHT) for text in rows.values()) else 1


def rows_of(path: Path) -> dict[str, str]:
    """Rows of a table that is there already, by the model's name."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {line.split("`")[1]: line for line in lines if line.startswith("| `")}


def page(rows: dict[str, str]) -> str:
    listed = [rows[case.name] for case in CASES if case.name in rows]
    right = sum(text.endswith(RIGHT) for text in listed)
    return "\n".join((
        "# Strangers' models",
        "",
        f"{right} of {len(listed)} models of [tests/strangers](../../tests/strangers), written by "
        "someone who knew nothing of the tool's code,",
        "were measured or refused as is right. `python tests/scripts/strangers_table.py` runs each",
        "",
        "```sh",
        f"lmn-bench {' '.join(COMMAND)} \\",
        "  --models MODEL --modes MODE --lengths LENGTHS --results TMP",
        "```",
        "",
        "from that folder. ✗: what was found wrong follows.",
        "",
        "| model | what it is | run | what is right | what lmn-bench said | verdict |",
        "| :-- | :-- | :-- | :-- | :-- | :-- |",
        *listed,
        "",
    ))  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
