"""One project, two names: a symbolic link, another mount point, a folder that was moved; records decide, not paths."""

from __future__ import annotations

import shutil

import pytest

from tests.end_to_end.conftest import ONE_CLUSTER, System
from tests.end_to_end.project import Project, end_of
from tests.end_to_end.test_restart import ATTACHED, is_whole, kill_when, let_go, parts, ran
from tests.waiting import until

pytestmark = pytest.mark.parametrize("system", ONE_CLUSTER, indirect=True)


@pytest.fixture
def other_name(project: Project) -> Project:
    """The same project by way of a symbolic link."""
    link = project.folder.with_name("link")
    link.symlink_to(project.folder)
    other = Project(link, {})
    other.env = project.env
    return other


def test_a_restart_by_another_name_resumes_the_jobs(system: System, project: Project, other_name: Project) -> None:
    """Half-written outputs of living jobs are no inputs, and nothing is done twice."""
    project.write(parts(3))
    kill_when(project, 3)
    ended = let_go(project, other_name.start(), ATTACHED)
    assert "* 4 ran successfully:" in ended.text, ended.text
    assert ran(project) == ["0", "1", "2"]
    assert is_whole(project, 3)
    assert project.inboxes() == []
    assert system.live_jobs() == []


def test_a_living_run_by_another_name_shares_its_jobs(system: System, project: Project, other_name: Project) -> None:
    """The second run waits for the results of the first, and takes nothing away from it."""
    project.write(parts(3))
    first = project.start()
    until(lambda: len(ran(project)) == 3, "jobs run")
    second = let_go(project, other_name.start(), "Another run is working")
    assert "* 4 ran successfully:" in second.text, second.text
    assert "progress looks :)" in end_of(first).text
    assert ran(project) == ["0", "1", "2"]
    assert is_whole(project, 3)
    assert project.inboxes() == []


def test_a_project_that_was_moved_reads_no_half_written_output(system: System, project: Project) -> None:
    """Jobs that were at work cannot report to the new place: they are waited for, and done anew."""
    project.write(parts(3))
    kill_when(project, 3)
    moved = Project(project.folder.with_name("moved"), {})
    moved.folder.rmdir()
    shutil.move(project.folder, moved.folder)
    moved.env = project.env
    ended = let_go(moved, moved.start(), ATTACHED)
    assert "* 4 ran successfully:" in ended.text, ended.text
    assert is_whole(moved, 3)
    assert ran(moved) == ["0", "0", "1", "1", "2", "2"]
    assert moved.inboxes() == []
    assert system.live_jobs() == []


def test_outputs_that_were_there_before_stay_under_another_name(
    system: System, project: Project, other_name: Project
) -> None:
    """Only what appeared during an attempt that failed is set aside."""
    project.write(
        """
        class Two(b2luigi.Task):
            def output(self):
                yield self.add_to_output("old.txt")
                yield self.add_to_output("new.txt")

            def run(self):
                open(self.get_output_file_name("new.txt"), "w").close()
                open("ran.log", "a").write("0 ")
                wait_for("go")
                raise ValueError("not today")

        if __name__ == "__main__":
            b2luigi.process(Two(), batch=True)
        """
    )
    (project.folder / "old.txt").write_text("old")
    kill_when(project, 1)
    let_go(project, other_name.start(), ATTACHED)
    names = {path.name for path in project.folder.glob("*.txt*")}
    assert "old.txt" in names
    assert {name.rpartition("-")[0] for name in names - {"old.txt"}} == {"new.txt.failed"}
