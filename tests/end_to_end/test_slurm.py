"""What only a real Slurm does to jobs: losing its controller or a node, queueing them again, forgetting them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clusters.slurm.cluster import SlurmCluster, install_slurm
from tests.end_to_end.conftest import System, slurm
from tests.end_to_end.project import Project, end_of
from tests.waiting import until

pytestmark = pytest.mark.cluster

WORK = """
    class Work(b2luigi.Task):
        n = b2luigi.IntParameter()
        {settings}
        def output(self):
            yield self.add_to_output("out.txt")
        def run(self):
            with open(f"started-{{self.n}}", "a") as f:
                f.write("x")
            {work}
            with open("ran.log", "a") as f:
                f.write("x")
            open(self.get_output_file_name("out.txt"), "w").close()

    if __name__ == "__main__":
        b2luigi.process([Work(n=n) for n in range({jobs})], batch=True)
"""


def work(jobs: int = 1, settings: str = "pass", work: str = "time.sleep(300)") -> str:
    return WORK.format(jobs=jobs, settings=settings, work=work)


@pytest.fixture
def cluster(slurm_cluster: SlurmCluster) -> SlurmCluster:
    """The real Slurm, without accounting."""
    return slurm_cluster


@pytest.fixture
def system(tmp_path: Path, cluster: SlurmCluster) -> Iterator[System]:
    """The same, as the tests of a run see it."""
    with slurm(tmp_path, cluster) as system:
        yield system


@pytest.fixture
def project(system: System, tmp_path: Path) -> Project:
    """A project on a machine that submits to it."""
    return Project(tmp_path / "project", system.env)


def started(project: Project) -> int:
    return len(list(project.folder.glob("started-*")))


def job_ids(project: Project) -> list[str]:
    return [record["job_id"] for record in project.records() if "job_id" in record]


def running(project: Project, jobs: int = 1) -> list[str]:
    """The ids of the jobs, once all of them run."""
    until(lambda: started(project) == jobs and len(job_ids(project)) == jobs, f"{jobs} jobs run")
    return job_ids(project)


def test_a_controller_that_is_away_loses_no_job(project: Project, cluster: SlurmCluster) -> None:
    """slurmctld is down for 30 s: running jobs end and are seen, what is ready waits, and is submitted afterwards."""
    project.write(
        """
        class First(b2luigi.Task):
            n = b2luigi.IntParameter()
            def output(self):
                yield self.add_to_output("first.txt")
            def run(self):
                open(f"started-{self.n}", "w").close()
                time.sleep(15)
                open(self.get_output_file_name("first.txt"), "w").close()

        class Second(First):
            def requires(self):
                return First(n=self.n)
            def output(self):
                yield self.add_to_output("second.txt")
            def run(self):
                with open("ran.log", "a") as f:
                    f.write("x")
                open(self.get_output_file_name("second.txt"), "w").close()

        if __name__ == "__main__":
            b2luigi.process([Second(n=n) for n in range(3)], batch=True)
        """
    )
    process = project.start()
    running(project, 3)
    cluster.stop_controller()
    until(lambda: len(list(project.folder.rglob("first.txt"))) == 3, "the running jobs are done")
    time.sleep(23)
    cluster.start_controller()
    ended = end_of(process)
    assert "* 6 ran successfully:" in ended.text, ended.text
    assert ended.text.count("slurm is not accepting jobs") >= 1
    assert project.read("ran.log") == "xxx"


def test_a_job_that_lost_its_node_is_waited_for_and_runs_again(project: Project, cluster: SlurmCluster) -> None:
    """Queued again by Slurm, minutes later in general: the job lives, its task waits for it, and is done once."""
    project.write(work(work='os.path.exists("again") or time.sleep(300)'))
    process = project.start()
    (job_id,) = running(project)
    (project.folder / "again").touch()
    cluster.requeue(job_id)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=8)
    assert cluster.live_jobs() == [job_id]
    cluster.run("scontrol", "update", f"jobid={job_id}", "StartTime=now")
    ended = end_of(process)
    assert "* 1 ran successfully:" in ended.text, ended.text
    assert (project.read("started-0"), project.read("ran.log")) == ("xx", "x")


@pytest.mark.parametrize("retries", [0, 2])
def test_a_job_that_died_with_its_node_is_submitted_again(
    project: Project, cluster: SlurmCluster, retries: int
) -> None:
    """NODE_FAIL is not the fault of the task: job_retries says how often it is tried; the last time it is reported."""
    settings = f'job_retries = {retries}; slurm_settings = {{"no-requeue": True, "nodelist": "n2"}}'
    project.write(work(settings=settings, work='os.path.exists("again") or time.sleep(300)'))
    process = project.start()
    running(project)
    (project.folder / "again").touch()
    cluster.fail_node("n2")
    cluster.resume_node("n2")
    ended = end_of(process)
    if retries:
        assert "NODE_FAIL: NodeDown. Retrying (1 of 2)." in ended.text
        assert "* 1 ran successfully:" in ended.text
        assert (project.read("started-0"), project.read("ran.log")) == ("xx", "x")
    else:
        (story,) = ended.stories.values()
        assert "NODE_FAIL" in story
        assert "Run the script again." in story


def test_a_waiting_element_that_is_cancelled_leaves_no_trace_and_is_reported(
    project: Project, cluster: SlurmCluster
) -> None:
    """Slurm forgets it at once: neither cancelled nor lost can be proven; it is reported, and the others run."""
    project.write(work(jobs=3, settings='slurm_settings = {"hold": True}', work="pass"))
    process = project.start()
    until(lambda: len(job_ids(project)) == 3, "the jobs have ids")
    array = job_ids(project)[0].partition("_")[0]
    cluster.run("scancel", f"{array}_1")
    cluster.run("scontrol", "release", array)
    ended = end_of(process)
    assert "* 2 ran successfully:" in ended.text, ended.text
    (story,) = ended.stories.values()
    assert "cancelled, or lost" in story
    assert f"slurm job {array}_1" in story


def test_a_held_job_is_logged_and_waited_for(project: Project, cluster: SlurmCluster) -> None:
    """scontrol hold, or requeuehold: the log says that the job waits for a person, and it runs when released."""
    project.write(work(work='os.path.exists("again") or time.sleep(300)'))
    process = project.start()
    (job_id,) = running(project)
    (project.folder / "again").touch()
    cluster.run("scontrol", "requeuehold", job_id)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=8)
    cluster.run("scontrol", "release", job_id)
    cluster.run("scontrol", "update", f"jobid={job_id}", "StartTime=now")  # or else two minutes later
    ended = end_of(process)
    assert f"slurm job {job_id} of Work(n=0) waits for you: " in ended.text
    assert "* 1 ran successfully:" in ended.text, ended.text


def test_a_job_that_can_never_start_is_logged(project: Project, cluster: SlurmCluster) -> None:
    """More tasks than the partition has processors: accepted, and never started; Slurm's reason is logged."""
    project.write(work(settings='slurm_settings = {"ntasks": 9999}'))
    process = project.start()
    until(lambda: job_ids(project), "the job has an id")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=8)
    process.send_signal(2)
    assert "waits for you: PENDING: PartitionConfig" in end_of(process).text


