"""Put what the reference runs learned into the README, between its two marks.

    python tests/scripts/learned_result.py

`tests/test_readme.py` fails when the README and the reference runs differ.
"""

from __future__ import annotations

from pathlib import Path

from readme_marks import README, ROOT, Marks

from lmn_bench.cli.reports import read_runs
from lmn_bench.report.markdown import render_table
from lmn_bench.report.page import document_of
from lmn_bench.store import read_run

RUNS = ("results/reference-language*", "results/reference-recall*")
PLACE = Marks(f"<!-- learned: lmn-bench report {' '.join(RUNS)} -->\n", "<!-- /learned -->")


def learned_text() -> str:
    """The answers of the reference runs together, and the scores of every lesson, as Markdown."""
    folders = [str(folder) for pattern in RUNS for folder in sorted(ROOT.glob(pattern))]
    document = document_of(read_runs(folders, ROOT / "results"))
    # How the runs were put together is for their report: here is what they learned.
    names = tuple(read_run(Path(folder)).info.run_id for folder in folders)
    learned = [a for a in document.answers if not a.startswith((*names, "The runs are of"))]
    parts = ["".join(f"* {answer}\n" for answer in learned)]
    for section in document.sections:
        if section.title.startswith("Learning "):
            parts.append(f"**{section.title}**\n\n{render_table(section.tables[0])}")
    return "\n".join(parts)


def with_learned(readme: str) -> str:
    """The README with the scores in their place."""
    return PLACE.replace(readme, learned_text())


if __name__ == "__main__":
    README.write_text(with_learned(README.read_text()))
