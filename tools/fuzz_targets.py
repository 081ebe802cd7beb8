"""What `fuzz_inputs` tries: for each kind of input, how one is drawn and who reads it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from fuzz_strategies import (
    any_data,
    broken_bytes,
    broken_data,
    csv_text,
    toml_text,
)

from lmn_bench.cli import run_command_line
from lmn_bench.errors import ExitCode, LmnBenchError
from lmn_bench.gates import GateInfo
from lmn_bench.places import suite_files
from lmn_bench.schema import (
    Case,
    Environment,
    Measuring,
    ModelSpec,
    Outcome,
    Record,
    RunInfo,
    Suite,
    Sweep,
)
from lmn_bench.store import dump_info, dump_record

# Whether a resumed training takes a step: torch loads its compiler for the first one.
STEPS_ON = True

Attempt = Callable[[], "int | None"]


@dataclass(frozen=True)
class Kind:
    """Inputs of one kind.

    Attributes:
        name: on the command line.
        title: in the table.
        count: of inputs, in full.
        attempt: draws one, puts it into the folder, and returns what reads it: to an exit code.
    """

    name: str
    title: str
    count: int
    attempt: Callable[[random.Random, Path, int], Attempt]


def command(*words: str | Path) -> Attempt:
    """A command line of `lmn-bench`, to be run in this process."""
    return lambda: run_command_line([str(word) for word in words])


def reader(call: Callable[[], object]) -> Attempt:
    """A call that may refuse what it reads by an error of ours, and by no other."""

    def attempt() -> int:
        from lmn.checkpoint import CheckpointError

        try:
            call()
        except LmnBenchError as error:
            return error.exit_code
        except CheckpointError:
            return ExitCode.USAGE
        return ExitCode.OK

    return attempt


# --- suites -----------------------------------------------------------------------------------

_SETTINGS = ("width", "heads", "lengths", "batch", "threads", "memory_cap", "processes", "modes",
             "timeout_s", "dtype", "learning_rate", "task", "seeds", "max_samples")  # fmt: skip


def _suites(draw: random.Random, folder: Path, number: int) -> Attempt:
    path = folder / "suite.toml"
    good = draw.choice([*suite_files().values()]).read_bytes()
    if number % 2:
        path.write_bytes(broken_bytes(draw, good))
    else:
        import tomllib

        path.write_text(
            toml_text(broken_data(draw, tomllib.loads(good.decode()))), "utf-8", "replace"
        )
    if number % 50 == 0:
        value = draw.choice(_HOSTILE_TEXTS)
        return command("run", "--dry-run", "--suite", "smoke", "--set",
                       f"{draw.choice(_SETTINGS)}={value}")  # fmt: skip
    return command("validate", path, *["--json"] * draw.randint(0, 1))


_HOSTILE_TEXTS = ("[[1]]", "9" * 5000, "0x" + "f" * 5000, "[" * 3000, "1e400", "nan", "-1", "2^40",
                  "9223372036854775807", '["a",["b"]]', "{a={b={}}}", "1979-05-27", "''", "2^999",
                  ",".join(map(str, range(1, 5000))), "\udc80", "x" * 10_000)  # fmt: skip


# --- runs -------------------------------------------------------------------------------------


def made_up_run(name: str = "made-up") -> tuple[RunInfo, list[Record]]:
    """A run of two models at four lengths in three processes."""
    machine = Environment(
        hostname="testbed", cpu_model="Imaginary CPU", logical_cores=4, physical_cores=2,
        memory_bytes=2**34, available_memory_bytes=2**33, memory_limit_bytes=None, os="Testix",
        kernel="6.1", python="3.12.1", lmn_bench="0.1.0", torch="2.13.0", governor=None,
        load_average=0.0, git_commit=None, git_dirty=None,
    )  # fmt: skip
    sweep = Sweep(("lmn", "gru"), ("prefill", "decode"), (64, 128, 256, 512), width=(32,))
    suite = Suite("made-up", "for fuzzing", Measuring(processes=3), (sweep,))
    info = RunInfo(name, "2026-01-01T00:00:00+00:00", suite, 7, machine,
                   finished_at="2026-01-01T00:10:00+00:00")  # fmt: skip
    records = []
    for subject in sweep.subjects:
        for mode in sweep.modes:
            for length in sweep.lengths:
                case = Case(subject, mode, length, model=ModelSpec(width=32))
                for replicate in range(3):
                    seconds = 1e-5 * length * (1 + 0.01 * replicate)
                    metrics: dict[str, float | int] = {
                        "latency_s": seconds, "latency_low_s": seconds, "flops": 1000 * length,
                        "peak_memory_bytes": 10**7 + length, "parameters": 1000,
                        "working_memory_bytes": 1024 * length, "reference_loop_s": 1e-4,
                        "state_bytes": 512,
                    }  # fmt: skip
                    samples = (seconds,) * (33 if mode == "decode" else 3)
                    records.append(Record.of(case, replicate, Outcome.OK, metrics=metrics,
                                             samples_s=samples, wall_s=0.3))  # fmt: skip
    return info, records


def write_run(folder: Path, info: str | bytes, records: str | bytes) -> None:
    """A run folder with these two files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("run.json", info), ("records.jsonl", records)):
        raw = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        (folder / name).write_bytes(raw)


