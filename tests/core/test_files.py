"""Folders, made in few operations."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from b2luigi.core.files import BLOCK, Folders, in_folder, make_folder, read_text, replace_end, write_atomically


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of folders for which the system was asked."""
    names: list[str] = []
    mkdir = os.mkdir

    def noted(path: str | Path, mode: int = 0o777) -> None:
        names.append(os.path.basename(path))
        mkdir(path, mode)

    monkeypatch.setattr(os, "mkdir", noted)
    return names


def test_folders_of_new_tasks_cost_one_operation_each(tmp_path: Path, made: list[str]) -> None:
    """What is above them is found out once."""
    folders = Folders()
    for n in range(3):
        assert folders.make(tmp_path / "logs" / f"n={n}" / "Task") is True
    assert made == ["Task", "n=0", "logs", "n=0", "Task", *("n=1", "Task"), *("n=2", "Task")]


def test_folders_that_are_there_cost_one_operation(tmp_path: Path, made: list[str]) -> None:
    """Tasks that ran before; one that is new in between is noticed."""
    for n in (0, 1, 3):
        (tmp_path / f"n={n}" / "Task").mkdir(parents=True)
    made.clear()
    folders = Folders()
    assert [folders.make(tmp_path / f"n={n}" / "Task") for n in range(4)] == [False, False, True, False]
    assert made == ["Task", "Task", *("Task", "n=2", "Task"), *("n=3", "Task")]


def test_folders_that_were_removed_are_made_again(tmp_path: Path) -> None:
    """What is remembered may have gone."""
    folders = Folders()
    assert folders.make(tmp_path / "logs" / "n=0")
    (tmp_path / "logs" / "n=0").rmdir()
    (tmp_path / "logs").rmdir()
    assert folders.make(tmp_path / "logs" / "n=1")
    assert (tmp_path / "logs" / "n=1").is_dir()


def test_what_is_remembered_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: list[str]) -> None:
    """And the folder that all share is not forgotten."""
    monkeypatch.setattr(Folders, "REMEMBERED", 2)
    folders = Folders()
    for n in range(10):
        folders.make(tmp_path / "logs" / f"n={n}" / "Task")
    assert made[-2:] == ["n=9", "Task"]


@pytest.mark.parametrize("make", [make_folder, lambda folder: Folders().make(folder)], ids=["alone", "many"])
def test_a_file_in_the_way_of_a_folder(tmp_path: Path, make: object) -> None:
    """The error names it."""
    (tmp_path / "logs").touch()
    with pytest.raises(OSError, match="logs"):
        make(tmp_path / "logs" / "n=0")  # type: ignore[operator]


def test_a_folder_is_made_with_its_parents(tmp_path: Path, made: list[str]) -> None:
    """In one operation if only the last is missing, or none; a file in its place is an error."""
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    made.clear()
    make_folder(str(tmp_path / "a" / "b") + "/")
    make_folder(tmp_path / "a" / "c")
    assert len(made) == 2
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "file")


def test_a_file_is_written_into_a_folder_that_is_made_for_it(tmp_path: Path) -> None:
    """Only if it is not there."""
    folder = tmp_path / "a" / "b"
    in_folder(folder, lambda: write_atomically(folder / "file", "text", 0o600))
    assert (folder / "file").read_text() == "text"


@pytest.mark.parametrize("size", [0, 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
def test_a_file_of_any_size_is_read_as_a_whole(tmp_path: Path, size: int) -> None:
    """Or as much of it as is wanted."""
    path, text = tmp_path / "file", ("0123456789" * (size // 10 + 1))[:size]
    path.write_text(text)
    assert read_text(path) == text
    assert [read_text(path, most) for most in (0, 1, BLOCK + 1)] == [text[:most] for most in (0, 1, BLOCK + 1)]


def test_the_end_of_a_file_is_replaced_in_place(tmp_path: Path) -> None:
    """It stays the same file, whoever has it open."""
    path = tmp_path / "record"
    path.write_text("{ 1 }")
    inode = path.stat().st_ino
    assert replace_end(path, 5, " }", ", 2 }")
    assert (path.read_text(), path.stat().st_ino) == ("{ 1, 2 }", inode)


def test_the_end_of_another_file_stays(tmp_path: Path) -> None:
    """It was written by somebody else, removed, or is no file."""
    path = tmp_path / "record"
    assert not replace_end(path, 5, " }", ", 2 }")
    for text in ("{ 1, 3 }", "{ 12}"):
        path.write_text(text)
        assert not replace_end(path, 5, " }", ", 2 }")
        assert path.read_text() == text
    path.unlink()
    os.mkfifo(path)
    assert not replace_end(path, 0, "", "text")


@pytest.mark.parametrize("written", [0, 3])
def test_an_end_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int) -> None:
    """A full disk, which takes a part of it, or nothing."""
    path = tmp_path / "record"
    path.write_text("{ 1 }")
    pwrite = os.pwrite

    def full(descriptor: int, data: bytes, offset: int) -> int:
        if len(data) <= 2:
            return pwrite(descriptor, data, offset)
        if not written:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(descriptor, data[:written], offset)

    monkeypatch.setattr(os, "pwrite", full)
    assert not replace_end(path, 5, " }", ", 2 }")
    assert path.read_text() == "{ 1 }"
