from __future__ import annotations

from pathlib import Path

import luigi
import luigi.target
import pytest

import b2luigi
from b2luigi.core.target import file_targets_by_name


def test_local_target_is_a_file_system_target_of_both() -> None:
    """Code written for luigi's targets and for ours takes it."""
    target = b2luigi.LocalTarget("/x/y")
    assert isinstance(target, b2luigi.FileSystemTarget)
    assert isinstance(target, luigi.LocalTarget)
    assert target.path == "/x/y"


def test_makedirs_makes_the_folder_of_the_file(tmp_path: Path) -> None:
    """All folders above the file are made, the file is not; twice is fine."""
    target = b2luigi.LocalTarget(tmp_path / "a" / "b" / "f")
    target.makedirs()
    target.makedirs()
    assert (tmp_path / "a" / "b").is_dir()
    assert not target.exists()


def test_makedirs_without_folder(script_folder: Path) -> None:
    """A bare file name needs no folder."""
    b2luigi.LocalTarget("f").makedirs()
    assert list(script_folder.iterdir()) == []


def test_makedirs_tells_when_it_can_not(tmp_path: Path) -> None:
    """A file where a folder should be is an error, not silence."""
    (tmp_path / "a").write_text("")
    with pytest.raises(OSError, match="a"):
        b2luigi.LocalTarget(tmp_path / "a" / "f").makedirs()


def test_writing_and_reading(tmp_path: Path) -> None:
    """Opening works as in luigi: the file appears when it is closed."""
    target = b2luigi.LocalTarget(tmp_path / "new" / "f")
    with target.open("w") as file:
        file.write("text")
        assert not target.exists()
    with target.open("r") as file:
        assert file.read() == "text"


def test_targets_by_name() -> None:
    """A target is called by the key of its dict, else by its file name; others are left out."""
    a, b, c = (luigi.LocalTarget(f"/x/{name}") for name in "abc")

    class Elsewhere(luigi.Target):
        def exists(self) -> bool:
            return True

    structure = [{"one": a}, {"requirement": [{"one": b}]}, [c], b, Elsewhere(), {"away": Elsewhere()}]
    assert file_targets_by_name(structure) == {"one": [a, b], "c": [c], "b": [b]}
