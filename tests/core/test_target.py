from __future__ import annotations

import contextlib
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import luigi
import luigi.target
import pytest

import b2luigi
from b2luigi.core.target import file_targets_by_name, make_scratch_folder, temporary_name


def test_local_target_is_luigis_and_ours() -> None:
    """Code written for luigi's targets and code written for ours accept it."""
    target = b2luigi.LocalTarget("/x/y")
    assert isinstance(target, b2luigi.FileSystemTarget)
    assert isinstance(target, luigi.LocalTarget)
    assert target.path == "/x/y"


def test_makedirs_creates_the_folder_of_the_file(tmp_path: Path) -> None:
    """It creates all parent folders, but not the file; a second call is harmless."""
    target = b2luigi.LocalTarget(tmp_path / "a" / "b" / "f")
    target.makedirs()
    target.makedirs()
    assert (tmp_path / "a" / "b").is_dir()
    assert not target.exists()


def test_makedirs_without_folder(script_folder: Path) -> None:
    """A bare file name needs no folder."""
    b2luigi.LocalTarget("f").makedirs()
    assert list(script_folder.iterdir()) == []


def test_makedirs_raises_if_it_fails(tmp_path: Path) -> None:
    """A file in the place of a folder is an error and is not ignored."""
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
    """The name of a target is its dict key or else its file name; targets without a path are skipped."""
    a, b, c = (luigi.LocalTarget(f"/x/{name}") for name in "abc")

    class Elsewhere(luigi.Target):
        def exists(self) -> bool:
            return True

    structure = [{"one": a}, {"requirement": [{"one": b}]}, [c], b, Elsewhere(), {"away": Elsewhere()}]
    assert file_targets_by_name(structure) == {"one": [a, b], "c": [c], "b": [b]}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/x/a.root", r"a-luigi-tmp-\d{10}\.root"),
        ("img.nii.gz", r"img-luigi-tmp-\d{10}\.nii\.gz"),
        ("run.10.root", r"run-luigi-tmp-\d{10}\.10\.root"),
        ("/x/.hidden.gz", r"\.hidden-luigi-tmp-\d{10}\.gz"),
        ("/x/.hidden", r"\.hidden-luigi-tmp-\d{10}"),
        ("/x/folder/", r"folder-luigi-tmp-\d{10}"),
    ],
)
def test_temporary_names(path: str, expected: str) -> None:
    """The extension stays at the end, where programs expect it, and each name is unique."""
    target = b2luigi.LocalTarget(path)
    assert re.fullmatch(expected, target.tmp_name)
    assert target.tmp_name != target.tmp_name


@pytest.mark.parametrize("stem", ["x" * 251, "ä" * 125])
def test_a_temporary_name_is_never_too_long(stem: str, tmp_path: Path) -> None:
    """A name of maximal length is truncated for the temporary file, between characters."""
    name = temporary_name(f"{stem}.txt", 3)
    assert name.endswith("-luigi-tmp-0000000003.txt")
    assert name.startswith(stem[:100])
    (tmp_path / name).write_text("")
    name.encode()


def test_an_extension_that_is_too_long_is_cut_at_its_beginning(tmp_path: Path) -> None:
    """What programs look at is the end of a name."""
    name = temporary_name(f"energy=0.{'5' * 240}.nii.gz", 3)
    assert name.endswith("5.nii.gz")
    (tmp_path / name).write_text("")


def test_a_temporary_path_becomes_the_target(tmp_path: Path) -> None:
    """It lies in the target's folder, which is created, and is renamed to the target at the end."""
    target = b2luigi.LocalTarget(tmp_path / "new" / "f.txt")
    with target.temporary_path() as path:
        assert os.path.dirname(path) == f"{tmp_path}/new"
        Path(path).write_text("text")
        assert not target.exists()
    assert [(found.name, found.read_text()) for found in (tmp_path / "new").iterdir()] == [("f.txt", "text")]


def test_the_folder_of_a_temporary_input_has_the_name_that_is_asked_for(tmp_path: Path) -> None:
    """`prefix` and `suffix` are those of `tempfile`."""
    b2luigi.set_setting("scratch_dir", str(tmp_path / "scratch"))
    (tmp_path / "f").write_text("text")
    with b2luigi.LocalTarget(tmp_path / "f").get_temporary_input(prefix="big-", suffix="-in") as path:
        folder = Path(path).relative_to(tmp_path / "scratch").parts[0]
    assert re.fullmatch("big-.*-in", folder)


