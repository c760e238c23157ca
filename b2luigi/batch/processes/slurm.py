"""The public address of Slurm jobs."""

from __future__ import annotations

from typing import ClassVar

from b2luigi.batch.processes.cluster import ClusterProcess
from b2luigi.core.dropped import dropped


class SlurmProcess(ClusterProcess):
    """A task as a job of Slurm, as with `batch_system = "slurm"`; for `process_class` and for classes of your own.

    Settings: `slurm_settings` (options of sbatch by their long names), `job_name`.
    """

    batch_system: ClassVar[str | None] = "slurm"


__getattr__ = dropped(__name__)
