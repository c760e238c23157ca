"""The public address of jobs on this machine."""

from __future__ import annotations

from typing import ClassVar

from b2luigi.batch.processes.cluster import ClusterProcess


class TestProcess(ClusterProcess):
    """A task as a job of this machine, as with `batch_system = "local"`, which b2luigi 1.x also called "test"."""

    batch_system: ClassVar[str | None] = "local"
