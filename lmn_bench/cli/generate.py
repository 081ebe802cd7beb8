"""`lmn-bench generate CHECKPOINT`: a trained model goes on with a prompt."""

from __future__ import annotations

from typing import IO

import click

from lmn_bench.cli.options import COUNT, FiniteRange, json_option
from lmn_bench.learning.limits import MAX_COUNT


@click.command(name="generate", short_help="Let a trained model write.")
@click.argument("checkpoint", type=click.Path())
@click.option("--prompt", metavar="TEXT", help="What it goes on with.")
@click.option("--prompt-file", type=click.File("rb"), metavar="FILE",
              help="The same, from a UTF-8 file; - is stdin.")  # fmt: skip
@click.option("--tokens", type=COUNT, default=200, show_default=True, metavar="N",
              help="At most so many.")  # fmt: skip
@click.option("--temperature", type=FiniteRange(0, MAX_COUNT), default=0.8, show_default=True,
              help="0 takes the likeliest token, 1 the model's own chances.")  # fmt: skip
@click.option("--top-k", type=COUNT, metavar="K", help="Draw among the K likeliest.")
@click.option("--top-p", type=FiniteRange(0, 1, min_open=True), metavar="P",
              help="Draw among the likeliest that make up P.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), metavar="N",
              help="The same seed draws the same text again.")  # fmt: skip
@click.option("--stop", "stops", multiple=True, metavar="TEXT",
              help="End before this text; may be given several times.")  # fmt: skip
@click.option("--threads", type=COUNT, default=1, show_default=True,
              help="CPU threads.")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Only the text.")
@json_option
def command(
    checkpoint: str, prompt: str | None, prompt_file: IO[bytes] | None, tokens: int,
    temperature: float, top_k: int | None, top_p: float | None, seed: int | None,
    stops: tuple[str, ...], threads: int, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Let the model of a checkpoint of `lmn-bench train` go on with a prompt.

    Text goes to stdout as it comes, without the prompt; how long the prompt was and took, tokens
    per second and the state's size to stderr.

    \b
    Examples:
      lmn-bench generate model.safetensors --prompt "The class "
      lmn-bench generate model.safetensors --prompt-file book.txt --tokens 500 --seed 1
      lmn-bench generate model.safetensors --prompt "def " --temperature 0 --stop "." --json

    Exit codes: 0 done; 2 wrong usage, prompt or checkpoint; 130 interrupted.
    """  # noqa: D301  click wants the backspace itself
    from lmn_bench.cli.generate_run import read_prompt, run_generation

    job = {"checkpoint": checkpoint, "prompt": read_prompt(prompt, prompt_file), "tokens": tokens,
           "temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed,
           "stops": stops, "threads": threads}  # fmt: skip
    run_generation(job, quiet=quiet, as_json=as_json)
