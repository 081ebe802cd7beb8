"""The results folder is found from subfolders, and git's part in it is told once."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from bench_helpers import case, ok, run_info

from lmn_bench.cli import results_place, run_command_line
from lmn_bench.cli.results_place import default_results, place_lines, tell_place
from lmn_bench.places import baseline_names, gate_names, results_folder, run_names, work_tree
from lmn_bench.store import RecordWriter, create_run


@pytest.fixture
def repository(tmp_path):
    """A repository of somebody's, with a subfolder."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "src" / "deep").mkdir(parents=True)
    return tmp_path


def run_in(results, name="smoke-1"):
    folder = create_run(results, run_info(run_id=name))
    with RecordWriter(folder) as writer:
        writer.append(ok(case()))
    return folder


def test_outside_a_repository_results_are_in_the_working_directory(tmp_path):
    run_in(tmp_path / "results")
    inside = tmp_path / "sub"
    inside.mkdir()
    assert results_folder(inside) == inside / "results"


def test_from_a_subfolder_results_are_at_the_top_of_the_repository(repository):
    assert results_folder(repository / "src" / "deep") == repository / "results"
    assert results_folder(repository) == repository / "results"


def test_the_nearest_folder_with_runs_comes_before_the_top(repository):
    run_in(repository / "src" / "results")
    assert results_folder(repository / "src" / "deep") == repository / "src" / "results"
    assert results_folder(repository) == repository / "results"


def test_a_folder_of_somebody_elses_on_the_way_is_passed_by(repository):
    (repository / "src" / "results").mkdir()
    (repository / "src" / "results" / "paper.csv").write_text("1,2")
    assert results_folder(repository / "src" / "deep") == repository / "results"


def test_from_a_subfolder_nothing_goes_into_somebody_elses_results(repository):
    (repository / "results").mkdir()
    (repository / "results" / "paper.csv").write_text("1,2")
    assert results_folder(repository / "src") == repository / "src" / "results"


@pytest.mark.parametrize("name", ["README.md", ".gitignore"])
def test_a_readme_or_a_hidden_file_makes_no_folder_somebody_elses(repository, name):
    (repository / "results").mkdir()
    (repository / "results" / name).write_text("")
    assert results_folder(repository / "src") == repository / "results"


@pytest.mark.parametrize("kept", ["smoke-1/run.json", "ab-1/gate.json", "profile-1/profile.json",
                                  "baselines/ci/run.json"])  # fmt: skip
def test_all_that_we_keep_makes_a_folder_ours(repository, kept):
    path = repository / "results" / kept
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    (repository / "results" / "paper.csv").write_text("1,2")
    assert results_folder(repository / "src") == repository / "results"


def test_a_repository_inside_another_has_results_of_its_own(repository):
    run_in(repository / "results")
    inner = repository / "src"
    (inner / ".git").write_text("gitdir: ../.git/modules/src\n")
    assert results_folder(inner / "deep") == inner / "results"


def test_a_home_kept_in_git_is_no_project(repository):
    assert work_tree(repository / "src", home=repository) is None
    assert results_folder(repository / "src", home=repository) == repository / "src" / "results"


def test_names_come_without_reading_a_run(tmp_path):
    run_in(tmp_path, "smoke-1")
    run_in(tmp_path / "baselines", "ci")
    run_in(tmp_path / "baselines", ".ci.new")
    (tmp_path / "ab-1").mkdir()
    (tmp_path / "ab-1" / "gate.json").write_text("not even JSON")
    assert run_names(tmp_path) == ["smoke-1"]
    assert baseline_names(tmp_path) == ["ci"]
    assert gate_names(tmp_path) == ["ab-1"]


@pytest.mark.parametrize("command", [["report"], ["show"], ["list", "runs"],
                                     ["baseline", "save", "ci"]])  # fmt: skip
