"""Inbox, records or all files of a killed run are damaged or removed, and its jobs are at work all the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.conftest import ONE_CLUSTER, System
from tests.end_to_end.project import Project
from tests.end_to_end.test_restart import ATTACHED, is_whole, kill_when, let_go, parts, ran

pytestmark = pytest.mark.parametrize("system", ONE_CLUSTER, indirect=True)


def remove_inboxes(folder: Path) -> None:
    for path in folder.glob("inbox-*"):
        shutil.rmtree(path)


def empty_records(folder: Path) -> None:
    for path in folder.rglob("attempt-*.json"):
        path.write_text("")


def cut_records(folder: Path) -> None:
    for path in folder.rglob("attempt-*.json"):
        path.write_text(path.read_text()[:150])


def remove_records(folder: Path) -> None:
    for path in folder.rglob("attempt-*.json"):
        path.unlink()


def remove_task_folders(folder: Path) -> None:
    for path in folder.glob("n=*"):
        shutil.rmtree(path)


@pytest.mark.parametrize("damage", [remove_inboxes, empty_records, cut_records, remove_records])
def test_jobs_are_resumed_whatever_is_left_of_their_records(
    system: System, project: Project, damage: Callable[[Path], None]
) -> None:
    """The claims of the run have what its records lack, and the other way round; nothing is done twice."""
    project.write(parts(3))
    kill_when(project, 3)
    damage(project.folder / "task_files")
    ended = let_go(project, project.start(), ATTACHED)
    assert "* 4 ran successfully:" in ended.text, ended.text
    assert ran(project) == ["0", "1", "2"]
    assert is_whole(project, 3)
    assert project.inboxes() == []
    assert system.live_jobs() == []


def test_an_unreadable_record_of_which_nothing_is_known_is_reported(system: System, project: Project) -> None:
    """Its job may be at work: the path, and what to do; nothing is submitted."""
    project.write(parts(1))
    kill_when(project, 1)
    remove_inboxes(project.folder / "task_files")
    empty_records(project.folder / "task_files")
    for path in project.folder.rglob("*.begun"):
        path.unlink()
    ended = let_go(project, project.start(), "cannot be read, and its job may still be running")
    (story,) = ended.stories.values()
    assert "the record of its last attempt cannot be read, and its job may still be running" in story
    assert "attempt-1.json" in story
    assert ran(project) == ["0"]


def test_jobs_are_found_by_their_names_when_all_records_were_removed(system: System, project: Project) -> None:
    """rm -rf of the task files while jobs run: reported, and what depends on them is not submitted before they end."""
    project.write(parts(3))
    kill_when(project, 3)
    shutil.rmtree(project.folder / "task_files")
    ended = let_go(project, project.start(), "and its record is gone")
    assert ended.rc == 0, ended.text
    assert ran(project) == ["0", "1", "2"]
    assert is_whole(project, 3)


def test_a_task_whose_job_is_at_work_without_a_record_is_not_submitted(system: System, project: Project) -> None:
    """Its output was removed, too: it is submitted when that job has ended."""
    project.write(parts(1, work="open('at-work', 'x'); wait_for('go'); os.remove('at-work')"))
    kill_when(project, 1)
    shutil.rmtree(project.folder / "task_files")
    (project.folder / "n=0" / "part.txt").unlink()
    ended = let_go(project, project.start(), "and its record is gone")
    assert "* 2 ran successfully:" in ended.text, ended.text
    assert ran(project) == ["0", "0"]
    assert is_whole(project, 1)
