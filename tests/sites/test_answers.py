"""Answers mean what they say: filters, notices, refusals, limits of size."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clusters.htcondor.cluster import HTCondorPool, install_htcondor
from tests.clusters.slurm.cluster import SlurmCluster, install_slurm
from tests.end_to_end.project import end_of
from tests.sites.conftest import condor_node, slurm_node
from tests.sites.staging import LoginNode, end_soon, job_ids, ran, staged, watched, write
from tests.waiting import until

pytestmark = pytest.mark.matrix


# -- listings that lack jobs


@pytest.mark.parametrize(
    "variable", ["SQUEUE_ACCOUNT=alpha", "SQUEUE_RESERVATION=none", "SQUEUE_STATES=CANCELLED", "SBATCH_INPUT=/none"]
)
def test_variables_of_the_user_change_no_listing_and_no_job(slurm: LoginNode, tmp_path: Path, variable: str) -> None:
    """Filters that a user has in the shell do not hide living jobs, and nothing takes their standard input away."""
    name, _, value = variable.partition("=")
    project = slurm.project(tmp_path / "project", **{name: value})
    write(project)
    process = project.start()
    staged(lambda: len(ran(project)) == 2, "the jobs run")
    watched(process, slurm, lambda: len(ran(project)) > 2)
    project.touch("finish")
    ended = end_soon(process)
    assert ran(project) == ["0", "1"], ended.text
    assert "* 2 ran successfully:" in ended.text, ended.text


def test_the_account_that_the_user_has_chosen_stays(
    slurm: LoginNode, slurm_clusters: tuple[SlurmCluster, SlurmCluster], tmp_path: Path
) -> None:
    """SBATCH_ACCOUNT is a choice, no filter: the jobs are billed as the user wishes."""
    project = slurm.project(tmp_path / "project", SBATCH_ACCOUNT="alpha")
    write(project)
    process = project.start()
    staged(lambda: len(ran(project)) == 2, "the jobs run")
    accounts = slurm_clusters[0].run("squeue", "-h", "-r", "-O", "Account").stdout.split()
    project.touch("finish")
    assert "* 2 ran successfully:" in end_soon(process).text
    assert accounts == ["alpha", "alpha"]


def test_an_old_listing_kills_no_job_that_accounting_knows(slurm: LoginNode, tmp_path: Path) -> None:
    """A cache in front of squeue answers with a listing from before the submission, all the time; sacct does not."""
    folder = tmp_path / "wrapped"
    folder.mkdir()
    (folder / "squeue").write_text("#!/bin/sh\n")
    (folder / "squeue").chmod(0o755)
    project = slurm.project(tmp_path / "project", PATH=f"{folder}:{slurm.env['PATH']}")
    write(project)
    process = project.start()
    staged(lambda: len(ran(project)) == 2, "the jobs run")
    watched(process, slurm, lambda: len(ran(project)) > 2)
    project.touch("finish")
    ended = end_soon(process)
    assert ran(project) == ["0", "1"], ended.text
    assert "* 2 ran successfully:" in ended.text, ended.text


# -- notices

BEFORE = "*** NOTICE: maintenance on Thursday [see https://batch.example.org] {ticket 7} ***"
BEHIND = "slow today, sorry"
WRAPPER = """#!/bin/sh
echo '{before}'
'{real}' "$@"
status=$?
echo '{behind}'
exit $status
"""


def put_notices_around(node: LoginNode, folder: Path) -> dict[str, str]:
    """A site wraps the programs that answer: notices stand on stdout, before and behind. The PATH that finds these."""
    folder.mkdir()
    for program in node.queries:
        real = shutil.which(program, path=node.env["PATH"])
        wrapper = folder / program
        wrapper.write_text(WRAPPER.format(before=BEFORE, behind=BEHIND, real=real))
        wrapper.chmod(0o755)
    return {"PATH": f"{folder}:{node.env['PATH']}"}


def test_an_answer_is_found_among_notices(node: LoginNode, tmp_path: Path) -> None:
    """The user removes one of two jobs by hand: its task fails, the other one is done, and nothing waits for ever."""
    project = node.project(tmp_path / "project", **put_notices_around(node, tmp_path / "wrapped"))
    write(project, settings="job_retries = 0", work='wait_for("finish" if self.n else "never")')
    process = project.start()
    staged(lambda: len(ran(project)) == len(job_ids(project)) == 2, "the jobs run")
    (victim,) = [record["job_id"] for record in project.records() if record["task_id"].startswith("Work_0_")]
    node.cancel(victim)
    until(lambda: any("ended" in record for record in project.records()), "the end of the job is noticed")
    project.touch("finish")
    ended = end_soon(process)
    assert "* 1 ran successfully:" in ended.text, ended.text
    (story,) = ended.stories.values()
    assert victim in story
    assert ran(project) == ["0", "1"]


@pytest.mark.parametrize("node", ["lsf", "htcondor", "slurm"], indirect=True)
def test_an_empty_queue_is_believed_behind_a_notice(node: LoginNode, tmp_path: Path) -> None:
    """The user removes the only job by hand: its task fails, though all that an answer holds may be the notice."""
    project = node.project(tmp_path / "project", **put_notices_around(node, tmp_path / "wrapped"))
    write(project, jobs=1, settings="job_retries = 0")
    process = project.start()
    staged(lambda: len(ran(project)) == len(job_ids(project)) == 1, "the job runs")
    (victim,) = job_ids(project)
    node.cancel(victim)
    (story,) = end_soon(process).stories.values()
    assert victim in story


# -- refusals


def test_a_limit_of_a_qos_that_can_never_be_met_fails_the_task(slurm: LoginNode, tmp_path: Path) -> None:
    """DenyOnLimit and MaxWall: sbatch's words name the limit, and nothing is tried again for ever."""
    project = slurm.project(tmp_path / "project")
    write(project, settings='slurm_settings = {"qos": "short", "time": "60"}')
    ended = end_soon(project.start())
    assert len(ended.stories) == 2, ended.text
    assert all("QOSMaxWallDurationPerJobLimit" in story for story in ended.stories.values())
    assert len(slurm.shims.calls("sbatch")) < 10


