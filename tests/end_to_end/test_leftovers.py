"""What killed runs leave behind goes; what somebody else has left stops nothing."""

from __future__ import annotations

import os
import time

import pytest

from tests.end_to_end.conftest import ONE_CLUSTER, System
from tests.end_to_end.project import Project, end_of
from tests.end_to_end.test_restart import is_whole, parts, ran
from tests.waiting import until

pytestmark = pytest.mark.parametrize("system", ONE_CLUSTER, indirect=True)


def leftovers(project: Project) -> list[str]:
    """Files in the task files but for job scripts, records of attempts that ended, and the journals of runs."""
    files = [path for path in (project.folder / "task_files").rglob("*") if path.is_file()]
    names = [path.name for path in files if path.parent.parent.name != "runs"]
    assert all("ended" in record for record in project.records())
    return [name for name in names if name != "executable_wrapper.sh" and not name.startswith("attempt-")]


def test_nothing_is_left_of_runs_that_were_killed(system: System, project: Project) -> None:
    """Killed several times, at different moments: in the end there are job scripts and records only."""
    project.write(parts(8, work="time.sleep(0.5)"))
    for patience in (0.9, 1.1, 1.3, 1.5):
        process = project.start()
        time.sleep(patience)
        process.kill()
        end_of(process)
    assert "progress looks :)" in project.run().text
    assert sorted(set(ran(project))) == [str(n) for n in range(8)]
    assert is_whole(project, 8)
    assert project.inboxes() == []
    assert leftovers(project) == []
    assert system.live_jobs() == []


def test_tasks_that_were_never_submitted_are_one_line(system: System, project: Project) -> None:
    """A killed run had claimed them all; they are submitted, and that is one line, however many they are."""
    if system.name != "local":  # elsewhere all of them are submitted in one command
        assert system.shims is not None
        system.shims.fail(system.program("submit"), "LSF is down")
    project.write(parts(30, work="time.sleep(0.1)"))
    first = project.start()
    until(lambda: len(project.records()) == 30, "all are claimed")
    first.kill()
    end_of(first)
    if system.shims is not None:
        system.shims.heal()
    ended = project.run()
    assert "* 31 ran successfully:" in ended.text, ended.text
    lines = [line for line in ended.text.splitlines() if "interrupted" in line]
    assert len(lines) <= 3, lines
    assert "An earlier run was interrupted before it had submitted" in ended.text
    assert ended.text.count("resubmitting") == 0


def test_a_fifo_in_place_of_a_record_stops_nothing(system: System, project: Project) -> None:
    """Neither the run nor the job script waits for somebody to write to it."""
    project.write(parts(2, work="pass"))
    folder = project.folder / "task_files" / "n=0" / "Part"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "attempt-1.json")
    ended = project.run()
    assert "* 3 ran successfully:" in ended.text, ended.text


def test_a_script_that_removes_its_arguments_says_why_it_fails(system: System, project: Project) -> None:
    """On the node it would be a run of its own, which waits for the job that it is."""
    project.write(parts(1, work="pass", before="sys.argv = sys.argv[:1]"))
    ended = project.run()
    (story,) = ended.stories.values()
    assert "sys.argv was changed before the call of process()" in story
    assert system.live_jobs() == []
