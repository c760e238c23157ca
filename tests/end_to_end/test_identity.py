"""Who a job is: other batch servers with the same numbers, labels that a site rewrites, listings that hide jobs."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clusters.htcondor.cluster import HTCondorPool, install_htcondor
from tests.clusters.slurm.cluster import SlurmCluster, install_slurm
from tests.end_to_end.conftest import System, htcondor, lsf, slurm
from tests.end_to_end.project import Project, Started, end_of
from tests.end_to_end.test_restart import is_whole, parts, ran
from tests.standins.lsf import FakeLSF
from tests.waiting import until

MANY = 4
"""Unrelated jobs of the user in the other server, so that each number of ours is one of theirs, too."""


@dataclass
class Pair:
    """Two batch servers of one kind: the first has the jobs of the earlier run, the second is the one of today."""

    first: System
    second: System
    submit_unrelated: Callable[[], str]
    """Hands a job that only sleeps to the second server."""
    reaches: bool
    """Commands of today's machine reach the first server, too."""


@contextlib.contextmanager
def two_lsfs(folder: Path) -> Iterator[Pair]:
    with (
        lsf(folder / "one") as first,
        FakeLSF(folder / "two" / "lsf", slots=8, cluster="two") as cluster,
    ):
        second = System("lsf", cluster.env, cluster.live_jobs, str, first.programs, "", "")
        yield Pair(first, second, lambda: _said(second, "bsub", "sleep 600"), reaches=False)


@contextlib.contextmanager
def two_pools(folder: Path) -> Iterator[Pair]:
    install = install_htcondor()
    with (
        HTCondorPool(install, folder / "one", slots=8) as one,
        HTCondorPool(install, folder / "two", slots=2 * MANY + 4) as two,
        htcondor(folder / "first", one) as first,
        htcondor(folder / "second", two) as second,
    ):
        sleep = folder / "sleep.sub"
        sleep.write_text("executable = /bin/sleep\narguments = 600\nqueue 2\n")
        yield Pair(first, second, lambda: _said(second, "condor_submit", "-terse", str(sleep)), reaches=False)


@contextlib.contextmanager
def two_submit_hosts(folder: Path) -> Iterator[Pair]:
    install = install_htcondor()
    with (
        HTCondorPool(install, folder / "one", slots=2 * MANY + 8) as pool,
        HTCondorPool(install, folder / "two", joins=pool) as host,
        htcondor(folder / "first", pool) as first,
        htcondor(folder / "second", host) as second,
    ):
        sleep = folder / "sleep.sub"
        sleep.write_text("executable = /bin/sleep\narguments = 600\nqueue 2\n")
        yield Pair(first, second, lambda: _said(second, "condor_submit", "-terse", str(sleep)), reaches=True)


@contextlib.contextmanager
def two_slurms(folder: Path, accounting: bool) -> Iterator[Pair]:
    install_slurm(accounting)
    with (
        SlurmCluster(folder / "one", accounting=accounting, name="one", nodes=2) as one,
        SlurmCluster(folder / "two", accounting_of=one if accounting else None, name="two", nodes=2) as two,
        slurm(folder / "first", one) as first,
        slurm(folder / "second", two) as second,
    ):
        sleep = ("sbatch", "--parsable", "--output=/dev/null", "--array=0-2", "--wrap=sleep 600")
        yield Pair(first, second, lambda: _said(second, *sleep), reaches=accounting)


def _said(system: System, *words: str) -> str:
    done = subprocess.run(
        words, env={**os.environ, **system.env}, capture_output=True, text=True, check=True, cwd="/tmp"
    )
    return done.stdout


PAIRS: Mapping[str, Callable[[Path], contextlib.AbstractContextManager[Pair]]] = {
    "lsf": two_lsfs,
    "htcondor-pools": two_pools,
    "htcondor-schedds": two_submit_hosts,
    "slurm": lambda folder: two_slurms(folder, accounting=False),
    "slurm-accounting": lambda folder: two_slurms(folder, accounting=True),
}


ONE_OF_EACH = ("htcondor-schedds", "slurm")
"""With `-m cluster` one set-up of each system is brought up; `-m matrix` brings up the others."""


def _marks(name: str) -> list[pytest.MarkDecorator]:
    if name == "lsf":
        return []
    return [pytest.mark.cluster if name in ONE_OF_EACH else pytest.mark.matrix]


@pytest.fixture(params=[pytest.param(name, marks=_marks(name)) for name in PAIRS])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    """Two clusters, two pools, with and without the means to ask the one from the other."""
    with PAIRS[request.param](tmp_path) as found:
        yield found


def killed_in_first(pair: Pair, folder: Path, number: int) -> Project:
    """A run submits its jobs to the first server, and is killed while they run."""
    project = Project(folder, pair.first.env)
    project.write(parts(number))
    process = project.start()
    until(lambda: len(ran(project)) == number and len(job_ids(project)) == number, "jobs run")
    process.kill()
    end_of(process)
    return Project(folder, pair.second.env)


