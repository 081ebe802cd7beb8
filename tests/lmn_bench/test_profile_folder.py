"""The folder of a profile: held while it is filled, kept with numbers, swept without."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lmn_bench.cli.profile_folder import profile_folder
from lmn_bench.errors import StoreError

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def killed(results: Path, name: str, *files: str) -> Path:
    folder = results / name
    folder.mkdir(parents=True)
    for file in files:
        (folder / file).touch()
    return folder


def test_what_a_killed_profile_left_goes_with_the_next(tmp_path):
    left = killed(tmp_path, "profile-gru-train-1", "trace.json.gz", "profile.json.partial")
    empty = killed(tmp_path, "profile-gru-train-2")
    with profile_folder("gru-train", tmp_path, NOW):
        assert not left.exists()
        assert not empty.exists()


def test_a_folder_with_numbers_stays(tmp_path):
    with profile_folder("gru-train", tmp_path, NOW) as folder:
        (folder / "profile.json").touch()
        (folder / "trace.json.gz").touch()
    with profile_folder("gru-train", tmp_path, NOW):
        assert sorted(path.name for path in folder.iterdir()) == ["profile.json", "trace.json.gz"]


def test_a_folder_without_numbers_goes_with_its_profile(tmp_path):
    with profile_folder("gru-train", tmp_path, NOW) as folder:
        (folder / "trace.json.gz").touch()
    assert not folder.exists()


def test_two_profiles_at_once_have_a_folder_each(tmp_path):
    with (
        profile_folder("gru-train", tmp_path, NOW) as one,
        profile_folder("gru-train", tmp_path, NOW) as other,
    ):
        assert one != other
        assert one.is_dir()


def test_what_is_not_ours_stays(tmp_path):
    folder = killed(tmp_path, "profile-notes", "notes.txt")
    with profile_folder("gru-train", tmp_path, NOW):
        assert (folder / "notes.txt").exists()


def test_no_folder_where_nothing_can_be_made(tmp_path):
    (tmp_path / "results").write_text("a file")
    with (
        pytest.raises(StoreError, match="cannot create a folder"),
        profile_folder("gru-train", tmp_path / "results", NOW),
    ):
        pass
