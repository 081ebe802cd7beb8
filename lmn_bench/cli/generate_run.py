"""What `generate` does: a process that writes, its text as it comes, and what it took."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from lmn_bench import safe
from lmn_bench.cli.console import print_json, stderr_console
from lmn_bench.cli.streams import is_unread
from lmn_bench.errors import UsageError
from lmn_bench.reading import read_stream
from lmn_bench.run.learning import LearningProcess
from lmn_bench.texts import decode_text
from lmn_bench.typed import typed
from lmn_bench.units import format_bytes, format_count, format_seconds

# Of a prompt: at ten thousand tokens a second, two hours of reading.
MOST_PROMPT_BYTES = 64 * 2**20


def read_prompt(prompt: str | None, file: IO[bytes] | None) -> str:
    """The prompt, from one of two places.

    Raises:
        UsageError: none or both are given, it is empty, or the file isn't UTF-8 or too long.
    """
    if (prompt is None) == (file is None):
        came = "neither" if prompt is None else "both"
        raise UsageError(
            f"expected --prompt or --prompt-file, got {came}", 'for example --prompt "The "'
        )
    if file is not None:
        prompt = decode_text(read_stream(file, MOST_PROMPT_BYTES, file.name), file.name)
    if not prompt:
        raise UsageError("the prompt is empty", "give at least one character")
    return prompt


def run_generation(job: Mapping[str, Any], *, quiet: bool, as_json: bool) -> None:
    """Generate, and show it as it comes, as long as it is read; as JSON, all at the end."""
    _check(job)
    told: dict[str, Any] = {}
    text: list[str] = []
    with LearningProcess({"generate": dict(job)}) as process:
        try:
            for name, content in process.events():
                told[name] = content
                if name == "text":
                    text.append(content)
                    if not as_json:
                        _show(content)
                        if is_unread():
                            return  # more text helps nobody
        finally:
            if text and not as_json:
                _show("\n")
    summary = _summary(job, told, "".join(text))
    if as_json:
        print_json(summary)
    elif not quiet:
        stderr_console().print(_words(summary), markup=False, soft_wrap=True)


def _check(job: Mapping[str, Any]) -> None:
    """What can be told before anything is started."""
    path = job["checkpoint"]
    # not of Path: it raises where a path is too long
    if os.path.isdir(path):  # noqa: PTH112
        raise UsageError(f"{path} is a folder", "name a checkpoint in it")
    if not os.path.isfile(path):  # noqa: PTH113
        raise UsageError(
            f"there is no checkpoint {path}", f"make one: `{typed('train', '-o', Path(path))}`"
        )
    if "" in job["stops"]:
        raise UsageError("--stop is empty", "give at least one character, or leave it out")


def _show(text: str) -> None:
    # A model of bytes may write anything; to a file or a pipe it goes as it is.
    shown = safe.terminal(text) if sys.stdout.isatty() else text
    # As it is: a rich console would widen tabs.
    sys.stdout.write(shown)
    sys.stdout.flush()


def _summary(job: Mapping[str, Any], told: Mapping[str, Any], text: str) -> dict[str, Any]:
    """What `--json` prints."""
    started, ended = told["started"], told["ended"]
    seconds = ended["decode_s"]
    return {
        "checkpoint": job["checkpoint"],
        "step": ended["step"],
        "corpus": ended["corpus"],
        "prompt": job["prompt"],
        "text": text,
        "ended": "stop" if ended["stopped"] else "length",
        "seed": started["seed"],
        "temperature": job["temperature"],
        "top_k": job["top_k"],
        "top_p": job["top_p"],
        "prompt_tokens": started["prompt_tokens"],
        "prefill_s": started["prefill_s"],
        "tokens": ended["tokens"],
        "decode_s": seconds,
        "tokens_per_s": ended["tokens"] / seconds if seconds else None,
        "state_bytes": ended["state_bytes"],
    }


def _words(summary: Mapping[str, Any]) -> str:
    return (
        f"prompt: {_tokens(summary['prompt_tokens'])}, read in "
        f"{format_seconds(summary['prefill_s'])}; {_tokens(summary['tokens'])} in "
        f"{format_seconds(summary['decode_s'])}, {format_count(summary['tokens_per_s'] or 0)} "
        f"token/s; state {format_bytes(summary['state_bytes'])}; seed {summary['seed']}"
    )


def _tokens(count: int) -> str:
    return f"{count:,} token{'s' * (count != 1)}"
