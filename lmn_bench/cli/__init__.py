"""The command line: one file per command, and the one place where errors become exit codes."""

from __future__ import annotations

import importlib
import os
import re
import traceback
from collections.abc import Sequence

import click

from lmn_bench import __version__
from lmn_bench.cli.console import stderr_console
from lmn_bench.cli.refusals import refusal
from lmn_bench.cli.streams import steady_streams
from lmn_bench.errors import ExitCode, FileError, LmnBenchError

_COMMANDS = {
    "run": "run",
    "report": "report",
    "compare": "compare",
    "ab": "ab",
    "size": "size",
    "list": "list",
    "fit": "fit",
    "profile": "profile",
    "train": "train",
    "generate": "generate",
    "show": "show",
    "baseline": "baseline",
    "validate": "validate",
    "env": "env",
    "completion": "completion",
}

# By which a shell asks what to complete: click's own name for it.
COMPLETE_VARIABLE = "_LMN_BENCH_COMPLETE"

_EPILOG = """\
\b
Exit codes: 0 ok; 1 some cases or a training failed unexpectedly, or a
comparison found something worse; 2 wrong usage or suite, or an output that
cannot be written; 3 internal error; 4 a comparison cannot tell; 5 nothing to
compare; 130 interrupted.
What was found stands whatever becomes of the output: a full disk turns a 0
into a 2 and no other code into anything, a reader that leaves (| head) none.
Results go to stdout, talk to stderr.
`lmn-bench completion bash` (zsh, fish) prints what makes a shell complete.
"""


# Mistakes in one file that are told; who has mended these sees the rest.
_MOST_PROBLEMS = 50
_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}(,[0-9]{3})+")


class _LazyGroup(click.Group):
    """Imports a command's module only when that command is called or described."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        # Not list(…): once imported, our own module `list` stands in this package under that name.
        return [*_COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"lmn_bench.cli.{_COMMANDS[cmd_name]}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        completing = ctx.resilient_parsing
        if args and not args[0].startswith("-") and args[0] not in _COMMANDS and not completing:
            from lmn_bench.errors import UnknownNameError

            raise UnknownNameError("command", args[0], _COMMANDS)
        return super().resolve_command(ctx, args)


@click.group(
    cls=_LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, "-V", "--version", message="lmn-bench %(version)s")
def lmn_bench() -> None:
    """Measure how latency and peak memory of sequence models grow with length.

    Start with `lmn-bench run` (under a minute on 2 cores), then `lmn-bench run --suite scaling`.
    """


def run_command_line(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; every error of ours is printed here, once."""
    if os.environ.get(COMPLETE_VARIABLE):
        # A shell asks what to complete: click answers, in bytes, and ends the program.
        lmn_bench.main([*arguments], prog_name="lmn-bench")
    with steady_streams() as (out, err):
        code = _exit_code(arguments)
        out.flush()
        if out.lost is not None:
            _fail(f"cannot write to standard output: {out.lost}", None, ExitCode.USAGE)
            code = code or ExitCode.USAGE
        err.flush()
    return code


def _exit_code(arguments: Sequence[str]) -> int:
    console = stderr_console()
    try:
        code = lmn_bench.main([*arguments], prog_name="lmn-bench", standalone_mode=False)
        return int(code or ExitCode.OK)
    except FileError as error:
        console.print(_told("error", error.message), style="bold red", markup=False, soft_wrap=True)
        for problem in error.problems[:_MOST_PROBLEMS]:
            place = f"  {problem.place}"
            console.print(_told(place, problem.message), markup=False, soft_wrap=True)
            if problem.hint:
                console.print(_told("    hint", problem.hint), markup=False, soft_wrap=True)
        if (more := len(error.problems) - _MOST_PROBLEMS) > 0:
            console.print(f"  and {more:,} more", markup=False, soft_wrap=True)
        return error.exit_code
    except LmnBenchError as error:
        return _fail(error.message, error.hint, error.exit_code)
    except click.Abort:
        return _fail("interrupted", None, ExitCode.INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        console.print(error.format_message(), markup=False, soft_wrap=True)
        return ExitCode.USAGE
    except click.ClickException as error:
        hint = _comma_hint(error.format_message())
        if hint is None and isinstance(error, click.UsageError) and error.ctx is not None:
            hint = f"see `{error.ctx.command_path} --help`"
        return _fail(error.format_message(), hint, ExitCode.USAGE)
    except KeyboardInterrupt:
        return _fail("interrupted", None, ExitCode.INTERRUPTED)
    except Exception as error:
        refused = refusal(error)
        if refused is not None:
            return _fail(refused.message, refused.hint, refused.exit_code)
        console.print(traceback.format_exc(), markup=False, highlight=False, soft_wrap=True)
        return _fail("internal error (above)", "please report it", ExitCode.INTERNAL)


def _comma_hint(message: str) -> str | None:
    """How to write the number that click could not read because of a comma; None if it is none."""
    slip = re.search(r"'([0-9]+(?:,[0-9]+)+)' is not a valid (float|integer)", message)
    if slip is None or (slip[2] == "integer" and not _THOUSANDS.fullmatch(slip[1])):
        return None
    return f"write {slip[1].replace(',', '.' if slip[2] == 'float' else '')}"


def _told(what: str, message: str) -> str:
    """A message whose further lines, which others may have written, begin nothing of their own."""
    return f"{what}: {message}".replace("\n", "\n  ")


def _fail(message: str, hint: str | None, code: ExitCode) -> ExitCode:
    console = stderr_console()
    console.print(_told("error", message), style="bold red", markup=False, soft_wrap=True)
    if hint:
        console.print(_told("hint", hint), markup=False, soft_wrap=True)
    return code
