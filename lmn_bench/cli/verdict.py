"""What a comparison ends in: the terminal, files, annotations and the exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lmn_bench.analysis.comparison import Comparison, Gate
from lmn_bench.cli.console import print_json, stderr_console, stdout_console
from lmn_bench.cli.outputs import require_form, require_writable, save_made
from lmn_bench.errors import ExitCode, UsageError
from lmn_bench.report.compared.annotations import annotations as github_annotations
from lmn_bench.report.compared.data import comparison_json
from lmn_bench.report.compared.document import comparison_document
from lmn_bench.report.compared.junit import comparison_junit
from lmn_bench.report.compared.markdown import comparison_markdown
from lmn_bench.report.compared.page import comparison_page
from lmn_bench.report.compared.words import closing_sentence
from lmn_bench.report.text import render_document

_FORMS = {"--markdown": "md", "--html": "html", "--junit": "junit"}


@dataclass(frozen=True)
class Outputs:
    """Where the answer goes; files that are None are not written.

    Attributes:
        fail_on_inconclusive: exit code 4 where nothing is shown either way.
        everything: list unchanged cases in the terminal too.
    """

    markdown: Path | None
    html: Path | None
    junit: Path | None
    as_json: bool
    everything: bool
    fail_on_inconclusive: bool

    @property
    def files(self) -> Mapping[str, Path]:
        """Option -> file, for those asked for."""
        given = {"--markdown": self.markdown, "--html": self.html, "--junit": self.junit}
        return {option: path for option, path in given.items() if path is not None}

    def check(self) -> None:
        """See before anything is measured that the files can be written.

        Raises:
            UsageError: a file that cannot be, or two that are one.
        """
        for option, path in self.files.items():
            require_form(option, path, _FORMS[option])
            require_writable(option, path)
        # What is no file takes several, one behind the other.
        named = [path for path in self.files.values() if path.is_file() or not path.exists()]
        if len({path.resolve() for path in named}) < len(named):
            raise UsageError("two reports cannot be written to the same file")


def conclude(
    comparison: Comparison, outputs: Outputs, command: str = "", *, lost: bool = False
) -> ExitCode:
    """Write everything that was asked for and return the exit code.

    A file that cannot be written is told, and makes a 0 a 2; any other verdict stands.

    Args:
        comparison: what was found.
        outputs: where it goes.
        command: how to repeat it.
        lost: whether a file of the comparison's own could not be written already.
    """
    code = exit_code(comparison.verdict, fail_on_inconclusive=outputs.fail_on_inconclusive)
    texts = {
        "--markdown": lambda: comparison_markdown(comparison, command=command),
        "--html": lambda: comparison_page(comparison, code),
        "--junit": lambda: comparison_junit(comparison),
    }
    for option, path in outputs.files.items():
        if save_made(path, texts[option]):
            stderr_console().print(f"wrote {path}", markup=False, soft_wrap=True)
        else:
            lost = True
    if os.environ.get("GITHUB_ACTIONS") == "true":
        # The runner reads them from either stream, and JSON may be on the other one.
        sys.stderr.writelines(f"{line}\n" for line in github_annotations(comparison))
    code = code or (ExitCode.USAGE if lost else ExitCode.OK)
    if outputs.as_json:
        print_json(comparison_json(comparison, code))
    else:
        console = stdout_console()
        document = comparison_document(comparison, everything=outputs.everything)
        console.print(render_document(document, console))
        # Once more: what stands last is what is seen.
        console.print(f"\n{closing_sentence(comparison, code)}", markup=False, soft_wrap=True)
    return code


def exit_code(verdict: Gate, *, fail_on_inconclusive: bool) -> ExitCode:
    """0 pass, 1 regression, 4 inconclusive where asked for, 5 incomparable."""
    if verdict is Gate.REGRESSION:
        return ExitCode.CASES_FAILED
    if verdict is Gate.INCOMPARABLE:
        return ExitCode.INCOMPARABLE
    if verdict is Gate.INCONCLUSIVE and fail_on_inconclusive:
        return ExitCode.INCONCLUSIVE
    return ExitCode.OK
