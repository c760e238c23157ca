"""The disk of the task files is full: tasks wait, on every batch system, and nothing fails for it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import System, on_one_cluster
from tests.end_to_end.project import Project, end_of
from tests.end_to_end.test_restart import is_whole, parts, ran
from tests.waiting import until

system = on_one_cluster


pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")


@pytest.fixture
def disk(project: Project) -> Iterator[Path]:
    """A small disk of its own for the task files."""
    folder = project.folder / "task_files"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(disk: Path) -> Path:
    """Leaves not a byte; returns what takes all the room."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), open(ballast, "ab", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    return ballast


def test_tasks_wait_for_a_full_disk(system: System, project: Project, disk: Path) -> None:
    """Full from the beginning: reported once, and the tasks are done when there is room."""
    project.write(parts(4, work="pass"))
    ballast = fill(disk)
    process = project.start()
    process.until_printed("No space left on device")
    ballast.unlink()
    ended = end_of(process)
    assert "* 5 ran successfully:" in ended.text, ended.text
    assert is_whole(project, 4)


def test_local_tasks_that_wait_for_a_slot_wait_for_the_disk_too(project: Project, disk: Path, system: System) -> None:
    """Full while jobs run: those that were claimed before are not failed."""
    project.write(parts(6, work="wait_for('go')"))
    process = project.start()
    until(lambda: len(ran(project)) >= 3, "jobs run")
    until(lambda: len(project.records()) == 6, "all are claimed")
    ballast = fill(disk)
    project.touch("go")
    until(lambda: "No " in process.printed or len(ran(project)) == 6, "no job can be started, or all were")
    ballast.unlink()
    ended = end_of(process)
    assert "* 7 ran successfully:" in ended.text, ended.text
    assert is_whole(project, 6)
