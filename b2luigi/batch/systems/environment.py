"""Environment variables of batch systems: those that commands must not see, and those that are the user's choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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