def job_ids(project: Project) -> list[str]:
    return [record["job_id"] for record in project.records() if "job_id" in record]


def unrelated_jobs(pair: Pair) -> list[str]:
    """The user's other jobs in the second server, whose numbers are those of our jobs in the first one."""
    for _ in range(MANY):
        pair.submit_unrelated()
    return sorted(pair.second.live_jobs())


def attached(project: Project) -> Started:
    process = project.start()
    process.until_printed("of an earlier run")
    time.sleep(12)  # four queries, each of which could have made the jobs look gone
    return process


def test_a_run_that_reaches_another_server_doubles_nothing_and_harms_nobody(pair: Pair, tmp_path: Path) -> None:
    """Another login node, `module swap cluster`: jobs are waited for where they are; the second server is untouched."""
    project = killed_in_first(pair, tmp_path / "project", 2)
    unrelated = unrelated_jobs(pair)
    process = attached(project)
    assert sorted(pair.second.live_jobs()) == unrelated
    project.touch("go")
    ended = end_of(process)
    assert "* 3 ran successfully:" in ended.text, ended.text
    assert ran(project) == ["0", "1"]
    assert is_whole(project, 2)
    assert set(unrelated) <= set(pair.second.live_jobs())
    assert ("none is submitted again" in ended.text) is not pair.reaches


def test_ctrl_c_in_another_server_cancels_only_what_it_can_prove(pair: Pair, tmp_path: Path) -> None:
    """The jobs of the earlier run are cancelled where they are, or are left and named; numbers alone prove nothing."""
    project = killed_in_first(pair, tmp_path / "project", 2)
    unrelated = unrelated_jobs(pair)
    process = attached(project)
    process.send_signal(2)
    ended = end_of(process)
    assert sorted(pair.second.live_jobs()) == unrelated
    if pair.reaches:
        until(lambda: not pair.first.live_jobs(), "the jobs are cancelled where they are")
    else:
        assert len(pair.first.live_jobs()) == 2
        assert "please cancel it" in ended.text or "please check" in ended.text


def test_a_record_of_a_former_version_is_waited_for(pair: Pair, tmp_path: Path) -> None:
    """It does not say which server has the job: nothing is judged, submitted or cancelled here."""
    project = killed_in_first(pair, tmp_path / "project", 2)
    for path in project.folder.rglob("attempt-*.json"):
        facts = json.loads(path.read_text())
        del facts["server"]
        path.write_text(json.dumps(facts))
    unrelated = unrelated_jobs(pair)
    process = attached(project)
    assert sorted(pair.second.live_jobs()) == unrelated
    project.touch("go")
    ended = end_of(process)
    assert "* 3 ran successfully:" in ended.text, ended.text
    assert ran(project) == ["0", "1"]


def test_a_fresh_run_is_the_way_out(pair: Pair, tmp_path: Path) -> None:
    """--fresh: the tasks are submitted anew; what cannot be cancelled is named; no other job is touched."""
    project = killed_in_first(pair, tmp_path / "project", 2)
    unrelated = unrelated_jobs(pair)
    project.touch("go")
    ended = project.run("--fresh")
    assert "* 3 ran successfully:" in ended.text, ended.text
    assert set(unrelated) <= set(pair.second.live_jobs())
    assert is_whole(project, 2)


# -- labels


def relabel(system: System, job_id: str) -> None:
    """What a site's hook, or a person, does to the label by which a job was known."""
    number = job_id.partition("[")[0]
    words = {
        "lsf": ("bmod", "-J", "site: renamed", number),
        "htcondor": ("condor_qedit", job_id, "B2luigiToken", "UNDEFINED"),
        "slurm": ("scontrol", "update", f"jobid={job_id}", "comment=site: billed to alpha"),
    }
    _said(system, *words[system.name])


def test_a_job_whose_label_was_rewritten_is_known_by_the_other(cluster: System, cluster_project: Project) -> None:
    """job_submit.lua, `scontrol update`, `bmod -J`, a job transform: two labels, and one of them is enough."""
    project = cluster_project
    project.write(parts(2))
    process = project.start()
    until(lambda: len(ran(project)) == 2 and len(job_ids(project)) == 2, "jobs run")
    for job_id in job_ids(project):
        relabel(cluster, job_id)
    process.kill()
    end_of(process)
    second = attached(project)
    project.touch("go")
    ended = end_of(second)
    assert "* 3 ran successfully:" in ended.text, ended.text
    assert ran(project) == ["0", "1"]
    assert len(cluster.calls("submit")) == 2