def test_commands_find_runs_from_a_subfolder(repository, monkeypatch, capsys, command):
    run_in(repository / "results")
    monkeypatch.chdir(repository / "src" / "deep")
    assert run_command_line(command) == 0
    assert not (repository / "src" / "deep" / "results").exists()
    said = capsys.readouterr()
    assert "smoke-1" in said.out or (repository / "results" / "baselines" / "ci").is_dir()


def test_a_folder_that_is_named_is_taken_as_it_is(repository, monkeypatch, capsys):
    run_in(repository / "results")
    run_in(repository / "src" / "mine", "other-1")
    monkeypatch.chdir(repository / "src")
    assert run_command_line(["list", "runs", "--results", "mine"]) == 0
    assert "other-1" in capsys.readouterr().out
    monkeypatch.setenv("LMN_BENCH_RESULTS", "mine")
    assert run_command_line(["list", "runs"]) == 0
    assert "other-1" in capsys.readouterr().out


def test_a_working_directory_that_is_gone_is_no_internal_error(monkeypatch):
    def gone():
        raise FileNotFoundError

    monkeypatch.setattr(Path, "cwd", gone)
    assert default_results() == Path("results")


# -------------------------------------------------------------------------------- what is told


def told(here, results=None):
    return list(place_lines(results or default_results(), here))


def test_where_results_go_is_told_where_it_is_not_here(repository, monkeypatch):
    run_in(repository / "results")
    monkeypatch.chdir(repository / "src")
    (line,) = told(Path.cwd())
    assert line.startswith("results go to ../results")


def test_in_the_usual_place_nothing_is_told(repository, monkeypatch):
    run_in(repository / "results")
    monkeypatch.chdir(repository)
    assert told(Path.cwd()) == []


def test_a_folder_that_git_does_not_ignore_is_told_once(repository, monkeypatch, capsys):
    monkeypatch.chdir(repository)
    tell_place(default_results())
    said = capsys.readouterr().err
    assert said == "hint: git does not ignore results: echo results/ >> .gitignore\n"
    run_in(Path("results"))
    tell_place(default_results())
    assert capsys.readouterr().err == ""


def test_the_line_told_makes_git_ignore_it(repository, monkeypatch):
    monkeypatch.chdir(repository / "src" / "deep")
    hint = told(Path.cwd())[-1]
    subprocess.run(["sh", "-c", hint.partition(": ")[2].partition(": ")[2]], check=True)
    assert [line for line in told(Path.cwd()) if "ignore" in line] == []


def test_the_line_told_leaves_a_last_line_without_an_end_as_it_is(repository, monkeypatch):
    (repository / ".gitignore").write_text("build")
    monkeypatch.chdir(repository)
    hint = told(Path.cwd())[-1]
    subprocess.run(["sh", "-c", hint.partition(": ")[2].partition(": ")[2]], check=True)
    assert (repository / ".gitignore").read_text().split() == ["build", "results/"]


def test_an_ignored_folder_or_none_in_git_is_not_told(repository, tmp_path_factory, monkeypatch):
    (repository / ".gitignore").write_text("results/\n")
    monkeypatch.chdir(repository)
    assert told(Path.cwd()) == []
    outside = tmp_path_factory.mktemp("outside")
    monkeypatch.chdir(outside)
    assert told(outside) == []


def test_results_among_other_things_are_told(repository, monkeypatch):
    (repository / "results").mkdir()
    (repository / "results" / "paper.csv").write_text("1,2")
    monkeypatch.chdir(repository)
    (line,) = told(Path.cwd())
    assert "other things" in line
    assert "--results FOLDER" in line


def test_without_git_nothing_is_told(repository, monkeypatch):
    monkeypatch.chdir(repository)
    monkeypatch.setenv("PATH", "")
    assert told(Path.cwd()) == []


def test_baselines_are_made_to_be_committed(repository, monkeypatch):
    monkeypatch.chdir(repository)
    assert list(place_lines(Path("results"), Path.cwd(), kept=True)) == []
    assert results_place.default_results() == Path("results")
