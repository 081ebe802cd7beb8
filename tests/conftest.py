"""What all tests share: hypothesis without deadlines, terminals of a known width."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

# Machines that run tests are noisy, and a time is never what a test here is about.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")

# Files that take half a minute to two minutes, as `make test` meets them first: one that comes last
# leaves the other worker idle. (xdist's own order, most tests first, puts just these at the end.)
LONG = frozenset({
    "test_ab", "test_cli", "test_decode", "test_decode_execution", "test_exit_codes",
    "test_interrupted_runs", "test_learn_own_models", "test_learn_runs", "test_learners",
    "test_needs", "test_profile_command", "test_strange_models", "test_tour", "test_train_command",
    "test_triton_attention", "test_worker_process",
})  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first; otherwise the order stays."""
    items.sort(key=lambda item: item.path.stem not in LONG)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache that the tests share among themselves, not with the person who runs them."""
    with pytest.MonkeyPatch.context() as patch:
        shared = tmp_path_factory.getbasetemp().parent / "lmn-bench-cache"
        patch.setenv("XDG_CACHE_HOME", str(shared))
        yield


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """80 columns, no colour, no settings of the person who runs the tests."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    for name in ("FORCE_COLOR", "LMN_BENCH_RESULTS"):
        monkeypatch.delenv(name, raising=False)
