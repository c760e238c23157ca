"""The public address of LSF jobs."""

from __future__ import annotations

from typing import ClassVar

from b2luigi.batch.processes.cluster import ClusterProcess
from b2luigi.core.dropped import dropped


class LSFProcess(ClusterProcess):
    """A task as a job of LSF, as with `batch_system = "lsf"`; for `process_class` and for classes of your own.

    Settings: `queue` ("s" if not given; None leaves the choice to the cluster), `job_slots`, `job_name`,
    `lsf_settings`. The environment of the submit host is copied to the node.
    """

    batch_system: ClassVar[str | None] = "lsf"


__getattr__ = dropped(__name__)