def dumped(info: RunInfo, records: list[Record]) -> tuple[str, str]:
    """The texts of the two files of a run."""
    return dump_info(info), "".join(map(dump_record, records))


def _broken_run(draw: random.Random, number: int) -> tuple[str | bytes, str | bytes]:
    """A run with one of its two files broken: some lines, or some values, or some bytes."""
    info, lines = dumped(*made_up_run())
    way = number % 4
    if way == 0:
        return info, broken_bytes(draw, lines.encode())
    if way == 1:
        return broken_bytes(draw, info.encode()), lines
    if way == 2:
        return json.dumps(broken_data(draw, json.loads(info))), lines
    rows = [json.loads(line) for line in lines.splitlines()]
    for _ in range(draw.randint(1, 6)):
        place = draw.randrange(len(rows))
        rows[place] = broken_data(draw, rows[place])
    return info, "".join(json.dumps(row) + "\n" for row in rows)


def _runs(draw: random.Random, folder: Path, number: int) -> Attempt:
    write_run(folder / "broken", *_broken_run(draw, number))
    write_run(folder / "good", *dumped(*made_up_run("good")))
    where = ("--results", folder)
    return command(*draw.choice((
        ("list", "runs", *where), ("list", "runs", "--json", *where),
        ("show", "broken", *where), ("show", "broken", "--json", *where),
        ("show", "broken", "--case", "lmn/prefill/64", *where),
        ("report", "broken", *where), ("report", "broken", "--format", "md", *where),
        ("report", "broken", "--json", *where), ("report", "broken", "--format", "csv", *where),
        ("report", "broken", "-o", folder / "page.html", *where),
        ("report", "broken", "good", "--json", *where),
        ("compare", "broken", "good", "--all", *where), ("compare", "good", "broken", *where),
        ("baseline", "save", "kept", "broken", *where),
        ("size", "--context", "4096", *where),
    )))  # fmt: skip


# --- gates and baselines ----------------------------------------------------------------------


