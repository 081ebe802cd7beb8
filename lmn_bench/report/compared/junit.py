"""A comparison as JUnit XML, which CI systems show as tests."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from lmn_bench.analysis.comparison import Comparison, Gate, Row, Verdict
from lmn_bench.report.compared.names import case_names
from lmn_bench.report.compared.words import metric_title, row_words, verdict_sentence
from lmn_bench.safe import xml

SUITE = "lmn-bench"


def comparison_junit(comparison: Comparison) -> str:
    """One test suite with a test per row.

    Regressions are failures, what cannot be told is skipped; versions that cannot be compared are
    one test in error.
    """
    names = case_names(row.case for row in comparison.rows)
    if comparison.verdict is Gate.INCOMPARABLE:
        tests = [_error(comparison)]
    else:
        tests = [_test(row, row_words(row, names)) for row in comparison.rows]
    counts = {kind: sum(test.find(kind) is not None for test in tests)
              for kind in ("failure", "error", "skipped")}  # fmt: skip
    totals = {"tests": f"{len(tests)}", "failures": f"{counts['failure']}",
              "errors": f"{counts['error']}", "skipped": f"{counts['skipped']}"}  # fmt: skip
    root = ET.Element("testsuites", totals)
    suite = ET.SubElement(root, "testsuite", {"name": SUITE, **totals})
    properties = ET.SubElement(suite, "properties")
    told = {"verdict": comparison.verdict.value, "summary": verdict_sentence(comparison),
            "base": comparison.base, "new": comparison.new, "margin": f"{comparison.margin:g}",
            **{f"reason {n}": text for n, text in enumerate(comparison.reasons, 1)}}  # fmt: skip
    for name, value in told.items():
        ET.SubElement(properties, "property", {"name": name, "value": xml(value)})
    suite.extend(tests)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _test(row: Row, words: str) -> ET.Element:
    case = row.case
    test = ET.Element("testcase", {
        "classname": xml(f"{case.subject}.{case.mode}"),
        "name": xml(f"{case.id} {metric_title(row.metric)}"),
    })  # fmt: skip
    message = xml(words)
    if row.regression:
        failure = {"message": message, "type": row.verdict.value}
        ET.SubElement(test, "failure", failure).text = message
    elif row.verdict is Verdict.CANNOT_TELL:
        ET.SubElement(test, "skipped", {"message": message})
    else:
        ET.SubElement(test, "system-out").text = message
    return test


def _error(comparison: Comparison) -> ET.Element:
    test = ET.Element("testcase", {"classname": SUITE, "name": "comparison"})
    why = xml(" ".join(comparison.reasons)) or verdict_sentence(comparison)
    ET.SubElement(test, "error", {"message": xml(why), "type": comparison.verdict.value})
    return test
