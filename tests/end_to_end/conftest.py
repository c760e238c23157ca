"""The batch systems of the life-of-a-job suite: this machine, the stand-in of LSF, a real HTCondor, a real Slurm."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.clusters.htcondor.cluster import HTCondorPool, install_htcondor
from tests.clusters.slurm.cluster import SlurmCluster, install_slurm
from tests.end_to_end.project import Project
from tests.end_to_end.shims import Shims
from tests.standins.lsf import FakeLSF


@dataclass
class System:
    """A batch system as the tests see it."""

    name: str
    env: dict[str, str]
    live_jobs: Callable[[], list[str]]
    cancel_by_hand: Callable[[str], object]
    programs: tuple[str, str, str]
    """The programs that submit, query and cancel."""
    bad_settings: str
    """Class attribute of a task that makes the batch system refuse its job."""
    refusal: str
    """Some of its words then."""
    shims: Shims | None = field(default=None)

    def calls(self, verb: str) -> list[str]:
        """The calls of the program that does "submit", "query" or "cancel"."""
        assert self.shims is not None
        return self.shims.calls(self.program(verb))

    def program(self, verb: str) -> str:
        """Name of the program that does "submit", "query" or "cancel"."""
        return self.programs[("submit", "query", "cancel").index(verb)]


@contextlib.contextmanager
def local(folder: Path) -> Iterator[System]:
    """This machine: no programs at all."""

    def stop(pid: str) -> None:
        os.kill(int(pid), signal.SIGTERM)

    yield System(
        "local",
        {},
        list,
        stop,
        ("", "", ""),
        'shell = "no/such/shell"',
        "there is no /bin/no/such/shell on this machine (setting shell)",
    )


@contextlib.contextmanager
def lsf(folder: Path) -> Iterator[System]:
    """The stand-in of LSF: real executables that really run the jobs."""
    with FakeLSF(folder / "lsf", slots=8, job_terminate_interval_s=0.3) as cluster:
        shims = Shims(folder / "bin", ("bsub", "bjobs", "bkill"), cluster.env["PATH"])
        os_env = {**cluster.env, **shims.env}

        def kill(job_id: str) -> None:
            assert os.spawnvpe(os.P_WAIT, "bkill", ["bkill", job_id], {**os.environ, **os_env}) == 0

        programs = ("bsub", "bjobs", "bkill")
        yield System(
            "lsf", os_env, cluster.live_jobs, kill, programs, 'queue = "nosuch"', "nosuch: No such queue", shims
        )
        shims.heal()


@pytest.fixture(scope="session")
def htcondor_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HTCondorPool]:
    """One real HTCondor for all tests."""
    with HTCondorPool(install_htcondor(), tmp_path_factory.mktemp("pool"), slots=16) as pool:
        yield pool


@contextlib.contextmanager
def htcondor(folder: Path, pool: HTCondorPool) -> Iterator[System]:
    """The real HTCondor."""
    programs = ("condor_submit", "condor_q", "condor_rm")
    shims = Shims(folder / "bin", (*programs, "condor_history"), pool.env["PATH"])
    bad = 'htcondor_settings = {"request_memory": "a lot ("}'
    try:
        yield System(
            name="htcondor",
            env={**pool.env, **shims.env},
            live_jobs=pool.live_jobs,
            cancel_by_hand=lambda job_id: pool.run("condor_rm", job_id),
            programs=programs,
            bad_settings=bad,
            refusal="RequestMemory = a lot (",
            shims=shims,
        )
    finally:
        shims.heal()
        pool.remove_all()


@pytest.fixture(scope="session")
def slurm_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    """One real Slurm for all tests, without accounting."""
    install_slurm()
    with SlurmCluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@contextlib.contextmanager
def slurm(folder: Path, cluster: SlurmCluster) -> Iterator[System]:
    """The real Slurm."""
    programs = ("sbatch", "squeue", "scancel")
    shims = Shims(folder / "bin", (*programs, "sacct"), cluster.env["PATH"])
    try:
        yield System(
            name="slurm",
            env={**cluster.env, **shims.env},
            live_jobs=cluster.live_jobs,
            cancel_by_hand=lambda job_id: cluster.run("scancel", job_id),
            programs=programs,
            bad_settings='slurm_settings = {"partition": "nosuch"}',
            refusal="invalid partition specified: nosuch",
            shims=shims,
        )
    finally:
        shims.heal()
        cluster.cancel_all()


SYSTEMS = [
    pytest.param("local"),
    pytest.param("lsf"),
    pytest.param("htcondor", marks=pytest.mark.cluster),
    pytest.param("slurm", marks=pytest.mark.cluster),
]

ONE_CLUSTER = [*SYSTEMS[:2], pytest.param("htcondor", marks=pytest.mark.matrix), SYSTEMS[3]]
"""For what is the same code on each system: `-m cluster` tests it on one cluster, `-m matrix` on the other."""


@pytest.fixture(params=SYSTEMS)
def system(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[System]:
    """Each batch system in turn."""
    with _made(request, tmp_path) as system:
        yield system


@pytest.fixture(params=ONE_CLUSTER)
def on_one_cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[System]:
    """For a whole module, as `system = on_one_cluster`."""
    with _made(request, tmp_path) as system:
        yield system


@pytest.fixture(params=SYSTEMS[1:])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[System]:
    """Each batch system that has commands, in turn."""
    with _made(request, tmp_path) as system:
        yield system


def _made(request: pytest.FixtureRequest, folder: Path) -> contextlib.AbstractContextManager[System]:
    if request.param == "htcondor":
        return htcondor(folder, request.getfixturevalue("htcondor_pool"))
    if request.param == "slurm":
        return slurm(folder, request.getfixturevalue("slurm_cluster"))
    return {"local": local, "lsf": lsf}[request.param](folder)


@pytest.fixture
def project(system: System, tmp_path: Path) -> Project:
    """A user's project on a machine that submits to the batch system."""
    return Project(tmp_path / "project", system.env)


@pytest.fixture
def cluster_project(cluster: System, tmp_path: Path) -> Project:
    """A user's project on a machine that submits to the batch system with commands."""
    return Project(tmp_path / "project", cluster.env)
