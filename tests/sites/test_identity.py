"""Jobs are who they say they are: other clusters and submit hosts, and sites that rewrite labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clusters.htcondor.cluster import HTCondorPool
from tests.clusters.slurm.cluster import SlurmCluster
from tests.end_to_end.project import end_of
from tests.sites.conftest import condor_node
from tests.sites.staging import (
    LoginNode,
    end_soon,
    job_ids,
    killed_while_running,
    ran,
    staged,
    watched,
    write,
)

pytestmark = pytest.mark.matrix


def test_a_run_that_is_resumed_elsewhere_doubles_no_job_and_harms_no_stranger(
    two_nodes: tuple[LoginNode, LoginNode], tmp_path: Path
) -> None:
    """The script was killed on one login node and is started on another one, whose commands reach another queue."""
    here, there = two_nodes
    project = here.project(tmp_path / "project")
    write(project)
    ids = killed_while_running(project)
    strangers = there.occupy(ids[0])
    elsewhere = there.project(project.folder)
    process = elsewhere.start()
    watched(process, there, lambda: len(ran(project)) > 2)
    project.touch("finish")
    ended = end_of(process)
    assert ran(project) == ["0", "1"], ended.text
    assert "* 2 ran successfully:" in ended.text, ended.text
    assert set(strangers) <= set(there.live_jobs())


@pytest.mark.parametrize("how", ["SLURM_CLUSTERS", "slurm_settings"])
def test_the_slurm_cluster_that_the_user_has_chosen_gets_the_jobs(
    slurm: LoginNode, slurm_clusters: tuple[SlurmCluster, SlurmCluster], tmp_path: Path, how: str
) -> None:
    """Submitted, watched and cancelled there; nothing of it on the default cluster."""
    one, two = slurm_clusters
    variables, settings = ({"SLURM_CLUSTERS": "two"}, "pass") if how == "SLURM_CLUSTERS" else ({}, CLUSTERS)
    project = slurm.project(tmp_path / "project", **variables)
    write(project, settings=settings)
    process = project.start()
    staged(lambda: len(ran(project)) == 2 or process.poll() is not None, "the jobs run")
    live = one.live_jobs(), two.live_jobs()
    project.touch("finish")
    ended = end_of(process)
    two.cancel_all()
    assert (len(live[0]), len(live[1])) == (0, 2), ended.text
    assert "* 2 ran successfully:" in ended.text, ended.text


CLUSTERS = 'slurm_settings = {"clusters": "two"}'


@pytest.mark.parametrize("begin", ["now", "now+40"])
def test_a_job_whose_comment_the_site_rewrites_is_still_ours(slurm: LoginNode, tmp_path: Path, begin: str) -> None:
    """job_submit.lua puts the site's own comment into the job, whether it runs or waits."""
    project = slurm.project(tmp_path / "project")
    write(project, settings=f'slurm_settings = {{"account": "alpha", "begin": "{begin}"}}')
    process = project.start()
    staged(lambda: len(job_ids(project)) == 2, "the jobs have ids")
    watched(process, slurm, lambda: len(job_ids(project)) != 2)
    project.touch("finish")
    ended = end_of(process)
    assert ran(project) == ["0", "1"], ended.text
    assert "* 2 ran successfully:" in ended.text, ended.text


def test_a_job_whose_attribute_is_rewritten_is_still_ours(
    condor_hosts: tuple[HTCondorPool, HTCondorPool], tmp_path: Path
) -> None:
    """condor_qedit, as a job router or a transform of the schedd does it."""
    pool = condor_hosts[0]
    with condor_node(tmp_path / "bin", pool) as node:
        project = node.project(tmp_path / "project")
        write(project)
        process = project.start()
        staged(lambda: len(ran(project)) == len(job_ids(project)) == 2, "the jobs run")
        for job_id in job_ids(project):
            pool.run("condor_qedit", job_id, "B2luigiToken", '"the-router-was-here"').check_returncode()
        watched(process, node, lambda: len(ran(project)) > 2)
        project.touch("finish")
        ended = end_soon(process)
        assert ran(project) == ["0", "1"], ended.text
        assert "* 2 ran successfully:" in ended.text, ended.text
