"""luigi's Worker with checks of the graph before its first task, and with timeouts that hold if the clock is set."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Any

import luigi
import luigi.interface
import luigi.worker
from luigi.task_status import DONE, FAILED

from b2luigi.core.bad_input import BadInputError
from b2luigi.core.checks import GraphChecks, GraphError, luigi_quiet_about_outputs
from b2luigi.core.deadline import Deadline

logger = logging.getLogger("luigi-interface.b2luigi")


class CheckingWorker(luigi.worker.Worker):
    """luigi's Worker, which refuses to start tasks of a graph that cannot work.

    `run` raises GraphError, with a text for the user, before anything is started.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._checks = GraphChecks()
        self._checked_task: luigi.Task | None = None
        self._is_started = False

    @property
    def is_started(self) -> bool:
        """Whether the graph was found to work, so that tasks may have been started."""
        return self._is_started

    def add(self, *args: Any, **kwargs: Any) -> Any:
        """Schedules a task and all that it requires."""
        with luigi_quiet_about_outputs():
            return super().add(*args, **kwargs)

    def run(self) -> Any:
        """luigi's loop."""
        self._checks.look_at_graph(self._scheduled_tasks, self._config.check_unfulfilled_deps)
        self._checks.raise_problems()
        missing = self._checks.missing_files()
        if missing:
            logger.warning("Missing, and not created by any task:\n    %s", missing)
        for text in self._checks.never_complete():
            logger.warning("%s", text)
        self._is_started = True
        return super().run()

    def _add(self, task: luigi.Task, is_complete: Any) -> Iterator[luigi.Task]:
        if isinstance(is_complete, luigi.worker.TracebackWrapper):
            if self._checks.note_failed_check(task, is_complete.trace):  # luigi would print thousands of lines
                self._raise_problems_if_started()
                return
        elif not is_complete:
            self._checks.look(task)
            self._check_settings(task)
            self._raise_problems_if_started()
        self._checked_task = task
        needed: list[str] = []
        for required in super()._add(task, is_complete):
            needed.append(required.task_id)
            yield required
        self._checks.note_requirements(task.task_id, needed)

    def _raise_problems_if_started(self) -> None:
        """Before, all tasks are looked at, so that all problems are in one message."""
        if not self._is_started:
            return
        try:
            self._checks.raise_problems()
        except GraphError as error:
            error.is_late = True
            raise

    def _log_dependency_error(self, task: luigi.Task, tb: str) -> None:
        """luigi calls it where it caught what requires() raised."""
        error = sys.exc_info()[1]
        if isinstance(error, BadInputError):
            self._checks.note_bad_input(error)
            self._raise_problems_if_started()
        else:
            super()._log_dependency_error(task, tb)

    def _add_task(self, *args: Any, **kwargs: Any) -> None:
        if kwargs["status"] == DONE:
            self._checks.forget(kwargs["task_id"])
        self._report(*args, **self._checked(kwargs) if kwargs.get("new_deps") else kwargs)

    def _report(self, *args: Any, **kwargs: Any) -> None:
        """What luigi's `_add_task` does: reports the status of a task to the scheduler."""
        super()._add_task(*args, **kwargs)

    def _checked(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """What a task reports that has yielded others; it failed if these wait for itself."""
        circle = self._checks.circle_of(kwargs["task_id"], kwargs["new_deps"], self._scheduled_tasks)
        if not circle:
            return kwargs
        text = f"it yielded tasks that wait for itself. {circle}"
        logger.error("Task %s failed: %s", self._scheduled_tasks[kwargs["task_id"]], text)
        return {**kwargs, "status": FAILED, "expl": text, "new_deps": []}

    def _create_task_process(self, task: luigi.Task) -> Any:
        process = super()._create_task_process(task)
        if process.timeout_time is not None:
            process.timeout_time = Deadline(process.worker_timeout)
        return process

    def _check_settings(self, task: luigi.Task) -> None:
        """For subclasses, whose tasks run as jobs."""

    def _validate_dependency(self, dependency: Any) -> None:
        if not isinstance(dependency, luigi.Task):
            self._checks.note_no_task(self._checked_task, dependency)
            self._checks.raise_problems()


class CheckingFactory(luigi.interface._WorkerSchedulerFactory):
    """What `luigi.build` wants as `worker_scheduler_factory` to use a `CheckingWorker`."""

    def create_worker(self, scheduler: Any, worker_processes: int, assistant: bool = False) -> CheckingWorker:
        """Called by luigi."""
        return CheckingWorker(scheduler=scheduler, worker_processes=worker_processes, assistant=assistant)