def test_a_temporary_path_accepts_a_task(tmp_path: Path) -> None:
    """Same signature as targets of other file systems, which read settings of the task."""
    task = b2luigi.Task()
    target = b2luigi.LocalTarget(tmp_path / "f")
    with target.temporary_path(task) as path:
        Path(path).write_text("text")
    with target.get_temporary_input(task) as path:
        assert Path(path).read_text() == "text"


def test_a_temporary_folder_becomes_the_target(tmp_path: Path) -> None:
    """A target can be a folder."""
    target = b2luigi.LocalTarget(f"{tmp_path}/folder/")
    with target.temporary_path() as path:
        os.mkdir(path)
        Path(path, "x").write_text("text")
    assert (tmp_path / "folder" / "x").read_text() == "text"


def test_an_exception_leaves_no_files(script_folder: Path) -> None:
    """Neither the target nor the temporary file exists afterwards."""

    def write() -> None:
        with b2luigi.LocalTarget(script_folder / "f").temporary_path() as path:
            Path(path).write_text("half")
            raise ValueError("the disk is tired")

    with pytest.raises(ValueError, match="tired"):
        write()
    assert list(script_folder.iterdir()) == []


def test_an_existing_target_is_kept(script_folder: Path) -> None:
    """The new file is removed and does not replace it."""
    target = b2luigi.LocalTarget(script_folder / "f")
    Path(target.path).write_text("theirs")
    with pytest.raises(luigi.target.FileAlreadyExists, match="f already exists"), target.temporary_path() as path:
        Path(path).write_text("ours")
    assert [(found.name, found.read_text()) for found in script_folder.iterdir()] == [("f", "theirs")]


def test_writing_nothing_is_an_error(tmp_path: Path) -> None:
    """If nothing was written, the error names the target."""
    with (
        pytest.raises(FileNotFoundError, match=r"so .*/f was not created\."),
        b2luigi.LocalTarget(tmp_path / "f").temporary_path(),
    ):
        pass


@pytest.mark.parametrize("is_folder", [False, True])
def test_temporary_inputs(tmp_path: Path, is_folder: bool) -> None:
    """The file or folder is copied, under its own name, to the scratch folder of the task, and removed at the end."""
    file = tmp_path / "in" / "f" if is_folder else tmp_path / "in"
    file.parent.mkdir(exist_ok=True)
    file.write_text("text")
    task = b2luigi.Task()
    task.scratch_dir = tmp_path / "scratch"
    with b2luigi.LocalTarget(tmp_path / "in").get_temporary_input(task) as path:
        assert path.startswith(f"{tmp_path}/scratch/")
        assert os.path.basename(path) == "in"
        assert (Path(path, "f") if is_folder else Path(path)).read_text() == "text"
    assert list((tmp_path / "scratch").iterdir()) == []
    assert file.read_text() == "text"


def test_a_scratch_folder_that_cannot_be_created_is_an_error_with_the_setting() -> None:
    """The error keeps its class and names the setting to change."""
    b2luigi.set_setting("scratch_dir", "/dev/null/scratch")
    with pytest.raises(NotADirectoryError, match=r"the setting scratch_dir \(Not a directory\)"):
        make_scratch_folder()


@pytest.fixture
def _nobody() -> Iterator[None]:
    """A user who can write hardly anywhere, even if the tests run as root."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield
    os.seteuid(user)


@pytest.mark.usefixtures("_nobody")
def test_a_scratch_folder_that_is_not_writable_is_a_permission_error() -> None:
    """The error advises to choose a writable folder."""
    b2luigi.set_setting("scratch_dir", "/")
    with pytest.raises(PermissionError, match=r"Set it to a folder that you can write to .*: '/'"):
        make_scratch_folder()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
@pytest.mark.parametrize("text", ["short", "long" * 100_000])
def test_a_disk_that_is_full_when_a_target_is_closed_is_waited_for(tmp_path: Path, text: str) -> None:
    """What is left in the buffer, and the last rename, need not be lost for it."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", tmp_path], check=True)
    try:
        target, filler = b2luigi.LocalTarget(str(tmp_path / "out.txt")), tmp_path / "filler"
        with target.open("w") as file:
            file.write(text)
            with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as other:
                while other.write(b"x" * 4096):
                    pass
            later = threading.Timer(1.0, filler.unlink)
            later.start()
        later.join()
        assert Path(target.path).read_text() == text
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)
