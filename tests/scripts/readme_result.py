"""Put the reference run's result into the README, between its two marks.

    python tests/scripts/readme_result.py

`tests/test_readme.py` fails when the README and the reference run differ.
"""

from __future__ import annotations

from readme_marks import README, ROOT, Marks

from lmn_bench.cli.sweep import run_document
from lmn_bench.plan import plan
from lmn_bench.report.markdown import render_table
from lmn_bench.store import read_run

RUN = "results/reference-scaling"
PLACE = Marks(f"<!-- result: lmn-bench report {RUN} -->\n", "<!-- /result -->")
# What the front page shows of the report: the first table of these modes.
MODES = ("Decode", "Prefill")


def result_text() -> str:
    """The answers of the reference run, and its decode and prefill times, as Markdown."""
    run = read_run(ROOT / RUN)
    document = run_document(run, plan(run.info.suite, run.info.environment))
    parts = ["".join(f"* {answer}\n" for answer in document.answers)]
    for mode in MODES:
        section = next(s for s in document.sections if s.title.startswith(mode))
        parts.append(f"**{section.title}**\n\n{render_table(section.tables[0])}")
    return "\n".join(parts)


def with_result(readme: str) -> str:
    """The README with the result in its place."""
    return PLACE.replace(readme, result_text())


if __name__ == "__main__":
    README.write_text(with_result(README.read_text()))
