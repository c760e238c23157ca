"""UnusableProcess: a task whose settings do not let it become a job fails, and nothing else does."""

from __future__ import annotations

import luigi
from luigi.worker import TaskStatusReporter

from b2luigi.batch.messages.failure import Failure, render
from b2luigi.batch.processes.base import BatchProcess, ResultQueue
from b2luigi.batch.systems.model import JobStatus


class UnusableProcess(BatchProcess):
    """Stands for a task whose settings do not let it become a job; looks at none of them."""

    def __init__(self, task: luigi.Task, result_queue: ResultQueue, error: Exception) -> None:
        self.task, self.result_queue, self.error = task, result_queue, error
        self.worker_timeout = self.timeout_time = None
        self.status_reporter = TaskStatusReporter(None, task.task_id, "", None)
        self._started = self._killed = self._done = False

    def run(self) -> None:
        self._started = True
        self.start_job()

    def start_job(self) -> None:
        advice = "Correct the setting that the message names, and run the script again."
        self.fail(render(Failure(self.task, f"it cannot become a job: {self.error}", advice, "no batch system")))

    def get_job_status(self) -> JobStatus:
        return JobStatus.aborted

    def kill_job(self) -> None:
        """There is no job."""
