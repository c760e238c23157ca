"""The number of processors for local jobs, within jobs and outside."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from b2luigi.batch.queue.processors import processors

HERE = platform.node()
ALL = len(os.sched_getaffinity(0))


def test_the_number_of_processors() -> None:
    """Outside of jobs as many as this process may use."""
    assert processors({}) == ALL >= 1


@pytest.mark.parametrize(
    "environment",
    [
        {"SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "1"},
        {"LSB_JOBID": "7", "LSB_DJOB_NUMPROC": "1"},
        {"LSB_JOBID": "7", "LSB_DJOB_NUMPROC": "12", "LSB_MCPU_HOSTS": f"other.host 11 {HERE}.domain 1"},
        {"_CONDOR_MACHINE_AD": "machine.ad"},
    ],
    ids=["Slurm", "LSF", "LSF on two machines", "HTCondor"],
)
def test_within_a_job_its_processors_count(environment: dict[str, str], tmp_path: Path) -> None:
    """Many sites do not keep a job from using others."""
    (tmp_path / "machine.ad").write_text('Activity = "Busy"\nCpusUsage = 12.5\nCpus = 1\nTotalCpus = 64\n')
    paths = {name: str(tmp_path / value) for name, value in environment.items() if name == "_CONDOR_MACHINE_AD"}
    assert processors({**environment, **paths}) == 1


@pytest.mark.parametrize(
    "environment",
    [
        {"SLURM_CPUS_ON_NODE": "1"},
        {"SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "100000"},
        {"SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "2(x3)"},
        {"SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "0"},
        {"LSB_JOBID": "7", "LSB_MCPU_HOSTS": HERE},
        {"_CONDOR_MACHINE_AD": "/no/such/file"},
    ],
    ids=str,
)
def test_what_says_nothing_changes_nothing(environment: dict[str, str]) -> None:
    """Left over from a job, more than there are, or not readable."""
    assert processors(environment) == ALL
