"""`lmn-bench run`: plan a suite, measure it, report it."""

from __future__ import annotations

from pathlib import Path

import click

from lmn_bench.cli import complete
from lmn_bench.cli.options import COUNT, json_option, results_option, selection_options
from lmn_bench.errors import UsageError

DEFAULT_SUITE = "smoke"
_LATEST = ""


@click.command(name="run", short_help="Measure a suite.")
@click.option(
    "--suite",
    metavar="NAME|PATH",
    shell_complete=complete.suite,
    help=f"Suite to run.  [default: {DEFAULT_SUITE}]",
)
@selection_options
@click.option(
    "--corpus",
    metavar="NAME|PATH",
    shell_complete=complete.corpus,
    help="Learn from python-docs, tinyshakespeare, a text file or a folder of them.",
)
@click.option("--steps", type=COUNT, metavar="N", help="Steps of every training.")
@click.option("--seeds", type=click.IntRange(1, 1000), metavar="N", help="Trainings per case.")
@click.option(
    "--reference",
    metavar="NAME",
    shell_complete=complete.model,
    help="The model that the others are compared with.  [default: your own, or lmn]",
)
@click.option("--processes", type=click.IntRange(1, 1000), metavar="N", help="Processes per case.")
@click.option(
    "--counters-only",
    is_flag=True,
    help="Check, measure memory and count, in one process per case; take no times.",
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), metavar="N",
              help="Of order and weights.  [default: drawn and recorded; 0 to learn]")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show the plan and its forecast; measure nothing.")
@click.option("--resume", is_flag=False, flag_value=_LATEST, metavar="[RUN]",
              shell_complete=complete.run,
              help="Go on with an interrupted run (default: the latest).")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@results_option
@json_option
def command(
    suite: str | None,
    models: str | None,
    modes: str | None,
    lengths: str | None,
    device: str | None,
    threads: str | None,
    memory_cap: str | None,
    cap_mechanism: str | None,
    corpus: str | None,
    steps: int | None,
    seeds: int | None,
    reference: str | None,
    processes: int | None,
    counters_only: bool,
    settings: tuple[str, ...],
    seed: int | None,
    dry_run: bool,
    resume: str | None,
    quiet: bool,
    results: Path,
    as_json: bool,
) -> int:
    """Measure a suite: every case in processes of its own, in shuffled order.

    \b
    Examples:
      lmn-bench run                                     smoke: everything, tiny
      lmn-bench run --suite scaling                     the headline, 15 minutes on 2 cores
      lmn-bench run --suite scaling --models lmn,transformer --modes decode
      lmn-bench run --models my_package.my_module:make_model
      lmn-bench run --models gru,lstm --reference lstm
      lmn-bench run --suite language-quick              how well models learn a text
      lmn-bench run --counters-only                     what needs no quiet machine
      lmn-bench run --resume                            go on after an interrupt
    """  # noqa: D301  click wants the backspace itself
    from lmn_bench.cli.overrides import overrides_of
    from lmn_bench.cli.sweep import new_sweep, resume_sweep, show_plan

    overrides = overrides_of(
        {"--models": models, "--modes": modes, "--lengths": lengths, "--device": device,
         "--threads": threads, "--memory-cap": memory_cap, "--cap-mechanism": cap_mechanism,
         "--corpus": corpus, "--steps": steps, "--seeds": seeds, "--reference": reference},
        processes, settings, counters_only=counters_only,
    )  # fmt: skip
    if resume is not None:
        if suite or overrides or seed is not None or dry_run:
            raise UsageError(
                "--resume takes its suite, options and seed from the run",
                "give --resume alone, or leave it out to start a new run",
            )
        return resume_sweep(resume or None, results, quiet=quiet, as_json=as_json)
    if dry_run:
        return show_plan(suite or DEFAULT_SUITE, overrides, as_json=as_json)
    return new_sweep(
        suite or DEFAULT_SUITE, overrides, results, seed=seed, quiet=quiet, as_json=as_json
    )
