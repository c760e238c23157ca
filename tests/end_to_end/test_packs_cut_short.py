"""A job that runs several tasks dies, in each way that a batch system knows: what it had not begun counts for nothing.

One task of four is done, one is at work, and two have not begun.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.clusters.htcondor.cluster import HTCondorPool
from tests.clusters.slurm.cluster import SlurmCluster
from tests.end_to_end.conftest import SYSTEMS, System, on_one_cluster
from tests.end_to_end.project import Ended, Project, Started, end_of
from tests.end_to_end.test_lost_records import empty_records
from tests.standins.lsf import FakeLSF
from tests.waiting import until

system = on_one_cluster

WORK = """
    class Work(b2luigi.Task):
        n = b2luigi.IntParameter()
        tasks_per_job = 4
        {settings}

        @property
        def priority(self):
            return -self.n

        def output(self):
            yield self.add_to_output("out.txt")

        def run(self):
            with open(self.get_output_file_name("out.txt"), "w") as f:
                f.write("half of ")
                f.flush()
                with open("ran.log", "a") as log:
                    log.write(f"{{self.n}}:{{os.getppid()}}\\n")
                wait_for(f"go-{{self.n}}")
                f.write("the whole")

    if __name__ == "__main__":
        b2luigi.process([Work(n=n) for n in range(4)], batch=True)
