"""The public address of jobs in containers on this machine."""

from __future__ import annotations

from typing import ClassVar

from b2luigi.batch.processes.cluster import ClusterProcess


class ApptainerProcess(ClusterProcess):
    """A task as a job of this machine; the setting `apptainer_image` names its container, as on all batch systems."""

    batch_system: ClassVar[str | None] = "local"
