"""luigi's retry_count in a run of jobs: a task that failed is tried again by the run, which waits for that."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import luigi
import luigi.configuration

DELAY = 5.0
"""Seconds from a failure to the next try, unless luigi's own `retry_delay` is set: its default is 15 minutes."""


class Retries:
    """The tasks of this run that failed and are to be tried again, because the user has set a retry_count."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: Counter[str] = Counter()
        self._due: dict[str, float] = {}

    def failed(self, task: luigi.Task) -> None:
        """A task failed; it comes back if luigi allows for more failures."""
        self._failures[task.task_id] += 1
        most = task.retry_count if task.retry_count is not None else _configured("retry_count")
        if most is not None and self._failures[task.task_id] < most:
            delay = _configured("retry_delay")
            self._due[task.task_id] = self._clock() + (DELAY if delay is None else delay)

    def now(self, task_id: str) -> None:
        """A person wants it to be tried again; earlier failures do not count any more."""
        del self._failures[task_id]
        self._due[task_id] = self._clock()

    def drop(self, task_id: str) -> None:
        """It is not tried again."""
        self._due.pop(task_id, None)

    def is_waiting(self, task_id: str) -> bool:
        """This task is to be tried again, later."""
        return task_id in self._due

    @property
    def waiting(self) -> bool:
        """Some task is to be tried again, later."""
        return bool(self._due)

    def due(self) -> list[str]:
        """The tasks whose time has come, by task id; each is returned once."""
        now = self._clock()
        found = [task_id for task_id, moment in self._due.items() if moment <= now]
        for task_id in found:
            del self._due[task_id]
        return found


def _configured(name: str) -> float | None:
    value = luigi.configuration.get_config().get("scheduler", name, None)
    return None if value is None else float(value)
