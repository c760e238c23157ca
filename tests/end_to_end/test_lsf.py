"""What LSF does to jobs, by its stand-in: unknown hosts, lost rows, preemption, ids given twice, old snapshots."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.project import Project, Started, end_of
from tests.standins.lsf import FakeLSF
from tests.waiting import until

WORK = """
    class Work(b2luigi.Task):
        n = b2luigi.IntParameter()
        def output(self):
            yield self.add_to_output("out.txt")
        def run(self):
            with open("started.log", "a") as f:
                f.write("x")
            {work}
            with open("ran.log", "a") as f:
                f.write("x")
            open(self.get_output_file_name("out.txt"), "w").close()

    if __name__ == "__main__":
        b2luigi.process([Work(n=n) for n in range({jobs})], batch=True)
"""


GO = "wait_for('go')"
AGAIN = 'os.path.exists("again") or time.sleep(1000)'


@pytest.fixture
def lsf(tmp_path: Path) -> Iterator[FakeLSF]:
    """A cluster of eight slots."""
    with FakeLSF(tmp_path / "lsf", slots=8, job_terminate_interval_s=0.3) as cluster:
        yield cluster


@pytest.fixture
def project(lsf: FakeLSF, tmp_path: Path) -> Project:
    """A project on a machine that submits to it."""
    return Project(tmp_path / "project", lsf.env)


def begin(project: Project, jobs: int = 1, work: str = GO) -> Started:
    """Starts the script; its jobs run, and their ids are noted."""
    project.write(WORK.format(jobs=jobs, work=work))
    process = project.start()
    log = project.folder / "started.log"
    until(lambda: log.exists() and len(log.read_text()) == jobs, "the jobs run")
    until(lambda: sum("job_id" in record for record in project.records()) == jobs, "their ids are noted")
    return process


def ids(project: Project) -> list[str]:
    return [record["job_id"] for record in project.records()]


def until_asked(lsf: FakeLSF) -> None:
    """Waits until LSF was asked twice for the jobs, from now on."""
    asked = len(lsf.calls("bjobs"))
    until(lambda: len(lsf.calls("bjobs")) > asked + 2, "LSF is asked")


def test_an_unreachable_host_fails_no_job(project: Project, lsf: FakeLSF) -> None:
    """UNKWN is alive: the job is waited for, and is done when its host is back."""
    process = begin(project)
    lsf.fault("host_down")
    until_asked(lsf)
    lsf.fault("host_up")
    project.touch("go")
    assert "* 1 ran successfully:" in end_of(process).text
    assert project.read("ran.log") == "x"


def test_a_job_that_bjobs_has_lost_is_done_all_the_same(project: Project, lsf: FakeLSF) -> None:
    """Its node leaves an outcome, which counts more than a listing that lacks it; nothing is submitted twice."""
    process = begin(project, jobs=2)
    lsf.fault("lost_job", ids=ids(project)[0])
    project.touch("go")
    assert "* 2 ran successfully:" in end_of(process).text
    assert project.read("ran.log") == "xx"
    assert len(lsf.calls("bsub")) == 1


def test_a_preempted_job_runs_again_and_is_waited_for(project: Project, lsf: FakeLSF) -> None:
    """Killed by LSF for another job and queued again under its id: one task, one success, one submission."""
    process = begin(project, work=AGAIN)
    project.touch("again")
    lsf.fault("preempt", ids=ids(project)[0], requeue="1")
    assert "* 1 ran successfully:" in end_of(process).text
    assert (project.read("started.log"), project.read("ran.log")) == ("xx", "x")
    assert len(lsf.calls("bsub")) == 1


def test_a_suspended_job_is_waited_for(project: Project, lsf: FakeLSF) -> None:
    """SSUSP is no failure; the job resumes when LSF lets it."""
    process = begin(project)
    lsf.fault("preempt", ids=ids(project)[0])
    until_asked(lsf)
    assert process.poll() is None
    project.touch("go")
    _command(lsf, "bresume", ids(project)[0])
    assert "* 1 ran successfully:" in end_of(process).text


def test_a_job_that_a_person_has_stopped_is_logged_once(project: Project, lsf: FakeLSF) -> None:
    """It waits until somebody resumes it: the run says so, and how; it is no failure."""
    lsf.set("slots", 0)
    project.write(WORK.format(jobs=1, work="pass"))
    process = project.start()
    until(lambda: sum("job_id" in record for record in project.records()) == 1, "the job has an id")
    _command(lsf, "bstop", *ids(project))
    process.until_printed("waits for you")
    lsf.set("slots", 8)
    _command(lsf, "bresume", *ids(project))
    ended = end_of(process)
    state = "PSUSP: suspended while it was pending; resume it with bresume"
    warning = f"WARNING: lsf job {ids(project)[0]} of Work(n=0) waits for you: {state}"
    assert ended.text.count(warning) == 1, ended.text
    assert "* 1 ran successfully:" in ended.text


def test_an_id_that_was_given_to_another_job_is_not_taken_for_ours(project: Project, lsf: FakeLSF) -> None:
    """Ids wrap: a stranger's DONE under the id of our job says nothing about it."""
    process = begin(project, work=AGAIN)
    (job_id,) = ids(project)
    until(lambda: any(call["rc"] is not None for call in lsf.calls("bjobs")), "the job was listed")
    project.touch("again")
    lsf.fault("kill_job", ids=job_id)
    until(lambda: not lsf.live_jobs(), "our job is dead")
    lsf.fault("dup_id", id=job_id)
    _command(lsf, "bsub", "-J", "stranger", "true")
    ended = end_of(process)
    assert "* 1 ran successfully:" in ended.text, ended.text
    assert "Retrying (1 of 2)." in ended.text
    assert project.read("started.log") == "xx"


