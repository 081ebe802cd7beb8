"""Settings of a process that a user's code changed: those that count are set back, all are told."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

from lmn_bench.worker.settings import Settings


@pytest.fixture
def settings():
    """As they are now, and again afterwards."""
    before = Settings.now()
    default_type = torch.get_default_dtype()
    yield before
    torch.set_default_dtype(default_type)
    torch.use_deterministic_algorithms(False)
    before.restore()


def test_where_nothing_was_changed_nothing_is_told(settings):
    assert settings.restore() == []


def test_threads_are_set_back(settings):
    torch.set_num_threads(settings.threads + 1)
    (told,) = settings.restore()
    assert told.startswith(f"set torch's threads to {settings.threads + 1}: set back")
    assert torch.get_num_threads() == settings.threads


def test_gradients_are_switched_on_again(settings):
    torch.set_grad_enabled(False)
    assert settings.restore() == ["switched gradients off: switched on again"]
    assert torch.is_grad_enabled()


def test_the_working_folder_is_set_back(settings, tmp_path):
    os.chdir(tmp_path)
    kept = settings.restore(keep_folder=True)
    assert kept == [f"changed the working folder to {tmp_path}, and keeps it"]
    assert Path.cwd() == tmp_path
    assert settings.restore() == [f"changed the working folder to {tmp_path}: set back"]
    assert str(Path.cwd()) == settings.folder


def test_a_working_folder_that_was_deleted_is_left(settings, tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    os.chdir(folder)
    folder.rmdir()
    assert len(settings.restore()) == 1
    assert str(Path.cwd()) == settings.folder


def test_what_signals_do_is_set_back(settings):
    before = signal.getsignal(signal.SIGCHLD)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    assert settings.restore() == ["changed what signals do (SIGCHLD): set back"]
    assert signal.getsignal(signal.SIGCHLD) == before


def test_whoever_set_a_timer_is_there_when_it_goes_off(settings):
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    mine = signal.getsignal(signal.SIGALRM)
    assert settings.restore() == []
    assert signal.getsignal(signal.SIGALRM) is mine
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: torch.set_default_dtype(torch.float64), "torch's default type to torch.float64"),
        (lambda: torch.use_deterministic_algorithms(True), "deterministic algorithms to True"),
    ],
)
def test_what_a_model_may_count_on_is_kept_and_told(settings, change, words):
    change()
    (told,) = settings.restore()
    assert words in told
    assert told.endswith("and keeps it")
