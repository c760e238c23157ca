"""The public address of HTCondor jobs."""

from __future__ import annotations

from typing import ClassVar

from b2luigi.batch.processes.cluster import ClusterProcess
from b2luigi.core.dropped import dropped


class HTCondorProcess(ClusterProcess):
    """A task as a job of HTCondor, as with `batch_system = "htcondor"`; for `process_class` and classes of your own.

    Settings: `htcondor_settings` (lines of the submit description), `job_name`, `transfer_files`.
    """

    batch_system: ClassVar[str | None] = "htcondor"


__getattr__ = dropped(__name__)
