"""What the storms of `tools/` judge by: a storm that cannot find a fault finds none."""

from __future__ import annotations

import importlib.util
import json
import random
import sys
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture(scope="module")
def shared() -> ModuleType:
    return loaded("storm_shared")


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def line(case: str, replicate: int = 0) -> str:
    return json.dumps({"case_id": case, "replicate": replicate})


def test_a_record_that_is_gone_is_lost(shared: ModuleType) -> None:
    found = shared.compared([line("a"), line("b")], [line("a"), line("c")], planned=2)
    assert found.lost == ["record ('b', 0)"]


def test_a_record_that_stands_twice_is_doubled(shared: ModuleType) -> None:
    found = shared.compared([], [line("a"), line("b"), line("a")], planned=2)
    assert found.doubled == ["record ('a', 0)"]


def test_a_run_that_lacks_a_record_is_wrong(shared: ModuleType) -> None:
    found = shared.compared([line("a")], [line("a")], planned=2)
    assert found.wrong == ["1 of 2 records at the end"]


def test_a_whole_run_has_nothing_against_it(shared: ModuleType) -> None:
    assert not shared.compared([line("a")], [line("a"), line("a", 1)], planned=2).all


def test_half_a_line_is_not_finished(shared: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_text(line("a") + "\n" + line("b")[:9])
    assert shared.whole_lines(tmp_path / "records.jsonl") == [line("a")]
    assert [one for one in shared.broken_json(tmp_path) if "half a line" in one]


def test_what_no_command_keeps_is_left_behind(shared: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").touch()
    (tmp_path / "run" / "run.json.partial").touch()
    (tmp_path / "run" / "interim").mkdir()
    assert shared.left_in(tmp_path) == ["empty folder run/interim", "file run/run.json.partial"]


def test_kills_cover_the_whole_life_and_what_follows_the_first_write(shared: ModuleType) -> None:
    life = shared.Life(10.0, 8.0, {"parent": (0.0, 10.0), "child": (5.0, 9.0)})
    found = shared.moments(40, life, ("parent", "child"), 2, random.Random(0))
    lives = [one.seconds for one in found[::2] if one.since == "begin"]
    assert len(lives) == 10
    assert max(lives) > 9 > 1 > min(lives)
    assert all(one.seconds <= 2 for one in found if one.since == "write")


def test_a_victim_that_is_gone_is_not_waited_for(shared: ModuleType) -> None:
    life = shared.Life(10.0, 8.0, {"child": (5.0, 6.0)})
    found = shared.moments(40, life, ("child",), 1, random.Random(0))
    assert all(one.since == "victim" and one.seconds <= 1 for one in found)


def test_a_section_takes_the_place_of_its_last_one(shared: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "faults.md"
    for heading, text in (("Kills", "old"), ("Disks", "kept"), ("Kills", "new")):
        shared.write_section(page, heading, [text])
    assert page.read_text() == "# Faults\n\n## Disks\n\nkept\n\n## Kills\n\nnew\n"
