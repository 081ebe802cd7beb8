"""`lmn-bench train`: one language model on a corpus, to a checkpoint."""

from __future__ import annotations

from pathlib import Path

import click

from lmn_bench.cli import complete
from lmn_bench.cli.options import json_option


@click.command(name="train", short_help="Train a language model on a text.")
@click.option("--preset", metavar="NAME", help="quick (default): a minute or two on one core; "
              "published: the public notebook's settings, hours.")  # fmt: skip
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Settings in TOML; what it leaves out is the preset's.")  # fmt: skip
@click.option("--corpus", metavar="NAME|PATH", shell_complete=complete.corpus,
              help="python-docs, tinyshakespeare, a text file or a folder of them.")  # fmt: skip
@click.option(
    "--tokens",
    metavar="NAME|FILE",
    shell_complete=complete.tokens,
    help="characters, bytes, or a tokenizer.json.",
)
@click.option("--steps", type=int, metavar="N", help="Steps in all.")
@click.option("--seed", type=int, metavar="N", help="Of the weights and of the order of windows.")
@click.option("--threads", type=int, metavar="N", help="CPU threads (1); 0 takes all cores.")
@click.option("--device", metavar="NAME", shell_complete=complete.device, help="cpu or cuda.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE",
              help="Any other key of a config, e.g. width=64.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path),
              default="model.safetensors", show_default=True, help="The checkpoint.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on from the checkpoint.")
@click.option("--force", is_flag=True, help="Replace a checkpoint that is there.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@json_option
def command(
    preset: str | None, config: Path | None, corpus: str | None, tokens: str | None,
    steps: int | None, seed: int | None, threads: int | None, device: str | None,
    settings: tuple[str, ...], output: Path, resume: bool, force: bool, quiet: bool, as_json: bool,
) -> int:  # fmt: skip
    """Train a Logarithmic Memory Network on a text, and keep it in a checkpoint.

    The last tenth of the text is held out; losses are in nats per token. The checkpoint is saved
    every `save_every` steps and at Ctrl-C, with all that --resume needs to go on with the same
    numbers. `lmn-bench generate` lets the model write.

    \b
    Examples:
      lmn-bench train                                  # quick, on the language reference of Python
      lmn-bench train --preset published --corpus shakespeare.txt -o shakespeare.safetensors
      lmn-bench train --config my.toml --set width=64 --seed 1
      lmn-bench train --resume --steps 2000            # after Ctrl-C, or for more steps
    \b
    Keys of a config, and of --set: corpus, tokens, length, batch, steps, learning_rate,
    weight_decay, gradient_clip, seed, threads, device, width, heads, layers, banks, summarizer,
    expansion, init, tie_weights, validate_every, validation_windows, save_every.

    Exit codes: 0 done; 1 the loss is no number any more, memory ran out, its process was killed, or
    it cannot be saved, twice in a row; 2 wrong usage, config, corpus or checkpoint; 130 interrupted
    (and saved).
    """  # noqa: D301  click wants the backspace itself
    from lmn_bench.cli.train_run import Request, run_training

    named = {"corpus": corpus, "tokens": tokens, "steps": steps, "seed": seed,
             "threads": threads, "device": device}  # fmt: skip
    options = {key: value for key, value in named.items() if value is not None}
    request = Request(preset, config, options, settings, output, resume=resume, force=force)
    return run_training(request, quiet=quiet, as_json=as_json)