def test_a_time_limit_is_reported_with_what_to_do(project: Project, cluster: SlurmCluster) -> None:
    """TIMEOUT: the story names it, and says that the task needs more time."""
    project.write(work())
    process = project.start()
    (job_id,) = running(project)
    cluster.run("scontrol", "update", f"jobid={job_id}", "EndTime=now+2")
    (story,) = end_of(process).stories.values()
    assert "TIMEOUT" in story
    assert "Ask the batch system for more time" in story


def test_jobs_that_slurm_forgot_are_judged_all_the_same(tmp_path: Path) -> None:
    """Ended jobs leave the memory of slurmctld within seconds, and there is no accounting: no job is called lost."""
    install_slurm()
    with (
        SlurmCluster(tmp_path / "cluster", min_job_age=2) as cluster,
        slurm(tmp_path, cluster) as system,
    ):
        project = Project(tmp_path / "project", system.env)
        # Not before the first query, which would see how the job ends.
        shot = "time.sleep(8); self.n == 1 and (os.kill(os.getppid(), 9) or os._exit(1))"
        project.write(
            work(jobs=3, work=shot).replace(
                "b2luigi.process",
                "b2luigi.set_setting('poll_interval', 20); b2luigi.set_setting('job_retries', 0); b2luigi.process",
            )
        )
        ended = project.run()
    assert "* 2 ran successfully:" in ended.text, ended.text
    (story,) = ended.stories.values()
    assert "ended without an outcome and without an exit code" in story or "signal 9" in story


def test_accounting_is_asked_for_jobs_that_slurm_forgot(tmp_path: Path) -> None:
    """With accounting the cause of a forgotten job's end is known, by one command for all of them."""
    install_slurm(accounting=True)
    with (
        SlurmCluster(tmp_path / "cluster", accounting=True, min_job_age=2) as cluster,
        slurm(tmp_path, cluster) as system,
    ):
        project = Project(tmp_path / "project", system.env)
        project.write(
            work(jobs=3).replace("b2luigi.process", "b2luigi.set_setting('poll_interval', 40); b2luigi.process")
        )
        process = project.start()
        ids = running(project, 3)
        assert system.shims is not None
        system.shims.fail("squeue", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
        cluster.run("scancel", "-s", "KILL", *ids)
        until(lambda: not cluster.live_jobs(), "no job lives")
        time.sleep(10)
        system.shims.heal()
        ended = end_of(process)
        (story,) = ended.stories.values()
        assert "CANCELLED" in story, ended.text
        assert "2 more failed in the same way:" in ended.text
        assert len(system.shims.calls("sacct")) == 1