def _kept(draw: random.Random, folder: Path, number: int) -> Attempt:
    where = ("--results", folder)
    good = dumped(*made_up_run())
    if number % 2:
        gate = folder / "ab-made-up"
        for arm in ("base", "null", "new"):
            write_run(gate / arm, *good)
        text = json.dumps(asdict(GateInfo("HEAD", "the working tree", ("a note",))))
        broken: str | bytes = (
            broken_bytes(draw, text.encode()) if number % 4 == 1
            else json.dumps(broken_data(draw, json.loads(text)))
        )  # fmt: skip
        raw = broken if isinstance(broken, bytes) else broken.encode("utf-8", "surrogatepass")
        (gate / "gate.json").write_bytes(raw)
        return command("compare", gate, *["--json"] * draw.randint(0, 1))
    baseline = folder / "baselines" / "kept"
    write_run(baseline, *_broken_run(draw, number // 2))
    write_run(folder / "baselines" / "good", *good)
    if draw.random() < 0.2:
        (baseline / "loop").symlink_to(baseline / "loop")
    return command(*draw.choice((
        ("baseline", "list", *where), ("baseline", "list", "--json", *where),
        ("baseline", "show", "kept", *where), ("baseline", "show", "kept", "--json", *where),
        ("compare", "kept", "good", *where), ("baseline", "rm", "kept", *where),
    )))  # fmt: skip


# --- tables -----------------------------------------------------------------------------------


def _tables(draw: random.Random, folder: Path, number: int) -> Attempt:
    path = folder / "table.csv"
    text = csv_text(draw)
    path.write_bytes(broken_bytes(draw, text.encode()) if number % 2 else text.encode())
    more = draw.choice(((), ("--group", "g"), ("--process", "p"), ("--json",)))
    return command("fit", path, "--x", "n", "--y", "t", *more)


# --- checkpoints ------------------------------------------------------------------------------


@cache
def _training() -> tuple[bytes, Mapping[str, Any], Mapping[str, str]]:
    """A small training's checkpoint: its bytes, entries and metadata."""
    import tempfile

    import torch

    from lmn.checkpoint import save_training
    from lmn.checkpoint_file import read_file

    model, optimizer = _model_and_optimizer()
    for weight in model.parameters():
        kept = {name: torch.zeros_like(weight) for name in ("exp_avg", "exp_avg_sq")}
        optimizer.state[weight] = {"step": torch.tensor(1.0), **kept}
    notes = _notes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_training(path, model, optimizer, step=1, notes=notes)
        entries, metadata = read_file(path)
        return path.read_bytes(), entries, metadata


def _tokens() -> tuple[Any, Any]:
    import torch

    return torch.tensor([[0, 1, 2, 1]]), torch.tensor([[1, 2, 1, 0]])


def _model_and_optimizer() -> tuple[Any, Any]:
    import torch

    from lmn import LMNConfig, LMNLanguageModel, LMNLanguageModelConfig

    block = LMNConfig(width=4, heads=2, banks=2)
    model = LMNLanguageModel(LMNLanguageModelConfig(vocabulary=3, layers=1, block=block))
    return model, torch.optim.AdamW(model.parameters())


def _notes() -> dict[str, Any]:
    from lmn_bench.learning.settings import QUICK

    settings = replace(QUICK, width=4, heads=2, layers=1, length=4)
    return {
        "settings": asdict(settings),
        "vocabulary": {"kind": "characters", "characters": "abc"},
        "corpus": {"name": "abc", "sha256": "0" * 64},
        "curve": {"training": [1.0], "validation": [[1, 1.1]], "tokens": 64, "seconds": 0.1},
    }


def _checkpoints(draw: random.Random, folder: Path, number: int) -> Attempt:
    path = folder / "model.safetensors"
    content, entries, metadata = _training()
    if number % 2:
        path.write_bytes(broken_bytes(draw, content))
    else:
        _write_broken(draw, path, dict(entries), dict(metadata))
    return reader(lambda: _resume(path) if draw.random() < 0.5 else _write_on(path))


def _write_broken(
    draw: random.Random, path: Path, entries: dict[str, Any], metadata: dict[str, str]
) -> None:
    import torch
    from safetensors.torch import save_file

    for _ in range(draw.randint(1, 3)):
        if draw.random() < 0.6:
            name = draw.choice(("config", "notes", "training"))
            plain = metadata.get(name, "{}")
            metadata[name] = draw.choice((
                "", "{}", "null", "[" * 100_000, '"text"',
                *[json.dumps(broken_data(draw, json.loads(plain or "{}")))] * 5,
            ))  # fmt: skip
            if draw.random() < 0.15:
                del metadata[name]
            break
        name = draw.choice([*entries])
        old = entries[name]
        entries[name] = draw.choice((
            lambda o: torch.zeros(3, 5), lambda o: o.to(torch.int64), lambda o: torch.zeros(0),
            lambda o: torch.zeros_like(o, dtype=torch.float16), lambda o: o.flatten()[:1].clone(),
            lambda o: torch.full_like(o, 255 if o.dtype == torch.uint8 else float("nan"))
            if o.dtype.is_floating_point or o.dtype == torch.uint8 else torch.zeros(()),
        ))(old)  # fmt: skip
        if draw.random() < 0.3:
            del entries[name]
    save_file(entries, path, metadata)


def _resume(path: Path) -> None:
    from lmn.checkpoint import resume_training
    from lmn_bench.worker.learning.train import _kept_notes

    _kept_notes(str(path))
    model, optimizer = _model_and_optimizer()
    resume_training(path, model, optimizer)
    model.loss(*_tokens()).backward()
    if STEPS_ON:
        optimizer.step()


def _write_on(path: Path) -> None:
    from lmn_bench.worker.learning.generate import GenerateJob, generate

    job = GenerateJob(str(path), "abca", 5, 0.8, None, None, 1, (), 1)
    generate(job, lambda told: json.dumps(told))


# --- tokenizers and configs -------------------------------------------------------------------


@cache
def _tokenizer() -> str:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.train_from_iterator(["abc abd cab ab"] * 3, trainers.BpeTrainer(
        vocab_size=20, special_tokens=["<unk>"], show_progress=False))  # fmt: skip
    return str(made.to_str())


_CONFIG = {"corpus": "python-docs", "tokens": "bytes", "length": 64, "batch": 2, "steps": 5,
           "learning_rate": 1e-3, "weight_decay": 0.0, "gradient_clip": 1.0, "seed": 1,
           "threads": 1, "device": "cpu", "width": 32, "heads": 4, "layers": 1, "banks": 1,
           "summarizer": "linear", "expansion": 0, "init": "default", "tie_weights": False,
           "validate_every": 5, "validation_windows": 2, "save_every": 5}  # fmt: skip


def _typed(draw: random.Random, folder: Path, number: int) -> Attempt:
    if number % 2:
        path = folder / "config.toml"
        text = toml_text(broken_data(draw, _CONFIG))
        path.write_bytes(broken_bytes(draw, text.encode()) if number % 4 == 1
                         else text.encode("utf-8", "replace"))  # fmt: skip
        return reader(lambda: _chosen(path))
    path = folder / "tokenizer.json"
    text = _tokenizer()
    path.write_bytes(
        broken_bytes(draw, text.encode()) if number % 4 == 0
        else json.dumps(broken_data(draw, json.loads(text))).encode("utf-8", "replace")
    )  # fmt: skip
    return reader(lambda: _cut(path))


def _chosen(path: Path) -> None:
    from lmn_bench.cli.train_run import Request, chosen_settings

    chosen_settings(Request(None, path, {}, (), Path("model.safetensors"), False, False))


def _cut(path: Path) -> None:
    from lmn_bench.learning.tokens import make_vocabulary

    vocabulary = make_vocabulary(str(path), "abc abd")
    vocabulary.decode(vocabulary.encode("abc abd"))
    vocabulary.to_dict()


def _options(draw: random.Random, folder: Path, number: int) -> Attempt:
    """Options with values that nobody means."""
    value = draw.choice((*_HOSTILE_TEXTS, json.dumps(any_data(draw))))
    return command(*draw.choice((
        ("run", "--dry-run", "--lengths", value), ("run", "--dry-run", "--threads", value),
        ("run", "--dry-run", "--memory-cap", value), ("run", "--dry-run", "--models", value),
        ("run", "--dry-run", "--set", value), ("run", "--suite", value, "--dry-run"),
        ("run", "--dry-run", "--processes", value), ("validate", value),
        ("report", value, "--results", folder), ("show", value, "--results", folder),
        ("compare", value, value, "--results", folder), ("list", "runs", "--results", value),
        ("baseline", "show", value, "--results", folder), ("fit", value, "--x", "a", "--y", "b"),
        ("size", "--context", value, "--results", folder),
        ("size", "--context", "4096", "--width", value, "--results", folder),
        ("profile", "lmn", "--mode", "decode", "--length", value, "--results", folder / "file"),
        ("generate", value, "--prompt", "a"), ("generate", folder, "--temperature", value),
        ("train", "--config", value, "-o", folder / "x" / "m.safetensors"),
        ("train", "--set", value, "-o", folder / "x" / "m.safetensors"),
    )))  # fmt: skip


KINDS = {
    kind.name: kind
    for kind in (
        Kind("suites", "suites and their settings", 3000, _suites),
        Kind("runs", "records and run.json", 2000, _runs),
        Kind("tables", "CSV files", 500, _tables),
        Kind("checkpoints", "checkpoints and trainings", 300, _checkpoints),
        Kind("kept", "gates and baselines", 300, _kept),
        Kind("typed", "tokenizers and configs", 300, _typed),
        Kind("options", "options", 500, _options),
    )
}