"""
RETRIES = "job_retries = property(lambda self: int(self.n == 1))"
"""A further try for the task that is at work, and none for those that have not begun."""
ONCE = {"0": 1, "1": 1, "2": 1, "3": 1}
AGAIN = {**ONCE, "1": 2}


def begin(project: Project, settings: str = RETRIES) -> Started:
    """The first task is done, the second at work, and the number of the job is noted."""
    project.write(WORK.format(settings=settings))
    project.touch("go-0")
    process = project.start()
    until(lambda: len(begun(project)) == 2 or process.poll() is not None, "the second task is at work")
    assert process.poll() is None, process.printed
    until(lambda: all("job_id" in record for record in project.records()), "the number of the job is noted")
    until(lambda: any("ended" in record for record in project.records()), "the first task is done")
    return process


def begun(project: Project) -> list[tuple[str, int]]:
    """The tasks that have begun, and the process that has started each."""
    with contextlib.suppress(FileNotFoundError):
        lines = (project.folder / "ran.log").read_text().splitlines()
        return [(line.partition(":")[0], int(line.partition(":")[2])) for line in lines]
    return []


def ran(project: Project) -> Counter[str]:
    return Counter(n for n, _ in begun(project))


def let_go(project: Project) -> None:
    for n in range(4):
        project.touch(f"go-{n}")


def shoot(project: Project) -> None:
    """kill -9 of the job script and of all that it has started."""
    python = begun(project)[-1][1]
    script = int(Path(f"/proc/{python}/stat").read_text().rpartition(")")[2].split()[1])
    children = Path(f"/proc/{python}/task/{python}/children").read_text().split()
    for pid in (script, python):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not any(map(is_alive, (script, python, *map(int, children)))), "they are dead")


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def job_id(project: Project) -> str:
    """The number of the job that the tasks share."""
    (found,) = {record["job_id"] for record in project.records()}
    return str(found)


def sizes(project: Project) -> list[int]:
    """How many tasks each job was to run."""
    return sorted(Counter(record["pack"] for record in project.records()).values())


def assert_whole(project: Project, system: System, ended: Ended) -> None:
    """All is done, and nothing is left."""
    assert "progress looks :)" in ended.text, ended.text
    outputs = [path.read_text() for path in project.folder.rglob("out.txt")]
    assert outputs == ["half of the whole"] * 4
    until(lambda: not system.live_jobs(), "no job is left")
    assert all("ended" in record for record in project.records())


def test_a_job_that_is_shot_costs_a_try_of_the_task_at_work_only(system: System, project: Project) -> None:
    """kill -9 of the job script and all: what is done stays done, and the rest goes into the next job."""
    process = begin(project)
    shoot(project)
    let_go(project)
    ended = end_of(process)
    assert_whole(project, system, ended)
    assert ran(project) == AGAIN
    assert ended.text.count("Retrying (1 of 1)") == 1, ended.text
    assert project.inboxes() == []
    assert "ended before it began with 2 of its tasks, which go into the next jobs" in ended.text, ended.text
    assert sizes(project) == [3, 4], ended.text


@pytest.mark.parametrize("system", SYSTEMS[1:], indirect=True)
def test_a_job_that_is_cancelled_by_hand_fails_the_task_at_work_only(system: System, project: Project) -> None:
    """scancel, condor_rm, bkill, kill: the task at work is reported as cancelled; the others are done all the same."""
    process = begin(project)
    system.cancel_by_hand(job_id(project))
    until(lambda: len(project.records()) > 4 or process.poll() is not None, "the others are submitted again")
    let_go(project)
    ended = end_of(process)
    (story,) = ended.stories.values()
    assert "n = 1" in story, ended.text
    assert ran(project) == ONCE
    assert sorted(path.parent.name for path in project.folder.rglob("out.txt")) == ["n=0", "n=2", "n=3"]
    until(lambda: not system.live_jobs(), "no job is left")


def test_a_job_that_lives_is_resumed_by_the_next_run(system: System, project: Project) -> None:
    """kill -9 of the run: each task runs once, in the one job there is, and those that were done are done."""
    process = begin(project)
    process.kill()
    end_of(process)
    process = project.start()
    process.until_printed("Attached to 1 job of an earlier run.")
    let_go(project)
    assert_whole(project, system, end_of(process))
    assert ran(project) == ONCE
    assert sizes(project) == [4]


@pytest.mark.parametrize("system", ["lsf"], indirect=True)
def test_a_job_is_resumed_although_the_records_of_its_tasks_are_empty(system: System, project: Project) -> None:
    """The claims of the killed run say which job it is, and files beside the records."""
    process = begin(project)
    process.kill()
    end_of(process)
    empty_records(project.folder / "task_files")
    process = project.start()
    process.until_printed("Attached to 1 job of an earlier run.")
    let_go(project)
    assert_whole(project, system, end_of(process))
    assert ran(project) == ONCE


def test_a_job_that_died_while_nobody_watched_is_judged_task_by_task(system: System, project: Project) -> None:
    """kill -9 of the run, then of the job: the first task is done, and the rest is submitted anew."""
    process = begin(project)
    process.kill()
    end_of(process)
    shoot(project)
    until(lambda: not system.live_jobs(), "the job is over")
    let_go(project)
    assert_whole(project, system, project.run())
    assert ran(project) == AGAIN


def assert_done_in_halves(project: Project, system: System, process: Started) -> None:
    until(lambda: len(ran(project)) > 2 or process.poll() is not None, "the rest is at work")
    let_go(project)
    ended = end_of(process)
    assert_whole(project, system, ended)
    assert ran(project) == AGAIN
    assert sizes(project) == [1, 2, 4], ended.text


@pytest.mark.parametrize("reason", ["runlimit", "memlimit"])
def test_a_job_that_died_of_time_or_memory_is_tried_in_halves(tmp_path: Path, reason: str) -> None:
    """LSF: four tasks were too many for one job, and the task at work is tried again."""
    with FakeLSF(tmp_path / "lsf", slots=8, job_terminate_interval_s=0.3) as lsf:
        system = System("lsf", lsf.env, lsf.live_jobs, id, ("", "", ""), "", "")
        project = Project(tmp_path / "project", lsf.env)
        process = begin(project)
        lsf.fault("kill_job", ids=job_id(project), reason=reason)
        assert_done_in_halves(project, system, process)


@pytest.mark.cluster
@pytest.mark.parametrize("system", ["slurm"], indirect=True)
def test_a_job_that_reached_its_time_limit_is_tried_in_halves(
    system: System, project: Project, slurm_cluster: SlurmCluster
) -> None:
    """Slurm: TIMEOUT."""
    process = begin(project)
    slurm_cluster.run("scontrol", "update", f"jobid={job_id(project)}", "EndTime=now+2")
    assert_done_in_halves(project, system, process)


def assert_resumed_in_one_job(project: Project, system: System, process: Started) -> None:
    ended = end_of(process)
    assert_whole(project, system, ended)
    assert ran(project) == AGAIN
    assert sizes(project) == [4], ended.text
    assert "Retrying" not in ended.text


@pytest.mark.cluster
@pytest.mark.parametrize("system", ["slurm"], indirect=True)
def test_a_job_that_is_requeued_does_what_was_not_done(
    system: System, project: Project, slurm_cluster: SlurmCluster
) -> None:
    """Slurm: the same job runs again, and begins with the task that was at work."""
    process = begin(project)
    number = job_id(project)
    slurm_cluster.requeue(number)
    until(lambda: not is_alive(begun(project)[-1][1]), "it has stopped")
    let_go(project)
    with pytest.raises(subprocess.TimeoutExpired):  # Slurm refuses a job that starts again at once
        process.wait(timeout=8)
    slurm_cluster.run("scontrol", "update", f"jobid={number}", "StartTime=now")
    assert_resumed_in_one_job(project, system, process)


@pytest.mark.cluster
@pytest.mark.parametrize("verb", ["condor_vacate_job", "condor_hold"])
@pytest.mark.parametrize("system", ["htcondor"], indirect=True)
def test_a_job_that_lost_its_machine_does_what_was_not_done(
    system: System, project: Project, htcondor_pool: HTCondorPool, verb: str
) -> None:
    """HTCondor: evicted, or held and released, the same job runs again."""
    process = begin(project)
    number = job_id(project)
    htcondor_pool.run(verb, number)
    until(lambda: not is_alive(begun(project)[1][1]), "it has stopped")
    let_go(project)
    if verb == "condor_hold":
        until(lambda: [job["JobStatus"] for job in htcondor_pool.queue()] == [5], "it is held")
        htcondor_pool.run("condor_release", number)
    assert_resumed_in_one_job(project, system, process)