def test_a_limit_of_jobs_in_the_queue_is_waited_for(
    slurm: LoginNode, slurm_clusters: tuple[SlurmCluster, SlurmCluster], tmp_path: Path
) -> None:
    """MaxSubmitJobsPerUser with DenyOnLimit passes: all tasks are done in the end, a few at a time."""
    slurm_clusters[0].account("modify", "qos", "short", "set", "MaxSubmitJobsPerUser=2")
    try:
        project = slurm.project(tmp_path / "project")
        write(project, jobs=4, settings='slurm_settings = {"qos": "short", "time": "5"}', work="pass")
        ended = end_of(project.start())
    finally:
        slurm_clusters[0].account("modify", "qos", "short", "set", "MaxSubmitJobsPerUser=-1")
    assert "* 4 ran successfully:" in ended.text, ended.text
    assert ran(project) == ["0", "1", "2", "3"]


@pytest.fixture
def strict_pool(tmp_path: Path) -> Iterator[LoginNode]:
    """A pool that takes no jobs without an accounting group."""
    config = (
        "SUBMIT_REQUIREMENT_NAMES = NeedsProject\n"
        "SUBMIT_REQUIREMENT_NeedsProject = AcctGroup isnt undefined\n"
        'SUBMIT_REQUIREMENT_NeedsProject_REASON = "Please say accounting_group = <your project> in your submit file."\n'
    )
    with (
        HTCondorPool(install_htcondor(), tmp_path / "pool", config=config) as pool,
        condor_node(tmp_path / "bin", pool) as node,
    ):
        yield node


def test_a_requirement_of_the_site_that_is_not_met_fails_the_task(strict_pool: LoginNode, tmp_path: Path) -> None:
    """SUBMIT_REQUIREMENT: the site's own reason is printed, and nothing is tried again for ever."""
    project = strict_pool.project(tmp_path / "project")
    write(project)
    ended = end_soon(project.start())
    assert len(ended.stories) == 2, ended.text
    assert all("Please say accounting_group" in story for story in ended.stories.values())
    assert len(strict_pool.shims.calls("condor_submit")) < 10


def test_a_requirement_of_the_site_that_is_met_lets_the_jobs_in(strict_pool: LoginNode, tmp_path: Path) -> None:
    """The same with the group that the reason asks for."""
    project = strict_pool.project(tmp_path / "project")
    write(project, settings='htcondor_settings = {"accounting_group": "physics"}', work="pass")
    ended = end_soon(project.start())
    assert "* 2 ran successfully:" in ended.text, ended.text


# -- limits of size


def first_job_after(node: LoginNode, folder: Path, jobs: int) -> float:
    """Seconds from the first submission to the first job in the queue, for so many tasks."""
    project = node.project(folder)
    write(project, jobs=jobs, work="pass")
    process = project.start()
    staged(lambda: node.shims.calls(node.submits), "jobs are submitted")
    begin = time.monotonic()
    staged(lambda: job_ids(project), "a job is in the queue")
    seconds = time.monotonic() - begin
    assert f"* {jobs} ran successfully:" in end_of(process).text
    assert ran(project) == sorted(map(str, range(jobs)))
    return seconds


def test_a_small_max_array_size_costs_no_time(tmp_path: Path) -> None:
    """MaxArraySize=10, 100 tasks: the first jobs are in the queue at once, not after waits that double."""
    install_slurm()
    with (
        SlurmCluster(tmp_path / "cluster", max_array_size=10) as cluster,
        slurm_node(tmp_path / "bin", cluster) as node,
    ):
        assert first_job_after(node, tmp_path / "project", jobs=100) < 20
        assert len(node.shims.calls("sbatch")) < 40


def test_a_small_limit_of_jobs_per_submission_costs_no_time(tmp_path: Path) -> None:
    """MAX_JOBS_PER_SUBMISSION = 10 of HTCondor, 60 tasks."""
    with (
        HTCondorPool(install_htcondor(), tmp_path / "pool", config="MAX_JOBS_PER_SUBMISSION = 10\n") as pool,
        condor_node(tmp_path / "bin", pool) as node,
    ):
        assert first_job_after(node, tmp_path / "project", jobs=60) < 20
