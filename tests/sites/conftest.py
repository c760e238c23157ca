"""Batch systems as ordinary sites set them up: accounting, plugins, limits, several clusters, several submit hosts.

All of it is real but for LSF, and brought up by the tests: `python -m pytest -m matrix`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clusters.htcondor.cluster import HTCondorPool, install_htcondor
from tests.clusters.slurm.cluster import SlurmCluster, install_slurm
from tests.end_to_end.shims import Shims
from tests.sites.staging import LoginNode
from tests.standins.lsf import FakeLSF

LUA = """\
function slurm_job_submit(job_desc, part_list, submit_uid)
  if job_desc.account == "alpha" then
    job_desc.comment = "site: billed to alpha"
    slurm.log_user("billed to alpha")
  end
  return slurm.SUCCESS
end
function slurm_job_modify(job_desc, job_rec, part_list, modify_uid)
  return slurm.SUCCESS
end
return slurm.SUCCESS
"""
"""job_submit.lua of a site that writes a comment of its own into each job of one account."""
RULES = "JobSubmitPlugins=lua\nAccountingStorageEnforce=limits,qos"


@pytest.fixture(scope="session")
def slurm_clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SlurmCluster, SlurmCluster]]:
    """Two clusters, "one" and "two", in one accounting database.

    "one" has a plugin that rewrites comments of jobs of the account alpha, and a QOS "short" with ten minutes at most.
    """
    install_slurm(accounting=True)
    folder = tmp_path_factory.mktemp("slurm")
    with (
        SlurmCluster(folder / "one", name="one", accounting=True, more=RULES, files={"job_submit.lua": LUA}) as one,
        SlurmCluster(folder / "two", name="two", accounting_of=one) as two,
    ):
        one.account("add", "account", "alpha")
        one.account("add", "user", "root", "account=alpha")
        one.account("add", "qos", "short", "MaxWall=10", "flags=DenyOnLimit")
        one.account("modify", "user", "root", "set", "qos+=short")
        yield one, two


@pytest.fixture(scope="session")
def condor_hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[HTCondorPool, HTCondorPool]]:
    """Two submit hosts of one pool: two schedds, each with its own queue."""
    install, folder = install_htcondor(), tmp_path_factory.mktemp("pool")
    with (
        HTCondorPool(install, folder / "first") as first,
        HTCondorPool(install, folder / "second", joins=first) as second,
    ):
        yield first, second


@pytest.fixture(scope="session")
def other_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HTCondorPool]:
    """A pool that has nothing to do with that of `condor_hosts`."""
    state = tmp_path_factory.mktemp("pool") / "other"
    with HTCondorPool(install_htcondor(), state, config="SCHEDD_NAME = other\n") as pool:
        yield pool


@contextlib.contextmanager
def slurm_node(folder: Path, cluster: SlurmCluster) -> Iterator[LoginNode]:
    """A login node of a Slurm cluster."""
    shims = Shims(folder, ("sbatch", "squeue", "scancel", "sacct"), cluster.env["PATH"])

    def submit() -> str:
        answer = cluster.run("sbatch", "--parsable", "-o", "/dev/null", "--wrap", "sleep 600", cwd="/tmp")
        answer.check_returncode()
        return answer.stdout.strip().partition(";")[0]

    try:
        yield LoginNode(
            system="slurm",
            env={**cluster.env, **shims.env},
            shims=shims,
            submits="sbatch",
            queries=("squeue", "sacct"),
            live_jobs=cluster.live_jobs,
            submit=submit,
            cancel=lambda job_id: cluster.run("scancel", job_id).check_returncode(),
        )
    finally:
        cluster.cancel_all()


@contextlib.contextmanager
def condor_node(folder: Path, pool: HTCondorPool) -> Iterator[LoginNode]:
    """A submit host of an HTCondor pool."""
    shims = Shims(folder, ("condor_submit", "condor_q", "condor_rm", "condor_history"), pool.env["PATH"])

    def submit() -> str:
        text = "executable = /bin/sleep\narguments = 600\nqueue\n"
        answer = pool.run("condor_submit", "-terse", "-", input=text, cwd=Path("/tmp"))
        answer.check_returncode()
        return answer.stdout.split()[0]

    try:
        yield LoginNode(
            system="htcondor",
            env={**pool.env, **shims.env},
            shims=shims,
            submits="condor_submit",
            queries=("condor_q", "condor_history"),
            live_jobs=pool.live_jobs,
            submit=submit,
            cancel=lambda job_id: pool.run("condor_rm", job_id).check_returncode(),
        )
    finally:
        pool.remove_all()


@contextlib.contextmanager
def lsf_node(folder: Path, name: str) -> Iterator[LoginNode]:
    """A login node of a cluster of the stand-in for LSF."""
    with FakeLSF(folder / f"lsf-{name}", cluster=name, slots=8, job_terminate_interval_s=0.3) as lsf:
        shims = Shims(folder / f"bin-{name}", ("bsub", "bjobs", "bkill", "lsid"), lsf.env["PATH"])
        env = {**os.environ, **lsf.env}

        def submit() -> str:
            words = ("bsub", "-J", "something-else", "-oo", "/dev/null", "sleep 600")
            answer = subprocess.run(words, env=env, check=True, capture_output=True, text=True, cwd=folder)
            return answer.stdout.partition("<")[2].partition(">")[0]

        def cancel(job_id: str) -> None:
            subprocess.run(("bkill", job_id), env=env, check=True, capture_output=True)

        yield LoginNode(
            system="lsf",
            env={**lsf.env, **shims.env},
            shims=shims,
            submits="bsub",
            queries=("bjobs",),
            live_jobs=lsf.live_jobs,
            submit=submit,
            cancel=cancel,
        )


@pytest.fixture
def slurm(tmp_path: Path, slurm_clusters: tuple[SlurmCluster, SlurmCluster]) -> Iterator[LoginNode]:
    """A login node of the cluster "one"."""
    with slurm_node(tmp_path / "bin", slurm_clusters[0]) as node:
        yield node


@pytest.fixture(params=["lsf", "htcondor", "slurm"])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LoginNode]:
    """A login node of each batch system in turn."""
    match request.param:
        case "lsf":
            made = lsf_node(tmp_path, "blue")
        case "htcondor":
            made = condor_node(tmp_path / "bin", request.getfixturevalue("condor_hosts")[0])
        case _:
            made = slurm_node(tmp_path / "bin", request.getfixturevalue("slurm_clusters")[0])
    with made as node:
        yield node


@pytest.fixture(params=["lsf", "htcondor-host", "htcondor-pool", "slurm"])
def two_nodes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[LoginNode, LoginNode]]:
    """Two login nodes that share their files, and whose commands reach different queues of one batch system."""
    here, there = tmp_path / "bin", tmp_path / "bin-2"
    match request.param:
        case "lsf":
            made = lsf_node(tmp_path, "blue"), lsf_node(tmp_path, "red")
        case "htcondor-host":
            first, second = request.getfixturevalue("condor_hosts")
            made = condor_node(here, first), condor_node(there, second)
        case "htcondor-pool":
            pool = request.getfixturevalue("condor_hosts")[0]
            made = condor_node(here, pool), condor_node(there, request.getfixturevalue("other_pool"))
        case _:
            one, two = request.getfixturevalue("slurm_clusters")
            made = slurm_node(here, one), slurm_node(there, two)
    with made[0] as one_node, made[1] as other_node:
        yield one_node, other_node