def test_a_relabelled_job_of_an_earlier_run_is_cancelled(cluster: System, cluster_project: Project) -> None:
    """One label that is left proves whose it is."""
    project = cluster_project
    project.write(parts(2))
    process = project.start()
    until(lambda: len(ran(project)) == 2 and len(job_ids(project)) == 2, "jobs run")
    for job_id in job_ids(project):
        relabel(cluster, job_id)
    process.kill()
    end_of(process)
    second = attached(project)
    second.send_signal(2)
    end_of(second)
    until(lambda: not cluster.live_jobs(), "the jobs are cancelled")


# -- listings


def test_a_listing_from_before_the_submission_kills_nothing(cluster: System, cluster_project: Project) -> None:
    """A site's wrapper answers from a cache: jobs that it lacks, and that were never listed, count as alive."""
    project = cluster_project
    assert cluster.shims is not None
    program = cluster.program("query")
    real = shutil.which(program, path=cluster.shims.env["PATH"].partition(":")[2])
    cache = cluster.shims.folder / "cache"
    cache.write_text(json.dumps({"COMMAND": "bjobs", "JOBS": 0, "RECORDS": []}) if cluster.name == "lsf" else "")
    wrapper = cluster.shims.folder / program
    wrapper.write_text(f'#!/bin/sh\nif [ -e {cache} ]; then exec cat {cache}; fi\nexec {real} "$@"\n')
    project.write(parts(2))
    process = project.start()
    until(lambda: len(ran(project)) == 2, "jobs run")
    time.sleep(15)
    cache.unlink()
    time.sleep(5)
    project.touch("go")
    ended = end_of(process)
    assert "* 3 ran successfully:" in ended.text, ended.text
    assert ran(project) == ["0", "1"]
    assert len(cluster.calls("submit")) == 2


HIDING = {
    "lsf": {"LSB_BJOBS_FORMAT": "jobid", "BSUB_QUIET": "1", "BSUB_CHK_RESREQ": "1"},
    "htcondor": {"_CONDOR_CONDOR_Q_ONLY_MY_JOBS": "true", "_CONDOR_TOOL_DEBUG": "D_ALL"},
    "slurm": {
        "SQUEUE_ACCOUNT": "alpha",
        "SQUEUE_STATES": "CD",
        "SQUEUE_FORMAT": "%i",
        "SCANCEL_STATE": "PENDING",
        "SBATCH_INPUT": "/nonexistent",
        "SACCT_LOCAL": "1",
        "SLURM_TIME_FORMAT": "%s",
        "SCANCEL_NAME": "other",
    },
}


def test_variables_of_the_user_hide_no_job(cluster: System, tmp_path: Path) -> None:
    """What filters or formats queries and cancellations in the user's shell does not reach b2luigi's commands."""
    project = Project(tmp_path / "project", {**cluster.env, **HIDING[cluster.name]})
    project.write(parts(2))
    process = project.start()
    until(lambda: len(ran(project)) == 2, "jobs run")
    time.sleep(12)
    assert ran(project) == ["0", "1"]
    process.send_signal(2)
    end_of(process)
    until(lambda: not cluster.live_jobs(), "the jobs are cancelled")


# -- several clusters of Slurm


@pytest.mark.cluster
@pytest.mark.parametrize("how", ["variable", "setting"])
def test_the_users_cluster_has_the_jobs(tmp_path: Path, how: str) -> None:
    """SLURM_CLUSTERS, or `clusters` in slurm_settings: submissions, queries, searches and cancellations go there."""
    with two_slurms(tmp_path, accounting=True) as pair:
        choice = {"SLURM_CLUSTERS": "one"} if how == "variable" else {}
        before = "pass" if choice else "b2luigi.set_setting('slurm_settings', {'clusters': 'one'})"
        project = Project(tmp_path / "project", {**pair.second.env, **choice})
        project.write(parts(2, before=before))
        process = project.start()
        until(lambda: len(ran(project)) == 2 and len(job_ids(project)) == 2, "jobs run")
        assert len(pair.first.live_jobs()) == 2
        assert pair.second.live_jobs() == []
        process.kill()
        end_of(process)
        second = attached(project)
        project.touch("go")
        ended = end_of(second)
        assert "* 3 ran successfully:" in ended.text, ended.text
        assert ran(project) == ["0", "1"]


@pytest.mark.cluster
def test_a_submission_to_the_users_cluster_that_was_not_answered_is_found_there(tmp_path: Path) -> None:
    """The answer of sbatch is lost; the search asks the clusters to which the job may have gone."""
    with two_slurms(tmp_path, accounting=True) as pair:
        assert pair.second.shims is not None
        pair.second.shims.lose_reply("sbatch")
        project = Project(tmp_path / "project", {**pair.second.env, "SLURM_CLUSTERS": "one,two"})
        project.write(parts(2, before="b2luigi.set_setting('command_timeout', 3)"))
        process = project.start()
        until(lambda: len(job_ids(project)) == 2, "the jobs are found")
        process.send_signal(2)
        end_of(process)
        until(lambda: not pair.first.live_jobs() + pair.second.live_jobs(), "the jobs are cancelled")
        assert ran(project) == ["0", "1"]
