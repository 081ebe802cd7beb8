"""`lmn-bench ab --base REV`: two versions of the code, measured in alternation on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lmn_bench.cli import complete
from lmn_bench.cli.gate_options import judging_options, options_of, output_options
from lmn_bench.cli.options import SecondsRange, results_option, selection_options
from lmn_bench.errors import UsageError
from lmn_bench.typed import shell_word

if TYPE_CHECKING:
    from lmn_bench.suite import Override

DEFAULT_SUITE = "ci"


@click.command(name="ab", short_help="Measure two versions in alternation; a gate.")
@click.option("--base", metavar="REVISION|FOLDER",
              help="What to compare with: commit, branch, tag, or another checkout.")  # fmt: skip
@click.option("--base-python", metavar="EXE",
              help="Interpreter of the base, with an installation of its own.")  # fmt: skip
@click.option("--suite", default=DEFAULT_SUITE, show_default=True, metavar="NAME|PATH",
              shell_complete=complete.suite,
              help="What to measure.")  # fmt: skip
@selection_options
@judging_options
@click.option("--time-limit", type=SecondsRange(min=0), default=170.0, show_default=True,
              metavar="SECONDS",
              help="Begin nothing after this; the screening is always finished.")  # fmt: skip
@click.option("--counters-only", is_flag=True, help="Compare what is counted; time nothing.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), metavar="N",
              help="Of the order and the weights.  [default: drawn and recorded]")  # fmt: skip
@click.option("--plant-slowdown", metavar="SHARE", hidden=True,
              help="Slow the new version down, to see the gate go red.")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@output_options
@results_option
@click.argument("more", nargs=-1, type=click.UNPROCESSED, metavar="[-- OPTIONS]")
def command(
    base: str | None, base_python: str | None, suite: str, models: str | None, modes: str | None,
    lengths: str | None, device: str | None, threads: str | None, memory_cap: str | None,
    cap_mechanism: str | None, settings: tuple[str, ...], margin: str, metrics: tuple[str, ...],
    allowed: tuple[str, ...], time_limit: float, counters_only: bool, seed: int | None,
    plant_slowdown: str | None, quiet: bool, fail_on: str, markdown: Path | None,
    html: Path | None, junit: Path | None, everything: bool, as_json: bool, results: Path,
    more: tuple[str, ...],
) -> int:  # fmt: skip
    """Say whether the working tree is slower, larger or broken against a base.

    Base, base again and new run in alternation, a process each. All cases are screened; those that
    may be slower are measured anew, and only that decides. Where base differs from itself, nothing
    is red. The base's code comes from a git worktree of its own; yours is never touched.

    \b
    Exit codes: 0 pass; 1 regression; 4 inconclusive (--fail-on inconclusive);
    5 nothing measured, or incomparable; 2 wrong usage; 3 internal error.

    \b
    Examples:
      lmn-bench ab --base main
      lmn-bench ab --base HEAD~3 --models lmn --modes decode
      lmn-bench ab --base origin/main -- --models my_module:make --modes prefill
      lmn-bench ab --base-python ../old/.venv/bin/python
    """  # noqa: D301  click wants the backspace itself
    from lmn_bench.cli.ab_run import Request, run_ab
    from lmn_bench.cli.overrides import overrides_of
    from lmn_bench.cli.verdict import Outputs

    chosen = {"--models": models, "--modes": modes, "--lengths": lengths, "--device": device,
              "--threads": threads, "--memory-cap": memory_cap,
              "--cap-mechanism": cap_mechanism}  # fmt: skip
    overrides = [*overrides_of(chosen, None, settings), *_more(more)]
    outputs = Outputs(markdown, html, junit, as_json, everything, fail_on == "inconclusive")
    outputs.check()
    return run_ab(
        Request(
            base=base, base_python=base_python, suite=suite, overrides=tuple(overrides),
            options=options_of(margin, metrics, allowed), time_limit_s=time_limit,
            counters_only=counters_only, seed=seed, planted=_planted(plant_slowdown),
        ),
        outputs, results, quiet=quiet,
    )  # fmt: skip


def _more(rest: tuple[str, ...]) -> list[Override]:
    """Overrides from the options behind `--`."""
    from lmn_bench.cli.overrides import overrides_of

    if not rest:
        return []
    if not rest[0].startswith("-"):
        revision = shell_word(rest[0])
        raise UsageError(
            f"what is {rest[0]!r}?", f"a revision is given so: `lmn-bench ab --base {revision}`"
        )
    parser = selection_options(click.command("ab --", add_help_option=False)(lambda **_: None))
    try:
        given = parser.make_context("lmn-bench ab --", list(rest)).params
    except click.UsageError as error:
        known = ", ".join(option.opts[0] for option in parser.params)
        raise UsageError(
            f"behind `--`: {error.format_message()}",
            f"there are {known}; what else `lmn-bench ab --help` lists goes before it",
        ) from error
    settings = given.pop("settings")
    options = {f"--{key.replace('_', '-')}": value for key, value in given.items()}
    return overrides_of(options, None, settings)


def _planted(share: str | None) -> float:
    from lmn_bench.units import parse_share

    return 0.0 if share is None else parse_share(share, f"--plant-slowdown {share}")
