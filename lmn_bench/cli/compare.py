"""`lmn-bench compare BASE NEW`: stored runs against each other."""

from __future__ import annotations

from pathlib import Path

import click

from lmn_bench.cli import complete
from lmn_bench.cli.gate_options import judging_options, options_of, output_options
from lmn_bench.cli.options import results_option
from lmn_bench.errors import ExitCode, UsageError
from lmn_bench.typed import quoted


@click.command(name="compare", short_help="Compare stored runs; a gate.")
@click.argument("base", shell_complete=complete.side)
@click.argument("new", required=False, shell_complete=complete.side)
@judging_options
@click.option("--across-machines", is_flag=True,
              help="Of unlike machines too, but counters alone.")  # fmt: skip
@output_options
@results_option
def command(
    base: str, new: str | None, margin: str, metrics: tuple[str, ...], allowed: tuple[str, ...],
    across_machines: bool, fail_on: str, markdown: Path | None, html: Path | None,
    junit: Path | None, everything: bool, as_json: bool, results: Path,
) -> int:  # fmt: skip
    """Say whether NEW is slower, larger or broken against BASE.

    Each is a run, a baseline, or several separated by commas (processes are pooled). With a folder
    of `lmn-bench ab` alone, that is judged again.

    \b
    Exit codes: 0 pass; 1 regression; 4 inconclusive (--fail-on inconclusive);
    5 nothing measured, or incomparable; 2 wrong usage; 3 internal error.

    \b
    Examples:
      lmn-bench compare main-2026.11 smoke-20261123      a baseline against a run
      lmn-bench compare run1,run2,run3 run4,run5,run6    several of each
      lmn-bench compare ci results/ci-... --across-machines
    """  # noqa: D301  click wants the backspace itself
    from lmn_bench.analysis.compare import compare
    from lmn_bench.analysis.gate import incomparable
    from lmn_bench.cli.learning_runs import refuse_learned
    from lmn_bench.cli.sides import judge_again, read_side
    from lmn_bench.cli.verdict import Outputs, conclude
    from lmn_bench.errors import NewerSchemaError
    from lmn_bench.gates import is_gate

    outputs = Outputs(markdown, html, junit, as_json, everything, fail_on == "inconclusive")
    outputs.check()
    options = options_of(margin, metrics, allowed, across_machines=across_machines)
    if new is None:
        if not is_gate(Path(base)):
            raise UsageError(
                "compare needs BASE and NEW",
                "only a folder made by ab stands alone; see what there is: `lmn-bench list runs`",
            )
        return conclude(judge_again(Path(base), options), outputs)
    for text in (base, new):
        if is_gate(Path(text)):
            raise UsageError(
                f"{text} was made by ab, and stands alone",
                f"`lmn-bench compare {quoted(text)}`; its runs are in it: {text}/new",
            )
    try:
        sides = read_side(base, results), read_side(new, results)
    except NewerSchemaError as error:
        reasons = [error.message, "written by a newer lmn-bench: upgrade to compare with it"]
        return conclude(incomparable(base, new, reasons, options.rules), outputs)
    same = {f.resolve() for f in sides[0].folders} & {f.resolve() for f in sides[1].folders}
    if same:
        raise UsageError(f"{min(same).name} is on both sides", "name two different runs")
    refuse_learned(*sides)
    code: ExitCode = conclude(compare(*sides, options), outputs)
    return code
