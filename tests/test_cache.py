"""What is kept on disk between runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fabric import cache


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_arrays_come_back(home: Path) -> None:
    cache.store("kind", "name", {"one": np.arange(3), "two": np.ones((2, 2))})
    found = cache.load("kind", "name")
    assert found is not None
    assert set(found) == {"one", "two"}
    assert found["one"].tolist() == [0, 1, 2]
    assert [path.name for path in (home / "fabricsim" / "kind").iterdir()] == ["name.npz"]


def test_nothing_and_nonsense_are_none(home: Path) -> None:
    assert cache.load("kind", "name") is None
    cache.store("kind", "name", {"one": np.arange(3)})
    path = home / "fabricsim" / "kind" / "name.npz"
    path.write_bytes(path.read_bytes()[:40])
    assert cache.load("kind", "name") is None
    path.write_bytes(b"")
    assert cache.load("kind", "name") is None


def test_a_folder_that_cannot_be_written_costs_nothing(home: Path) -> None:
    (home / "fabricsim").write_text("in the way")
    cache.store("kind", "name", {"one": np.arange(3)})
    assert cache.load("kind", "name") is None


def test_a_relative_folder_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    assert cache.folder() == Path.home() / ".cache" / "fabricsim"


def test_names_differ_by_every_part() -> None:
    names = {cache.digest(*parts) for parts in [(1, 2), (12,), (np.arange(2),), (np.arange(2.0),), (np.zeros((1, 2)),)]}
    assert len(names) == 5
    assert cache.digest(np.arange(2), "x") == cache.digest(np.arange(2), "x")
