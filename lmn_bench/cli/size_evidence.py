"""Which stored runs a size can be foretold from, and the command that makes one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lmn_bench.cli.console import stderr_console
from lmn_bench.environment import read_environment
from lmn_bench.errors import StoreError, UsageError
from lmn_bench.schema import ModelSpec, RunInfo
from lmn_bench.sizing.evidence import Evidence, evidence_of, is_exact
from lmn_bench.sizing.question import REACH, Question
from lmn_bench.store import find_run, list_runs, read_info, read_run
from lmn_bench.typed import shell_word

# Reading more than the latest few would keep a person waiting.
_MOST_RUNS = 8
_SHORTEST, _LONGEST = 8, 14  # octaves that a run should span at least
_SUITE_OF = {"train": "sizing-training", "read": "sizing-training"}


def find_evidence(
    question: Question, names: tuple[str, ...], results: Path, counted_by: str
) -> tuple[list[Evidence], str]:
    """Series that bear on a question, the latest run first, and this machine in words.

    Runs that are not named are taken from `results`: those of this machine that measured what
    sizes are foretold from, and set malloc as the latest of them did, until every subject has its
    own series.

    Raises:
        UsageError: a run that is named was not measured for sizing, or set malloc otherwise.
    """
    environment = read_environment()
    machine = f"{environment.hostname} · {environment.cpu_model}"
    found: list[Evidence] = []
    if names:
        for name in names:
            run = read_run(find_run(name, results))
            if not run.info.suite.measuring.needs:
                raise UsageError(
                    f"{run.folder.name} did not measure what sizes are foretold from",
                    f"a run for sizing: {making_command(question)}",
                )
            found += evidence_of(run.info, run.records, environment.machine, counted_by)
        _require_one_malloc(found)
        return found, machine
    read = 0
    for folder in reversed(list_runs(results)):
        try:
            info = read_info(folder)
        except StoreError as error:
            told = f"warning: {folder.name} is left out: {error.message}"
            stderr_console().print(told, style="yellow", markup=False, soft_wrap=True)
            continue
        if not _bears_on(info, question) or info.environment.machine != environment.machine:
            continue
        if found and info.suite.measuring.malloc != found[0].malloc:
            continue
        run = read_run(folder)
        found += evidence_of(run.info, run.records, environment.machine, counted_by)
        read += 1
        if read == _MOST_RUNS or _is_enough(found, question):
            break
    return found, machine


def _require_one_malloc(found: Sequence[Evidence]) -> None:
    of_malloc = {one.malloc: one.run_id for one in found}
    if len(of_malloc) > 1:
        told = ", ".join(f"{run_id} {malloc}" for malloc, run_id in of_malloc.items())
        raise UsageError(
            f"runs with malloc set differently do not go together: {told}",
            "name runs of one setting: memory and time depend on it",
        )


def _bears_on(info: RunInfo, question: Question) -> bool:
    return info.suite.measuring.needs and any(
        question.case.mode in sweep.modes and set(question.subjects) & set(sweep.subjects)
        for sweep in info.suite.sweeps
    )


def _is_enough(found: list[Evidence], question: Question) -> bool:
    case = question.case
    exact = {
        one.series.subject
        for one in found
        if is_exact(one, replace(case, subject=one.series.subject))
    }
    return exact >= set(question.subjects)


def making_command(question: Question, *, whole: bool = False) -> str:
    """The run that would tell most about a question.

    Args:
        question: what is asked.
        whole: measure up to the length itself, not only as far as it can be foretold from.
    """
    case, usual = question.case, ModelSpec(layers=4)
    reach = 1 if whole else REACH
    octaves = max(_LONGEST, (max(1, -(-case.length // reach)) - 1).bit_length())
    parts = [
        f"lmn-bench run --suite {_SUITE_OF.get(case.mode, 'sizing')}",
        f"--models {shell_word(','.join(question.subjects))}",
        f"--modes {case.mode}",
        f'--lengths "2^{_SHORTEST}..2^{octaves}"',
        f"--set width={case.model.width}",
    ]
    for key in ("heads", "layers", "banks", "expansion"):
        value = getattr(case.model, key)
        if value != getattr(usual, key):
            parts.append(f"--set {key}={value}")
    if case.batch != 1:
        parts.append(f"--set batch={case.batch}")
    if case.dtype != "float32":
        parts.append(f"--set dtype={case.dtype}")
    if case.device != "cpu":
        parts.append(f"--device {case.device}")
    if case.threads:
        parts.append(f"--threads {case.threads}")
    return " ".join(parts)
