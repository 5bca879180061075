"""Results are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fabric.errors import InputError
from fabric.output import whole_file, whole_folder


def test_a_new_folder_appears_with_everything(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "deep" / "out") as staging:
        staging.write("a", "1")
        assert not (tmp_path / "deep" / "out").exists()
    assert [file.name for file in (tmp_path / "deep" / "out").iterdir()] == ["a"]


def test_an_old_folder_keeps_its_other_files(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with whole_folder(tmp_path) as staging:
        staging.write("a", "1")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "mine"]


def test_a_folder_in_the_way_of_a_file_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a").write_text("old")

    def fill() -> None:
        with whole_folder(tmp_path) as staging:
            staging.write("a", "new")
            staging.write("b", "new")

    with pytest.raises(InputError, match="it is a folder"):
        fill()
    assert (tmp_path / "a").read_text() == "old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "b"]


def test_what_was_there_comes_back_if_a_file_cannot_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("old")
    replace = os.replace

    def fail_on_b(source: Path, target: Path) -> None:
        if Path(source).name == "b":
            raise OSError(28, os.strerror(28))
        replace(source, target)

    def fill() -> None:
        with whole_folder(tmp_path) as staging:
            staging.write("a", "new")
            staging.write("b", "new")
            monkeypatch.setattr("os.replace", fail_on_b)

    with pytest.raises(InputError, match="No space left"):
        fill()
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"a": "old"}


@pytest.mark.parametrize("write", [lambda: whole_folder("").__enter__(), lambda: whole_file(" ", lambda path: None)])
def test_an_empty_name_is_refused(write: Callable[[], object]) -> None:
    with pytest.raises(InputError, match="is empty"):
        write()


def test_an_earlier_result_goes_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    for written in (["a", "b", "c"], ["a", "c"]):
        with whole_folder(tmp_path, ["a", "b", "c"]) as staging:
            for name in written:
                staging.write(name, name)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "c", "mine"]


def test_an_interruption_puts_an_earlier_result_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = os.replace

    def press(source: Path, target: Path) -> None:
        replace(source, target)
        if Path(source).name == "c":
            raise KeyboardInterrupt

    def fill(written: list[str]) -> None:
        with whole_folder(tmp_path, ["a", "b", "c"]) as staging:
            for name in written:
                staging.write(name, " ".join(written))

    fill(["a", "b", "c"])
    monkeypatch.setattr("os.replace", press)
    with pytest.raises(KeyboardInterrupt):
        fill(["a", "c"])
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == dict.fromkeys("abc", "a b c")


def test_a_failure_leaves_no_trace(tmp_path: Path) -> None:
    def fill() -> None:
        with whole_folder(tmp_path / "out") as staging:
            staging.write("a", "1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(InputError, match="it is a file"), whole_folder(tmp_path / "out"):
        pytest.fail("the block ran")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot write"), whole_folder(tmp_path / "file" / "out"):
        pytest.fail("the block ran")


def test_a_full_disk_is_reported_and_cleaned_up(tmp_path: Path) -> None:
    def full(path: Path) -> None:
        path.write_text("half")
        raise OSError(28, os.strerror(28))

    with pytest.raises(InputError, match="No space left"):
        whole_file(tmp_path / "out.json", full)
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> str:  # root may write everywhere, so the refusal is played
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(InputError, match="Permission denied"), whole_folder(tmp_path / "out"):
        pytest.fail("the block ran")
