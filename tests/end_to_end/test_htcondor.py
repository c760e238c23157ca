"""What only a real HTCondor does to jobs: running them again, holding them, throwing them off their machine."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clusters.htcondor.cluster import HTCondorPool
from tests.end_to_end.conftest import System, htcondor
from tests.end_to_end.project import Project, end_of
from tests.waiting import until

pytestmark = pytest.mark.cluster

TASK = """
    class Work(b2luigi.Task):
        {settings}
        def output(self):
            yield self.add_to_output("out.txt")
        def run(self):
            with open("ran.log", "a") as f:
                f.write("x")
            {work}
            open(self.get_output_file_name("out.txt"), "w").close()

    if __name__ == "__main__":
        b2luigi.process(Work(), batch=True)
"""


@pytest.fixture
def system(tmp_path: Path, htcondor_pool: HTCondorPool) -> Iterator[System]:
    """The real HTCondor."""
    with htcondor(tmp_path, htcondor_pool) as system:
        yield system


@pytest.fixture
def project(system: System, tmp_path: Path) -> Project:
    """A project on a machine that submits to it."""
    return Project(tmp_path / "project", system.env)


@pytest.mark.parametrize("settings", ['{"max_retries": 3}', '{"on_exit_hold": "ExitCode =!= 0"}'])
def test_a_failed_task_is_not_run_again_behind_luigis_back(project: Project, system: System, settings: str) -> None:
    """What was reported as failed has no job any more, whatever the submit description asks for."""
    project.write(TASK.format(settings=f"htcondor_settings = {settings}", work="raise ValueError('no')"))
    ended = project.run()
    assert len(ended.stories) == 1
    until(lambda: not system.live_jobs(), "the queue is empty")
    assert len(project.read("ran.log")) < 4


@pytest.mark.parametrize("verb", ["condor_vacate_job", "condor_hold"])
@pytest.mark.parametrize("where", ["env_script", "run"])
def test_a_job_that_lost_its_machine_is_waited_for(
    project: Project, htcondor_pool: HTCondorPool, verb: str, where: str
) -> None:
    """Evicted or held, at any moment: the job lives, runs again in the end, and its task is done, once."""
    (project.folder / "slow.sh").write_text("touch started; [ -e again ] || sleep 30\n")
    settings = 'env_script = "slow.sh"' if where == "env_script" else "pass"
    work = 'open("started", "w").close(); time.sleep(0 if os.path.exists("again") else 30)'
    project.write(TASK.format(settings=settings, work=work))
    process = project.start()
    until((project.folder / "started").exists, "the job runs")
    until(lambda: any("job_id" in record for record in project.records()), "it has an id")
    (record,) = project.records()
    (project.folder / "again").touch()
    htcondor_pool.run(verb, record["job_id"])
    if verb == "condor_hold":
        until(lambda: [job["JobStatus"] for job in htcondor_pool.queue()] == [5], "it is held")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=4)
        htcondor_pool.run("condor_release", record["job_id"])
    ended = end_of(process)
    assert ended.stories == {}, ended.text
    assert "progress looks :)" in ended.text
    assert (project.folder / "out.txt").exists()


def test_the_failure_of_a_held_job_has_reason_and_code_and_the_job_is_removed(project: Project, system: System) -> None:
    """Held by a policy: nobody will release it, so its task fails with HTCondor's words, and the queue is empty."""
    project.write(
        TASK.format(
            settings='htcondor_settings = {"on_exit_hold": "ExitBySignal"}',
            work="os.kill(os.getppid(), 9); time.sleep(30)",
        )
    )
    (story,) = project.run().stories.values()
    assert "held (code 3): The job attribute OnExitHold expression" in story
    until(lambda: not system.live_jobs(), "the queue is empty")


def test_a_schedd_that_is_shot_loses_no_job(project: Project, htcondor_pool: HTCondorPool) -> None:
    """kill -9 of the schedd while jobs run and while nobody answers: all are done, each once."""
    project.write(
        """
        class Work(b2luigi.Task):
            n = b2luigi.IntParameter()
            def output(self):
                yield self.add_to_output("out.txt")
            def run(self):
                open(f"started-{self.n}", "w").close()
                time.sleep(12)
                with open("ran.log", "a") as f:
                    f.write("x")
                open(self.get_output_file_name("out.txt"), "w").close()

        if __name__ == "__main__":
            b2luigi.process([Work(n=n) for n in range(3)], batch=True)
        """
    )
    process = project.start()
    until(lambda: len(list(project.folder.glob("started-*"))) == 3, "the jobs run")
    htcondor_pool.kill_schedd()
    ended = end_of(process)
    assert "* 3 ran successfully:" in ended.text, ended.text
    assert project.read("ran.log") == "xxx"


def test_names_and_attributes_of_jobs_are_the_users(project: Project, htcondor_pool: HTCondorPool) -> None:
    """job_name is the batch name; `+Attr` and `MY.Attr` of htcondor_settings are attributes of the job."""
    settings = 'job_name = "analysis"; htcondor_settings = {"+Mine": \'"x y"\', "MY.Other": 5}'
    project.write(TASK.format(settings=settings, work="time.sleep(300)"))
    process = project.start()
    until(lambda: htcondor_pool.queue(), "the job is in the queue")
    (job,) = htcondor_pool.queue("JobBatchName", "Mine", "Other")
    process.send_signal(2)
    end_of(process)
    assert (job["JobBatchName"], job["Mine"], job["Other"]) == ("analysis", "x y", 5)


@pytest.mark.matrix
def test_the_queue_shows_classes_and_tasks(project: Project, htcondor_pool: HTCondorPool) -> None:
    """The batch of a job is its class, its description the task; both classes share one command."""
    project.write(
        """
        class Make(b2luigi.Task):
            n = b2luigi.IntParameter()
            mode = b2luigi.Parameter(default="a b,c")
            def output(self):
                yield self.add_to_output(f"{type(self).__name__}.txt")
            def run(self):
                time.sleep(300)

        class Plot(Make):
            pass

        if __name__ == "__main__":
            b2luigi.process([Make(n=1), Make(n=2), Plot(n=1)], batch=True)
        """
    )
    process = project.start()
    until(lambda: len(htcondor_pool.queue()) == 3 or process.poll() is not None, "the jobs are in the queue")
    assert process.poll() is None, process.printed
    jobs = htcondor_pool.queue("JobBatchName", "JobDescription", "ClusterId")
    process.send_signal(2)
    end_of(process)
    assert sorted((job["JobBatchName"], job["JobDescription"]) for job in jobs) == [
        ("Make", "Make(n=1;mode=a_b_c)"),
        ("Make", "Make(n=2;mode=a_b_c)"),
        ("Plot", "Plot(n=1;mode=a_b_c)"),
    ]
    assert len({job["ClusterId"] for job in jobs}) == 1
