"""Tasks that share a job are stopped by a person: all of them, some of them, in a run that is alive or over."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.end_to_end.conftest import System, on_one_cluster
from tests.end_to_end.project import Project, end_of
from tests.end_to_end.test_control import NEVER, ON_ALL, command, of
from tests.end_to_end.test_packs_cut_short import (
    AGAIN,
    ONCE,
    WORK,
    assert_whole,
    begin,
    begun,
    is_alive,
    job_id,
    let_go,
    ran,
    sizes,
)
from tests.end_to_end.test_restart import ANOTHER
from tests.waiting import until

system = on_one_cluster

CLUSTERS = ON_ALL[2:]
ON_LOCAL = pytest.mark.parametrize("system", [ON_ALL[0], *CLUSTERS], indirect=True)
ON_LSF = pytest.mark.parametrize("system", ON_ALL[1:], indirect=True)
"""The queue of this machine and those with commands do it each in their own way; one of both is enough."""
STOPS = 10.0
"""Seconds within which a task is stopped that nobody wants."""


def at_work(project: Project) -> list[int]:
    """The process ids of the tasks at work."""
    parent = begun(project)[-1][1]
    try:
        return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    except OSError:
        return []


def test_an_interrupted_run_leaves_nothing_behind(system: System, project: Project) -> None:
    """Ctrl-C: the job is gone with all that it has started, and the next run does what was not done."""
    process = begin(project)
    pids = [begun(project)[-1][1], *at_work(project)]
    process.send_signal(signal.SIGINT)
    ended = end_of(process)
    assert ended.rc == 130, ended.text
    assert "Cancelled 1 job." in ended.text
    assert "Traceback" not in ended.text
    until(lambda: not system.live_jobs(), "no job is left")
    until(lambda: not any(map(is_alive, pids)), "no process is left")
    let_go(project)
    assert_whole(project, system, project.run())
    assert ran(project) == AGAIN
    assert project.inboxes() == []


def test_tasks_are_cancelled_in_a_run_that_is_alive(system: System, project: Project) -> None:
    """One at work is stopped within seconds, one that has not begun never does, and the others go on in the job."""
    process = begin(project)
    (pid,) = at_work(project)
    sent = time.monotonic()
    asked = command(project, "cancel", "Work(n=1)", "Work(n=3)", *of(project))
    assert "Cancelled 2 tasks." in asked.text, asked.text
    until(lambda: not is_alive(pid), "it is stopped")
    assert time.monotonic() - sent < STOPS + asked.seconds
    until(lambda: ran(project)["2"] or process.poll() is not None, "the next one is at work")
    assert system.name == "local" or len(system.live_jobs()) == 1
    let_go(project)
    ended = end_of(process)
    assert {story.splitlines()[1] for story in ended.stories.values()} == {"    n = 1", "    n = 3"}, ended.text
    assert "cancelled by you" in ended.text
    assert ran(project) == {"0": 1, "1": 1, "2": 1}
    assert sizes(project) == [4]
    assert sorted(path.parent.name for path in project.folder.rglob("out.txt")) == ["n=0", "n=2"]
    until(lambda: not system.live_jobs(), "no job is left")
    assert project.inboxes() == []


def test_tasks_are_cancelled_in_a_run_that_is_over(system: System, project: Project) -> None:
    """The job goes on with the others, for the next run, which does the cancelled ones anew."""
    process = begin(project)
    number = job_id(project)
    (pid,) = at_work(project)
    process.kill()
    end_of(process)
    asked = command(project, "cancel", "Work(n=1)", "Work(n=3)", *of(project))
    assert "Cancelled 2 tasks." in asked.text, asked.text
    assert not is_alive(pid)
    until(lambda: ran(project)["2"], "the next one is at work")
    assert system.name == "local" or system.live_jobs() == [number]
    process = project.start()
    process.until_printed("Attached to 1 job of an earlier run.")
    let_go(project)
    assert_whole(project, system, end_of(process))
    assert ran(project) == AGAIN
    assert project.inboxes() == []


@ON_LOCAL
def test_all_tasks_are_cancelled_in_a_run_that_is_over(system: System, project: Project) -> None:
    """Nobody wants the job any more: it leaves its batch system."""
    process = begin(project)
    (pid,) = at_work(project)
    process.kill()
    end_of(process)
    asked = command(project, "cancel", "--all", *of(project))
    assert "Cancelled 3 tasks." in asked.text, asked.text
    assert not is_alive(pid)
    until(lambda: not system.live_jobs(), "no job is left")
    let_go(project)
    assert_whole(project, system, project.run())
    assert ran(project) == AGAIN
    assert project.inboxes() == []


@ON_LSF
def test_a_fresh_run_takes_the_job_of_the_last_one_out(system: System, project: Project) -> None:
    """--fresh: what was done counts, and the rest is done anew."""
    process = begin(project)
    (pid,) = at_work(project)
    process.kill()
    end_of(process)
    process = project.start("--fresh")
    until(lambda: len(begun(project)) == 3 or process.poll() is not None, "the first of the rest is at work")
    assert not is_alive(pid)
    let_go(project)
    assert_whole(project, system, end_of(process))
    assert ran(project) == AGAIN
    assert project.inboxes() == []


@ON_LSF
def test_a_run_stops_only_what_it_wanted_itself(system: System, project: Project) -> None:
    """It was killed, and another one wants one of the tasks only; Ctrl-C of that leaves the job to the others."""
    process = begin(project)
    number = job_id(project)
    process.kill()
    end_of(process)
    whole = project.read("analysis.py")
    (project.folder / "analysis.py").write_text(whole.replace("for n in range(4)]", "for n in (2,)]"))
    process = project.start()
    process.until_printed("Attached to 1 job of an earlier run.")
    process.send_signal(signal.SIGINT)
    ended = end_of(process)
    assert ended.rc == 130, ended.text
    assert system.name == "local" or system.live_jobs() == [number]
    (project.folder / "analysis.py").write_text(whole)
    let_go(project)
    until(lambda: ran(project)["3"], "the last one of the job is at work")
    assert not ran(project)["2"]
    assert_whole(project, system, project.run())
    assert ran(project) == ONCE
    assert project.inboxes() == []


@ON_LSF
def test_tasks_are_cancelled_whose_job_waits_in_the_queue(system: System, project: Project) -> None:
    """One in a run that is alive, and the others when that was killed: none of them ever runs."""
    project.write(WORK.format(settings=NEVER[system.name]))
    process = project.start()
    until(lambda: len(system.live_jobs()) == 1, "it is in the queue")
    until(lambda: all("job_id" in record for record in project.records()), "its number is noted")
    one = command(project, "cancel", "Work(n=1)", *of(project))
    assert "Cancelled 1 task." in one.text, one.text
    until(lambda: any("ended" in record for record in project.records()), "it is sure that it does not begin")
    process.kill()
    end_of(process)
    assert len(system.live_jobs()) == 1
    rest = command(project, "cancel", "--all", *of(project))
    assert "Cancelled 3 tasks." in rest.text, rest.text
    until(lambda: not system.live_jobs(), "it is gone")
    assert ran(project) == {}


@ON_LOCAL
def test_two_runs_share_the_job(system: System, project: Project) -> None:
    """Each task runs once, and both runs see it."""
    first = begin(project)
    second = project.start()
    second.until_printed(ANOTHER)
    let_go(project)
    for ended in (end_of(first), end_of(second)):
        assert_whole(project, system, ended)
    assert ran(project) == ONCE
    assert project.inboxes() == []
    assert sizes(project) == [4]


@ON_LSF
def test_a_second_run_takes_over_when_the_first_is_killed(system: System, project: Project) -> None:
    """From then on the job is one of an earlier run."""
    first = begin(project)
    second = project.start()
    second.until_printed(ANOTHER)
    first.kill()
    end_of(first)
    second.until_printed("Attached to 1 job of an earlier run.")
    let_go(project)
    assert_whole(project, system, end_of(second))
    assert ran(project) == ONCE
    assert project.inboxes() == []
    assert sizes(project) == [4]
