"""`lmn-bench size`: which hardware is enough, by measured runs, and proved under a cap."""

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

_FOUND = ("context", "batch", "width", "layers", "device")


@click.command(name="size", short_help="Say which hardware is enough.")
@click.option("--model", default="lmn", show_default=True, metavar="NAME",
              shell_complete=complete.model,
              help='Model asked about; your own is "package.module:factory".')  # fmt: skip
@click.option(
    "--against",
    metavar="A,B",
    shell_complete=complete.model_list,
    help="Models beside it.  [default: transformer,lstm]",
)
@click.option("--mode", default="decode", show_default=True, metavar="MODE",
              shell_complete=complete.mode,
              help="decode (serving), prefill, read or train.")  # fmt: skip
@click.option("--context", required=True, metavar="N", help='Tokens: 65536, "64K", "1M".')
@click.option("--width", type=WIDTH, default=64, show_default=True, metavar="N")
@click.option("--heads", type=WIDTH, default=4, show_default=True, metavar="N")
@click.option("--layers", type=LAYERS, default=4, show_default=True, metavar="N")
@click.option("--banks", type=WIDTH, default=1, show_default=True, metavar="N")
@click.option("--expansion", type=EXPANSION, default=1, show_default=True, metavar="N")
@click.option("--batch", type=COUNT, default=1, show_default=True, metavar="N")
@click.option(
    "--dtype", default="float32", show_default=True, metavar="TYPE", shell_complete=complete.dtype
)
@click.option("--threads", type=COUNT, metavar="N",
              help="CPU threads.  [default: the fastest that was measured]")  # fmt: skip
@click.option("--memory", metavar="SIZE", help='Limit of the whole process: "512MiB".')
@click.option("--latency", metavar="TIME", help='Limit of a token (or sequence): "5ms".')
@click.option("--throughput", type=float, metavar="N", help="Tokens a second, at least.")
@click.option("--floor", metavar="SIZE",
              help="What the program itself holds, in place of Python as measured; "
                   '"0" for a budget on top of it.')  # fmt: skip
@click.option("--device", "devices", multiple=True, metavar="NAME",
              shell_complete=complete.profile,
              help="cpu, cuda, or a profile of `lmn-bench list devices`.")  # fmt: skip
@click.option("--from", "runs", multiple=True, metavar="RUN",
              shell_complete=complete.run,
              help="Runs to foretell from.  [default: this machine's, the latest]")  # fmt: skip
@click.option("--find", type=click.Choice(_FOUND), help="The most that the limits allow.")
@click.option("--pareto", is_flag=True, help="Sizes that no other beats, within the limits.")
@click.option("--verify", is_flag=False, flag_value="once", metavar="[bisect]",
              help="Run the answer under the cap, and what is beyond it; "
                   '"bisect": look for the true longest.')  # fmt: skip
@click.option("--cap-mechanism", type=click.Choice(("rlimit", "cgroup")), default="rlimit",
              show_default=True, help="Of --verify.")  # fmt: skip
@click.option("--timeout", "timeout_s", type=SecondsRange(1, MAX_WAIT_S), default=120.0,
              show_default=True, metavar="S", help="Of each run of --verify.")  # fmt: skip
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path),
              help="Write a page for the decision.")  # fmt: skip
@click.option("--markdown", type=click.Path(dir_okay=False, path_type=Path))
@results_option
@json_option
def command(
    model: str, against: str | None, mode: str, context: str, width: int, heads: int, layers: int,
    banks: int, expansion: int, batch: int, dtype: str, threads: int | None, memory: str | None,
    latency: str | None, throughput: float | None, floor: str | None, devices: tuple[str, ...],
    runs: tuple[str, ...], find: str | None, pareto: bool, verify: str | None, cap_mechanism: str,
    timeout_s: float, html: Path | None, markdown: Path | None, results: Path, as_json: bool,
) -> int:  # fmt: skip
    """Foretell memory and time from measured runs: does it fit, how fast, how far could one go.

    \b
    Examples:
      lmn-bench size --context 1M --memory 512MiB --latency 5ms
      lmn-bench size --context 64K --memory 256MiB --floor 0 --verify bisect
      lmn-bench size --context 64K --find device
      lmn-bench size --context 8K --mode prefill --memory 1GiB --html answer.html

    Without a run to foretell from it says which one to make. Beyond 4 times the longest measured
    length nothing is promised.

    \b
    Exit codes: 0 it fits, or no limit was given; 1 it does not; 4 it cannot be told;
    2 wrong usage.
    """  # noqa: D301  click wants the backspace itself
    from lmn_bench.cli.size_run import Asked, Wanted, run_size
    from lmn_bench.schema import ModelSpec

    asked = Asked(
        model=model, against=against, mode=mode, context=context,
        spec=ModelSpec(width, heads, layers, banks, expansion), batch=batch, dtype=dtype,
        threads=threads, memory=memory, latency=latency, throughput=throughput, floor=floor,
        devices=devices,
    )  # fmt: skip
    wanted = Wanted(
        runs=runs, find=find, pareto=pareto, verify=verify, cap_mechanism=cap_mechanism,
        timeout_s=timeout_s, html=html, markdown=markdown, as_json=as_json,
    )  # fmt: skip
    return run_size(asked, wanted, results)
