"""What a person can ask of a run that is under way, done to luigi's worker: cancel a task, try one again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import luigi
import luigi.worker
from luigi.task_status import DISABLED

from b2luigi.batch.attempts.outcome import DONE, FAILED
from b2luigi.batch.processes.base import BatchProcess, cancelled_by
from b2luigi.batch.workers.other_jobs import OtherJobs
from b2luigi.batch.workers.retries import Retries


class Control:
    """The tasks of one run, as `Orders` needs them. `worker`: the `SendJobWorker` that runs them."""

    def __init__(self, worker: Any, retries: Retries, other_jobs: OtherJobs) -> None:
        self._worker, self._retries, self._other_jobs = worker, retries, other_jobs
        self.cancelled: set[str] = set()
        """The tasks that a person cancelled, and did not ask for again, by task id."""

    def task_ids(self, family: str = "") -> list[str]:
        """The tasks of a class, or of all classes, that this run knows."""
        tasks = self._worker._scheduled_tasks.items()
        return [task_id for task_id, task in tasks if not family or task.task_family == family]

    def is_done(self, task_id: str) -> bool:
        """Whether a task has been done, or was so before."""
        return bool(self._worker.progress.status(task_id) == DONE)

    def has_failed(self, task_id: str) -> bool:
        """Whether a task has failed, and is not to be tried again by itself."""
        is_over = self._worker.progress.status(task_id) in (FAILED, DISABLED)
        return is_over and not self._retries.is_waiting(task_id)

    def cancel_task(self, task_id: str, by: str) -> str:
        """Makes a task fail that has not ended. Returns why that cannot be; empty if it is cancelled."""
        worker, why = self._worker, cancelled_by(by)
        task, process = worker._scheduled_tasks[task_id], worker._running_tasks.get(task_id)
        if isinstance(process, BatchProcess):
            why_not = process.cancel(by)
            if why_not:
                return why_not
        self.cancelled.add(task_id)
        self._retries.drop(task_id)
        self._other_jobs.end(process, "cancelled")
        worker.journal.add("status", id=task_id, status="cancelled", reason=why)
        if process is None:
            self._fail(task, why)
        elif not isinstance(process, BatchProcess):
            process.terminate()
            worker.failures[task_id] = f"Task {task} failed: {why}"
            worker.results.put((task_id, FAILED, why, [], []))
        return ""

    def retry_task(self, task_id: str, by: str) -> str:
        """Gives a task that has failed another try, soon."""
        worker = self._worker
        self.cancelled.discard(task_id)
        worker.failures.pop(task_id, None)
        if worker.has_jobs:
            worker._shared.breaker.forget(worker._scheduled_tasks[task_id].task_family)
        worker._scheduler.re_enable_task(task_id)
        self._retries.now(task_id)
        worker.journal.add("again", id=task_id, why=f"retried by {by}")
        return ""

    def keep_cancelled(self, reported: Mapping[str, Any]) -> None:
        """A task that failed since a person cancelled it is not tried again: luigi would do that after a while.

        `reported`: what went to the scheduler of luigi.
        """
        if reported["task_id"] in self.cancelled and reported["status"] == FAILED:
            self._worker._scheduler.add_task(**{**reported, "status": DISABLED})

    def _fail(self, task: luigi.Task, why: str) -> None:
        """Makes a task fail that has no process: as luigi does when a process says so."""
        worker = self._worker
        worker.failures[task.task_id] = f"Task {task} failed: {why}"
        worker.run_succeeded = False
        worker._add_task(
            worker=worker._id,
            task_id=task.task_id,
            status=FAILED,
            expl=json.dumps(why),
            resources=task.process_resources(),
            runnable=None,
            params=task.to_str_params(),
            family=task.task_family,
            module=task.task_module,
            new_deps=[],
            assistant=worker._assistant,
            retry_policy_dict=luigi.worker._get_retry_policy_dict(task),
        )
