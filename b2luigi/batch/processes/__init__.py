"""luigi's view of a running task: what luigi polls in place of a process of its own."""

from __future__ import annotations

from b2luigi.batch.processes.base import BatchProcess
from b2luigi.batch.systems.model import JobStatus
from b2luigi.core.dropped import dropped

__all__ = ["BatchProcess", "JobStatus"]

__getattr__ = dropped(__name__)
