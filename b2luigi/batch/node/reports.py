"""Reports of a running task to luigi's scheduler: a small file, written on the node and read on the submit host."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from b2luigi.batch.attempts.outcome import plain
from b2luigi.core.files import write_atomically

logger = logging.getLogger("luigi-interface.b2luigi")

WRITE_EVERY = 5.0
"""Minimum seconds between two writes of the file: a task may report its progress in each iteration of a loop."""
READ_EVERY = 10.0
"""Seconds between two reads of the file of the same task."""
BATCH_SIZE = 50
"""Maximum number of files to read in one go, so that the results of other tasks do not wait."""
LARGEST_REPORT = 1024 * 1024
"""Maximum number of bytes to read from a file."""
UPDATES = {
    "tracking_url": "update_tracking_url",
    "status_message": "update_status_message",
    "progress_percentage": "update_progress_percentage",
}
"""What a task can report, and the method of luigi's reporter for it."""


def report_path(outcome: Path) -> Path:
    """The file with the reports of a task, next to the outcome of its attempt."""
    return outcome.with_suffix(".progress")


class NodeReporter:
    """Replaces luigi's reporter on a node: writes reports to a file and to the log of the job.

    `path`: the file; None if nobody will read it.
    """

    scheduler_messages = None

    def __init__(self, path: Path | None) -> None:
        self.reports: dict[str, Any] = {}
        self._path = path
        self._is_written = False
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._next_at = float("-inf")

    def update_tracking_url(self, tracking_url: str) -> None:
        """luigi calls this method, and the following ones."""
        self._report("tracking_url", tracking_url)
        logger.info("tracking URL: %s", tracking_url)

    def update_status_message(self, message: str) -> None:
        """A message for the task's page in luigi's web interface."""
        self._report("status_message", message)
        logger.info("status: %s", message)

    def update_progress_percentage(self, percentage: float) -> None:
        """A number from 0 to 100."""
        self._report("progress_percentage", percentage)
        logger.info("progress: %s %%", percentage)

    def decrease_running_resources(self, decrease_resources: Mapping[str, int]) -> None:
        """Only logged: a job keeps its luigi resources until it ends."""
        logger.info("resources released: %s", dict(decrease_resources))

    def report_task_statistics(self, statistics: Mapping[str, Any]) -> None:
        """Only logged."""
        logger.info("statistics: %s", statistics)

    def close(self) -> None:
        """Removes the file: the task has ended, and its outcome contains the last reports."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            if self._path is not None and self._is_written:
                with contextlib.suppress(OSError):
                    self._path.unlink(missing_ok=True)
            self._path = None

    def _report(self, name: str, value: Any) -> None:
        with self._lock:
            self.reports[name] = plain(value)
            if self._path is None or self._timer is not None:
                return
            wait = self._next_at - time.monotonic()
            if wait <= 0:
                self._write()
            else:
                self._write_in(wait)

    def _write_in(self, seconds: float) -> None:
        timer = threading.Timer(seconds, self._write_later)
        timer.daemon = True
        with contextlib.suppress(RuntimeError):  # no room for a thread: written with the next report
            timer.start()
            self._timer = timer

    def _write_later(self) -> None:
        with self._lock:
            self._timer = None
            self._write()

    def _write(self) -> None:
        self._next_at = time.monotonic() + WRITE_EVERY
        if self._path is not None:
            self._is_written = True
            with contextlib.suppress(OSError):  # a full disk must not stop the task
                write_atomically(self._path, json.dumps(self.reports), 0o600)


class Forwarder:
    """Forwards the reports of one task to luigi's scheduler, each value once. Never raises an Exception.

    `reporter`: luigi's reporter of the task, on the submit host.
    """

    def __init__(self, reporter: Any) -> None:
        self._reporter = reporter
        self._forwarded: dict[str, Any] = {}
        self._of_task: set[str] = set()
        """What the task itself has reported."""
        self._last_version: object = None

    def read(self, path: Path) -> None:
        """Forwards new values in the file of the task; costs one stat if it has not changed."""
        try:
            status = os.stat(path)
            version = (str(path), status.st_ino, status.st_mtime_ns)
            if version != self._last_version:
                with open(path, encoding="utf-8") as file:
                    self.forward_of_task(json.loads(file.read(LARGEST_REPORT)))
                self._last_version = version
        except (OSError, ValueError):  # missing, removed or incomplete
            return

    def forward_state(self, message: str, url: str) -> None:
        """Forwards where the job is, and where its logs are, unless the task has something better to say."""
        ours = {"status_message": message, "tracking_url": url}
        self.forward({name: text for name, text in ours.items() if name not in self._of_task})

    def forward_of_task(self, reports: Any) -> None:
        """Forwards new values in what the task reports."""
        self._of_task.update(reports if isinstance(reports, dict) else ())
        self.forward(reports)

    def forward(self, reports: Any) -> None:
        """Forwards new values in the reports of the task."""
        for name, value in reports.items() if isinstance(reports, dict) else ():
            if name in UPDATES and (name not in self._forwarded or self._forwarded[name] != value):
                self._forwarded[name] = value
                try:
                    getattr(self._reporter, UPDATES[name])(value)
                except Exception:
                    logger.warning("Could not send the %s of a task to luigi's scheduler.", name, exc_info=True)


class HasReport(Protocol):
    """A job whose task may report something."""

    @property
    def may_report(self) -> bool:
        """Whether there may be something new: it runs, or stands otherwise than before."""

    def forward_report(self) -> None:
        """Reads its file once and forwards new values."""


class Reports:
    """Reads the files of all running tasks in turn: each at long intervals, and few at a time."""

    def __init__(self) -> None:
        self.clock = time.monotonic
        self._next_at = float("-inf")
        self._pending: list[HasReport] = []

    def read(self, jobs: Iterable[HasReport]) -> None:
        """Reads the next files; to be called often. `jobs`: all jobs."""
        if not self._pending and self.clock() >= self._next_at:
            self._next_at = self.clock() + READ_EVERY
            self._pending = [job for job in jobs if job.may_report]
        for job in self._pending[:BATCH_SIZE]:
            job.forward_report()
        del self._pending[:BATCH_SIZE]
