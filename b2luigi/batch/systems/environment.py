"""Environment variables of batch systems: those that commands must not see, and those that are the user's choice."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import translate
from functools import cache


@dataclass(frozen=True)
class Variables:
    """What becomes of the environment variables of one batch system when one of its commands runs.

    Names that end with `*` stand for all that begin so. The documentation has these tables.
    """

    ignored: Mapping[str, str]
    """Removed for each command, and what they would change."""
    kept: Mapping[str, str]
    """The choice of the user or the site, and what it is about."""
    fixed: Mapping[str, str] = field(default_factory=dict)
    """Set for each command."""

    def changes(self, *more: str) -> Mapping[str, str | None]:
        """What to change in the environment of a command; `more`: variables that this one must not see either."""
        return {**dict.fromkeys([*self.ignored, *more]), **self.fixed}


SLURM = Variables(
    ignored={
        "SQUEUE_*": "which jobs squeue lists, and in which format",
        "SACCT_*": "which jobs sacct lists",
        "SCANCEL_*": "which jobs scancel cancels, and whether it asks first",
        "SCONTROL_*": "what scontrol shows",
        "SBATCH_ARRAY_INX": "turns one job into several",
        "SBATCH_WAIT": "sbatch would wait for the end of the job",
        "SBATCH_INPUT": "standard input of the job",
        "SBATCH_OUTPUT": "standard output of the job",
        "SBATCH_ERROR": "standard error of the job",
        "SBATCH_OPEN_MODE": "standard output of the job",
        "SBATCH_DEBUG": "additional output of sbatch",
        "SLURM_DEBUG_FLAGS": "additional output of all commands",
        "SLURM_EXIT_ERROR": "the exit code of a command that failed",
        "SLURM_BITSTR_LEN": "how commands print arrays",
        "SLURM_TIME_FORMAT": "how commands print times",
    },
    kept={
        "SLURM_CONF": "the cluster",
        "SLURM_CLUSTERS": "the cluster to which jobs are submitted, as `clusters` in `slurm_settings`",
        "SBATCH_CLUSTERS": "the same; it wins over SLURM_CLUSTERS",
        "SBATCH_ACCOUNT": "the account",
        "SBATCH_PARTITION": "the partition",
        "SBATCH_QOS": "the quality of service",
        "SBATCH_RESERVATION": "the reservation",
        "SBATCH_WCKEY": "the workload characterization key",
        "SBATCH_*": "all other options of sbatch, such as SBATCH_TIMELIMIT; those in `slurm_settings` win",
    },
)
LSF = Variables(
    ignored={
        "BSUB_*": "whether bsub prints the job id, and where, and whether it submits at all (BSUB_CHK_RESREQ)",
        "LSB_BJOBS_*": "what bjobs prints, and its exit code",
        "LSB_BKILL_*": "what bkill cancels",
    },
    kept={
        "LSF_ENVDIR": "the cluster",
        "LSB_DEFAULTQUEUE": "the queue",
        "LSB_DEFAULTPROJECT": "the project",
        "LSB_DEFAULT_USERGROUP": "the user group",
        "LSB_DEFAULT_JOBGROUP": "the job group",
        "LSB_SUB_*": "what the site's esub reads",
    },
    fixed={"LSB_NTRIES": "1"},
)
HTCONDOR = Variables(
    ignored={
        "_CONDOR_CONDOR_Q_*": "which jobs condor_q lists, and in which format",
        "_CONDOR_Q_*": "the same",
        "_CONDOR_TOOL_DEBUG*": "additional output of all commands",
    },
    kept={
        "CONDOR_CONFIG": "the pool and the schedd",
        "_CONDOR_SCHEDD_HOST": "the schedd",
        "_CONDOR_COLLECTOR_HOST": "the pool",
        "_CONDOR_*": "all other configuration",
    },
)
TABLES: Mapping[str, Variables] = {"Slurm": SLURM, "LSF": LSF, "HTCondor": HTCONDOR}
"""By the name of the batch system in the documentation."""

INSIDE = ("SLURM_JOB_ID", "SLURM_JOBID", "LSB_JOBID", "_CONDOR_SCRATCH_DIR")
"""Where one of these is set, the run itself is started within a job."""
OUTER_JOB = (
    *("SLURM_*", "SLURMD_*", "SRUN_*", "SBATCH_CPU_BIND*", "SBATCH_MEM_BIND*"),
    *("LSB_*", "LSF_JOB_*", "LSF_PM_*", "LSF_INVOKE_CMD", "LSFUSER", "LS_JOBPID", "LS_SUBCWD", "LS_EXEC*"),
    *(
        "_CONDOR_SCRATCH_DIR",
        "_CONDOR_SLOT",
        "_CONDOR_SLOT_NAME",
        "_CONDOR_JOB_AD",
        "_CONDOR_JOB_IWD",
        "_CONDOR_JOB_PIDS",
    ),
    *("_CONDOR_MACHINE_AD", "_CONDOR_CHIRP_CONFIG", "_CONDOR_WRAPPER_ERROR_FILE", "_CONDOR_ANCESTOR_*"),
    *("_CONDOR_BIN", "_CONDOR_CREDS", "_CONDOR_REMOTE_SPOOL_DIR", "_CONDOR_Assigned*", "_CONDOR_NPROCS"),
    *("_CONDOR_PROCNO", "_CHIRP_*", "CONDOR_INHERIT", "CONDOR_PRIVATE_INHERIT", "CONDOR_PARENT_ID"),
    *("PMI*", "PALS_*", "OMPI_COMM_WORLD_*", "OMPI_UNIVERSE_SIZE", "MPI_LOCAL*", "MV2_COMM_WORLD_*", "HYDI_*"),
)
"""Variables that describe a job, or a part of it. If a run is started within a job, the jobs of the run do not inherit
them."""
OUTER_JOB_EXCEPT = (
    *("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_JWT", "SLURM_ACCOUNT", "SLURM_PARTITION"),
    *("SLURM_QOS", "SLURM_RESERVATION", "SLURM_WCKEY", "SLURM_MPI_TYPE", "SLURM_ROOT", "SLURM_HOME", "SLURM_DIR"),
    *("LSB_DEFAULT*", "LSB_SUB_*", "LSB_ESUB_*", "LSB_CONFDIR", "LSB_SHAREDIR", "LSB_NTRIES", "LSB_API_*"),
    *("LSB_CMD_*", "LSB_DEBUG*", "LSB_TIME_*", "PMIX_MCA_*", "PMIX_HOME", "PMIX_ROOT", "PMIX_DIR"),
)
"""Names among them that express the choice of the user or the site instead."""
SUBMISSION = ("LSB_SUB_HOST", "LSB_SUB_USER", "LSB_SUB_RES_REQ")
"""Exceptions from these: LSF describes the submission of a job with them."""
ONLY_INSIDE = ("CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")
"""Devices that a job was given; outside of any job they are the user's choice."""
FOLDERS = ("TMPDIR", "TMP", "TEMP")
"""Folders for temporary files; those of a job are named by its id, or lie in its scratch folder."""


def without_outer_job(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without what describes a job around this run."""
    inside = [environment[name] for name in INSIDE if name in environment]

    def stays(name: str, value: str) -> bool:
        if name in FOLDERS:
            return not any(_names(value, job) for job in inside)
        dropped = _is_any_of(name, OUTER_JOB) and not _is_any_of(name, OUTER_JOB_EXCEPT)
        return not (dropped or name in SUBMISSION or (inside and name in ONLY_INSIDE))

    return {name: value for name, value in environment.items() if stays(name, value)}


def _names(folder: str, job: str) -> bool:
    """Whether a folder is one of a job, by its id or its scratch folder."""
    return re.search(rf"(?<![0-9]){re.escape(job)}(?![0-9])", folder) is not None if job else False


def _is_any_of(name: str, patterns: tuple[str, ...]) -> bool:
    return _one_pattern(patterns).match(name) is not None


@cache
def _one_pattern(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Each command looks at all variables: a hundred patterns for each of them would take a millisecond."""
    return re.compile("|".join(map(translate, patterns)))
