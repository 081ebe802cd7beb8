"""`lmn-bench completion SHELL`: the script that makes a shell complete commands and names."""

from __future__ import annotations

import click

from lmn_bench.cli import COMPLETE_VARIABLE
from lmn_bench.cli.console import stdout_console

SHELLS = ("bash", "zsh", "fish")

# As click's own, but for ":" and "=": bash takes them for ends of words, and "my_models:make" or
# "width=128" apart. The line is handed over as it is, and what bash keeps is cut from the answers.
_BASH = """\
_lmn_bench_completion() {
    local line="${COMP_LINE:0:COMP_POINT}" words response type value current kept
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current="${words[${#words[@]}-1]}"
    kept="${current%"${current##*[:=]}"}"
    response=$(COMP_WORDS="$line" COMP_CWORD=$((${#words[@]} - 1)) VARIABLE=bash_complete $1)
    COMPREPLY=()
    while IFS=',' read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("${value#"$kept"}") ;;
        esac
    done <<< "$response"
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[:=] ]] && compopt -o nospace
    return 0
}
complete -o nosort -F _lmn_bench_completion lmn-bench
"""


@click.command(name="completion", short_help="Print what makes a shell complete.")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the script by which a shell completes commands, options, models, suites and runs.

    \b
    To have it in every shell:
      bash   echo 'eval "$(lmn-bench completion bash)"' >> ~/.bashrc
      zsh    echo 'eval "$(lmn-bench completion zsh)"' >> ~/.zshrc
      fish   lmn-bench completion fish > ~/.config/fish/completions/lmn-bench.fish
    """  # noqa: D301  click wants the backspace itself
    stdout_console().out(script(shell), highlight=False)


def script(shell: str) -> str:
    """The script of a shell."""
    if shell == "bash":
        return _BASH.replace("VARIABLE", COMPLETE_VARIABLE)
    from click.shell_completion import get_completion_class

    from lmn_bench.cli import lmn_bench

    found = get_completion_class(shell)
    assert found is not None  # click knows all of SHELLS
    text = found(lmn_bench, {}, "lmn-bench", COMPLETE_VARIABLE).source()
    # Names with commas between them are one value: fish is to cut at the first comma alone.
    return text.replace('string split "," ', 'string split -m 1 "," ')
