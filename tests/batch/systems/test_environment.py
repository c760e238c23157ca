"""What the commands of a batch system see of the environment of the run."""

from __future__ import annotations

import pytest

from b2luigi.batch.systems.environment import TABLES, Variables, without_outer_job


@pytest.mark.parametrize(
    "name",
    [
        *("SLURM_MEM_PER_NODE", "SLURM_NTASKS", "SLURM_CPUS_ON_NODE", "SRUN_DEBUG", "SBATCH_CPU_BIND_TYPE"),
        *("LSB_JOBINDEX", "LSB_HOSTS", "LSB_SUB_HOST", "LSF_JOB_TIMESTAMP_VALUE", "PMI_RANK", "PMIX_NAMESPACE"),
        *("_CONDOR_JOB_AD", "_CONDOR_ANCESTOR_1234", "CONDOR_INHERIT"),
    ],
)
def test_what_describes_a_job_is_removed(name: str) -> None:
    """Whether or not the variable is there by which a job is recognized: notebooks pass on only some of them."""
    assert without_outer_job({name: "x", "HOME": "/h"}) == {"HOME": "/h"}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_what_expresses_a_choice_stays(table: Variables) -> None:
    """All names that the documentation says stay."""
    names = [name.replace("*", "X") for name in table.kept]
    assert list(without_outer_job(dict.fromkeys(names, "x"))) == names


@pytest.mark.parametrize(
    "name", ["SLURM_ROOT", "PMIX_MCA_psec", "OMPI_MCA_btl", "MY_SLURM_X", "LSF_SERVERDIR", "_CONDOR_SPOOL"]
)
def test_other_names_stay(name: str) -> None:
    """Of sites and of users, who may have any."""
    assert without_outer_job({name: "x", "SLURM_JOB_ID": "7"}) == {name: "x"}


def test_devices_are_those_of_the_outer_job_only_within_one() -> None:
    """Outside they are the user's choice."""
    devices = {"CUDA_VISIBLE_DEVICES": "1"}
    assert without_outer_job(devices) == devices
    assert without_outer_job({**devices, "LSB_JOBID": "7"}) == {}


@pytest.mark.parametrize(
    ("folder", "job", "stays"),
    [
        ("/tmp/slurm.1234", {"SLURM_JOB_ID": "1234"}, False),
        ("/tmp/slurm.12345", {"SLURM_JOB_ID": "1234"}, True),
        ("/var/execute/dir_99/tmp", {"_CONDOR_SCRATCH_DIR": "/var/execute/dir_99"}, False),
        ("/tmp", {"SLURM_JOB_ID": "1234"}, True),
        ("/tmp/1234", {}, True),
    ],
)
def test_folders_for_temporary_files_of_a_job_are_not_inherited(folder: str, job: dict[str, str], stays: bool) -> None:
    """They are on its node, and go with it."""
    assert ("TMPDIR" in without_outer_job({"TMPDIR": folder, **job})) is stays
