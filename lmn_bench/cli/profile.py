"""`lmn-bench profile MODEL`: where time and memory of one call go."""

from __future__ import annotations

from pathlib import Path

import click

from lmn_bench.cli import complete
from lmn_bench.cli.options import (
    COUNT,
    EXPANSION,
    LAYERS,
    WIDTH,
    SecondsRange,
    json_option,
    results_option,
)
from lmn_bench.learning.limits import MAX_WAIT_S
from lmn_bench.schema import DEVICES, DTYPES, MODES, ModelSpec

_SIZES = ModelSpec()


@click.command(name="profile", short_help="Show where time and memory go.")
@click.argument("model", metavar="MODEL", shell_complete=complete.model)
@click.option("--mode", type=click.Choice([*MODES]), required=True, help="What it does.")
@click.option("--length", required=True, metavar="N", help="Tokens, or the context of decode: "
              '4096, "4K", "2^12".')  # fmt: skip
@click.option("--device", type=click.Choice(DEVICES), default="cpu", show_default=True)
@click.option("--batch", type=COUNT, default=1, show_default=True)
@click.option("--dtype", type=click.Choice(DTYPES), default="float32", show_default=True)
@click.option("--threads", type=COUNT, default=1, show_default=True,
              help="CPU threads.")  # fmt: skip
@click.option("--width", type=WIDTH, default=_SIZES.width, show_default=True)
@click.option("--heads", type=WIDTH, default=_SIZES.heads, show_default=True)
@click.option("--layers", type=LAYERS, default=_SIZES.layers, show_default=True)
@click.option("--banks", type=WIDTH, default=_SIZES.banks, show_default=True)
@click.option("--expansion", type=EXPANSION, default=_SIZES.expansion, show_default=True)
@click.option("--depth", type=COUNT, metavar="N", show_default="1",
              help="Your own model's parts: its modules down to level N.")  # fmt: skip
@click.option("--lines", is_flag=True, help="Memory line by line too, by memory-profiler.")
@click.option("--timeout", type=SecondsRange(1, MAX_WAIT_S), default=1800.0, show_default=True,
              metavar="SECONDS", help="Give up after this long.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path),
              help="Write it here too: .html, .md, .json, or .txt as shown.")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="No progress, and no word of the files.")
@results_option
@json_option
def command(
    model: str, mode: str, length: str, device: str, batch: int, dtype: str, threads: int,
    width: int, heads: int, layers: int, banks: int, expansion: int, depth: int | None,
    lines: bool, timeout: float, output: Path | None, quiet: bool, results: Path, as_json: bool,
) -> None:  # fmt: skip
    """Show where the time and the memory of one call go, by part of the model and by operator.

    MODEL is a builtin model (`lmn-bench list models`) or your own "package.module:factory", whose
    parts are its top-level modules, or those down to level N (--depth N). Everything is kept in a
    folder of its own: the numbers, a page, and a trace for https://ui.perfetto.dev.

    \b
    Examples:
      lmn-bench profile lmn --mode decode --length 4096
      lmn-bench profile transformer --mode prefill --length 8K --width 256 --threads 2
      lmn-bench profile my_models:make --mode train --length 1K --lines -o profile.html
      lmn-bench profile my_models:make --mode prefill --length 1K --depth 3
    """  # noqa: D301  click wants the backspace itself
    from lmn_bench.cli.profile_run import Request, run_profile
    from lmn_bench.schema import Case
    from lmn_bench.units import parse_length

    case = Case(
        subject=model, mode=mode, length=parse_length(length), device=device, batch=batch,
        dtype=dtype, threads=threads, model=ModelSpec(width, heads, layers, banks, expansion),
    )  # fmt: skip
    run_profile(Request(case, depth, lines, timeout), results, output, quiet=quiet, as_json=as_json)
