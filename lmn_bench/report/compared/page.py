"""A comparison as one page that needs no network, with its data in it."""

from __future__ import annotations

from lmn_bench.analysis.comparison import Comparison
from lmn_bench.report.compared.data import comparison_csv, comparison_json
from lmn_bench.report.compared.document import comparison_document
from lmn_bench.report.html import Download, render_html
from lmn_bench.safe import json_text


def comparison_page(comparison: Comparison, exit_code: int | None = None) -> str:
    """The page.

    Args:
        comparison: what it tells.
        exit_code: of the command that made it, for the JSON in it; None where it had none.

    Raises:
        ReportError: a package that draws charts is missing or broken.
    """
    data = json_text(comparison_json(comparison, exit_code)) + "\n"
    downloads = [
        Download("comparison.csv", "text/csv", "CSV", comparison_csv(comparison)),
        Download("comparison.json", "application/json", "JSON", data),
    ]
    return render_html(comparison_document(comparison, everything=True), downloads, ())
