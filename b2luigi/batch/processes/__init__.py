"""luigi's view of a running task: what luigi polls in place of a process of its own."""

from __future__ import annotations

from b2luigi.batch.model import JobStatus
from b2luigi.batch.processes.base import BatchProcess

__all__ = ["BatchProcess", "JobStatus"]
