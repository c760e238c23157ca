"""What the journal learns of tasks that run neither in this process nor as jobs of a `Queue`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from b2luigi.batch.attempts.outcome import DONE
from b2luigi.batch.processes.base import BatchProcess
from b2luigi.batch.systems.model import JobStatus
from b2luigi.monitor.journal.writer import NoJournal

EVERY = 1.0
"""Seconds between two looks at whether they run."""


class OtherJobs:
    """Processes of the user's own classes (`process_class`), and processes of luigi beside this one."""

    def __init__(self, journal: NoJournal, clock: Callable[[], float] = time.monotonic) -> None:
        self._journal, self._clock = journal, clock
        self._tokens: dict[str, str] = {}
        self._waiting: dict[str, BatchProcess] = {}
        """By task id: those that have not been seen running."""
        self._next_at = 0.0

    def begin(self, process: Any) -> None:
        """A process was started."""
        if isinstance(process, BatchProcess):
            task_id, name = process.task.task_id, type(process).__name__
            self._journal.open("")
            self._tokens[task_id] = token = f"{random.getrandbits(64):016x}"
            self._waiting[task_id] = process
            self._journal.add("submitting", id=task_id, token=token, batch_system=name)
        elif getattr(process, "use_multiprocessing", False):
            self._journal.add("status", id=process.task.task_id, status="running")

    def look(self) -> None:
        """Sees which of them run. Called often."""
        if self._waiting and self._clock() >= self._next_at:
            self._next_at = self._clock() + EVERY
            for task_id, process in list(self._waiting.items()):
                if process.last_seen is JobStatus.running:
                    del self._waiting[task_id]
                    self._journal.add("running", token=self._tokens[task_id], node=None, started=None)

    def end(self, process: Any, status: str) -> None:
        """A task has a new status; `process`: the one that ran it, if there was one."""
        token = self._tokens.pop(process.task.task_id, "") if isinstance(process, BatchProcess) else ""
        if token:
            self._waiting.pop(process.task.task_id, None)
            reason = "" if status == DONE else process.story.partition("\n")[0]
            self._journal.add("ended", token=token, end=status.lower(), reason=reason)