def test_snapshots_that_are_seconds_old_make_no_job_disappear(project: Project, lsf: FakeLSF) -> None:
    """LSB_QUERY_PORT: a job that was just submitted is "not found" for a while."""
    lsf.fault("stale", seconds="6")
    process = begin(project, jobs=3)
    until_asked(lsf)
    project.touch("go")
    ended = end_of(process)
    assert "* 3 ran successfully:" in ended.text, ended.text
    assert project.read("ran.log") == "xxx"
    assert len(lsf.calls("bsub")) == 1


def test_a_restart_of_mbatchd_is_survived(project: Project, lsf: FakeLSF) -> None:
    """Connections are refused for a moment, while jobs run and while others are to be submitted."""
    lsf.fault("mbd_restart", for_s="3")
    process = begin(project, jobs=2)
    project.touch("go")
    ended = end_of(process)
    assert "* 2 ran successfully:" in ended.text, ended.text
    assert project.read("ran.log") == "xx"


def _command(lsf: FakeLSF, *words: str) -> None:
    subprocess.run(words, env={**os.environ, **lsf.env}, check=True, capture_output=True)


def test_a_second_ctrl_c_names_what_may_be_left(project: Project, lsf: FakeLSF) -> None:
    """bkill hangs, and the user does not want to wait: the jobs are named, and the next run sees to them."""
    process = begin(project, jobs=2, work=AGAIN)
    lsf.fault("mbd_hang", cmd="bkill")
    process.send_signal(signal.SIGINT)
    until(lambda: lsf.calls("bkill"), "the jobs are being cancelled")
    process.send_signal(signal.SIGINT)
    ended = end_of(process)
    assert ended.rc == 130
    for job_id in ids(project):
        assert f"Could not confirm that this job was cancelled; please check: lsf job {job_id}" in ended.text
    lsf.clear_faults()
    until(lambda: not lsf.live_jobs(), "bkill does its work")
    project.touch("again")
    again = project.run()
    assert "* 2 ran successfully:" in again.text, again.text


@pytest.mark.parametrize("how", ["--fresh", "worker_timeout"])
def test_a_run_that_is_killed_before_its_cancellation_was_taken_leaves_no_job(
    project: Project, lsf: FakeLSF, how: str
) -> None:
    """bkill fails at that moment: the old job keeps running, and nobody may forget it and do its work beside it."""
    process = begin(project, work=AGAIN)
    (old,) = ids(project)
    process.kill()
    end_of(process)
    lsf.fault("fail", cmd="bkill")
    if how == "worker_timeout":
        project.write(project.read("analysis.py").replace("n = b2luigi", "worker_timeout = 2; n = b2luigi"))
    process = project.start(*([how] if how == "--fresh" else []))
    until(lambda: lsf.calls("bkill"), "the job is to be cancelled")
    process.kill()
    end_of(process)
    lsf.clear_faults()
    assert lsf.live_jobs() == [old]
    project.touch("again")
    ended = project.run()
    assert "* 1 ran successfully:" in ended.text, ended.text
    assert (project.read("ran.log"), lsf.live_jobs()) == ("x", [])
    assert all("ended" in record for record in project.records())
