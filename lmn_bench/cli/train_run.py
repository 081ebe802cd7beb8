"""What `train` does: settings, checks, a process that learns, and what is said of it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lmn.atomic import destination, sweep, try_out
from lmn_bench.cli.console import print_json, stderr_console, stdout_console
from lmn_bench.cli.outputs import require_form
from lmn_bench.cli.train_progress import TrainProgress
from lmn_bench.disk import disk_words
from lmn_bench.errors import ExitCode, KilledError, UnitError, UnknownNameError, UsageError
from lmn_bench.learning.corpora import announced_download
from lmn_bench.learning.names import CORPORA
from lmn_bench.learning.settings import DEFAULT_PRESET, PRESETS, TrainingSettings
from lmn_bench.learning.settings_file import KEYS, check_settings, key_kind, read_settings_file
from lmn_bench.numerals import decimal_comma
from lmn_bench.run.learning import InterruptsAs, LearningProcess
from lmn_bench.run_lock import claimed_file
from lmn_bench.typed import typed
from lmn_bench.units import format_count, format_duration, format_number


@dataclass(frozen=True)
class Request:
    """What `train` was asked for; see its options. `options` holds those that are keys too."""

    preset: str | None
    config: Path | None
    options: Mapping[str, Any]
    settings: tuple[str, ...]
    output: Path
    resume: bool
    force: bool


def run_training(request: Request, *, quiet: bool, as_json: bool) -> int:
    """Train, and tell how it went; returns the exit code."""
    settings, given = chosen_settings(request)
    _check_output(request)
    sweep(request.output.parent, request.output.name)
    job = {"settings": asdict(settings), "given": given, "output": str(request.output),
           "resume": request.resume, "quiet": quiet}  # fmt: skip
    console = stderr_console()
    if download := announced_download(settings.corpus):
        console.print(download, markup=False, soft_wrap=True)
    told: dict[str, Any] = {"saved": None}
    with _claimed(request.output), LearningProcess({"train": job}) as process:

        def stop() -> None:
            process.stop()
            progress.say("stopping after this step, then saving (Ctrl-C again: at once)")

        progress = TrainProgress(console, enabled=not quiet)
        try:
            with progress, InterruptsAs(stop):
                for name, content in process.events():
                    told[name] = content
                    progress.heard(name, content)
        except KeyboardInterrupt:
            _tell_how_to_go_on(told, request.output)
            raise
        except KilledError as error:
            raise _with_what_is_kept(error, told, request.output) from None
    if "ended" not in told:
        # It ended well, but before it could say so: Ctrl-C while torch was loaded.
        raise KeyboardInterrupt
    summary = _summary(told, request.output)
    if as_json:
        print_json(summary)
    else:
        _tell(summary)
    if summary["ended"] == "finished":
        return ExitCode.OK
    _tell_how_to_go_on(told, request.output)
    return ExitCode.INTERRUPTED


def chosen_settings(request: Request) -> tuple[TrainingSettings, list[str]]:
    """The settings, and the keys that were named: by preset, config, options, later ones first.

    Raises:
        UnknownNameError: no such preset, or a `--set` of no such key.
        UsageError: a `--set` that is none.
        UnitError: one with a decimal comma.
        TrainingFileError: with every mistake of config and options.
    """
    preset = request.preset or DEFAULT_PRESET
    if preset not in PRESETS:
        raise UnknownNameError("preset", preset, PRESETS)
    base = PRESETS[preset]
    file = {} if request.config is None else read_settings_file(request.config)
    sets = dict(_setting(text) for text in request.settings)
    options = {**request.options, **sets}
    origins = {key: f"--{key}" for key in request.options} | {key: f"--set {key}" for key in sets}
    given = {**file, **options}
    settings = check_settings(given, base, str(request.config), origins)
    named = asdict(base) if request.preset else {}
    corpora = {key: _located(value) for key, value in given.items() if key == "corpus"}
    return TrainingSettings(**{**asdict(settings), **corpora}), sorted({*named, *given})


def _located(corpus: str) -> str:
    """A path that also holds when the training is resumed elsewhere."""
    return corpus if corpus in CORPORA else str(Path(corpus).absolute())


def _setting(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    key, value = key.strip().replace("-", "_"), value.strip()
    if not equals or not value:
        raise UsageError(f"--set {text}: expected KEY=VALUE", "for example --set width=64")
    if key not in KEYS:
        raise UnknownNameError("key", key, KEYS)
    if key_kind(key) is str:
        return key, value
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        if comma := decimal_comma(value):
            raise UnitError(f"--set {key}: {comma.message}", comma.hint) from None
        return key, value


def _check_output(request: Request) -> None:
    """What can be told of the checkpoint before anything is started."""
    output = request.output
    require_form("-o", output, "checkpoint")
    if request.resume and request.force:
        raise UsageError("--resume and --force are both given", "go on with it, or replace it")
    if not output.parent.is_dir():
        raise UsageError(f"-o {output}: there is no folder {output.parent}", "make it first")
    if output.exists() and not output.is_file():
        raise UsageError(f"-o {output}: it is no file", "take another -o")
    try:
        # tried, not asked for: some folders only look as if they could be written to
        try_out(output)
    except OSError as error:
        raise UsageError(f"-o {output}: it cannot be written: {disk_words(error)}") from None
    if request.resume and not output.exists():
        raise UsageError(
            f"--resume: there is no checkpoint {output}", "leave --resume out, or name it with -o"
        )
    if output.exists() and not request.resume and not request.force:
        raise UsageError(
            f"{output} is there already",
            "go on with it by --resume, replace it by --force, or take another -o",
        )


@contextmanager
def _claimed(output: Path) -> Iterator[None]:
    """Keep other trainings from saving to the same checkpoint meanwhile."""
    with ExitStack() as stack:
        try:
            stack.enter_context(claimed_file(destination(output), "training into"))
        except OSError as error:
            raise UsageError(f"-o {output}: it cannot be written: {disk_words(error)}") from None
        yield


def _summary(told: Mapping[str, Any], output: Path) -> dict[str, Any]:
    """What `--json` prints."""
    started, ended = told["started"], told["ended"]
    done, curve = ended["done"], ended["curve"]
    steps, seconds = started["settings"]["steps"], curve["seconds"]
    return {
        "checkpoint": str(output) if _kept_step(told) else None,
        "ended": "finished" if done == steps else "interrupted",
        "steps_done": done,
        "steps": steps,
        "training_loss": curve["training"][-1] if curve["training"] else None,
        "validation_loss": curve["validation"][-1][1] if curve["validation"] else None,
        "validation_step": curve["validation"][-1][0] if curve["validation"] else None,
        "parameters": started["parameters"],
        "vocabulary": started["vocabulary"],
        "corpus": started["corpus"],
        "remarks": started["remarks"],
        "tokens": curve["tokens"],
        "seconds": seconds,
        "tokens_per_s": curve["tokens"] / seconds if seconds else None,
        "settings": {**started["settings"], "threads": started["threads"]},
        "curve": {"training": curve["training"], "validation": curve["validation"]},
    }


def _tell(summary: Mapping[str, Any]) -> None:
    out = stdout_console()

    def say(line: str) -> None:
        out.print(line, markup=False, soft_wrap=True)

    if summary["validation_loss"] is not None:
        say(f"validation loss {format_number(summary['validation_loss'], 4)} nats per token "
            f"after {summary['validation_step']:,} steps")  # fmt: skip
    if summary["tokens_per_s"]:
        say(f"{summary['tokens']:,} tokens in {format_duration(summary['seconds'])}, "
            f"{format_count(summary['tokens_per_s'])} token/s")  # fmt: skip
    if summary["ended"] == "finished":
        say(f"checkpoint {summary['checkpoint']}; to let it write:")
        say(f"  {typed('generate', Path(summary['checkpoint']), '--prompt', 'TEXT')}")


def _with_what_is_kept(error: KilledError, told: Mapping[str, Any], output: Path) -> KilledError:
    """The error of a process that was killed, with where the training stands."""
    step = _kept_step(told)
    if not step:
        return KilledError(f"{error.message}; nothing had been saved", error.hint)
    return KilledError(
        f"{error.message}; {output} keeps step {step:,}",
        f"go on with `{typed('train', '--resume', '-o', output)}`",
    )


def _kept_step(told: Mapping[str, Any]) -> int:
    """The step of the checkpoint there is, this training's or the one it went on from; or 0."""
    return int(told["saved"] or told.get("started", {"done": 0})["done"])


def _tell_how_to_go_on(told: Mapping[str, Any], output: Path) -> None:
    """Where an interrupted training stands: quiet or not, nothing else says so."""
    if "started" not in told:
        return
    step, steps = _kept_step(told), told["started"]["settings"]["steps"]
    lines = ["interrupted before anything was saved"]
    if step:
        lines = [f"interrupted; {output} keeps step {step:,} of {steps:,}; to go on:",
                 f"  {typed('train', '--resume', '-o', output)}"]  # fmt: skip
    for line in lines:
        stderr_console().print(line, markup=False, soft_wrap=True)
