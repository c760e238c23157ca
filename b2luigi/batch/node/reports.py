"""What a task tells luigi's scheduler while it runs: a small file, written on the node and read on the submit host."""

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

PAUSE = 5.0
"""Seconds from one writing of the file to the next: a task may tell its progress in each turn of a loop."""
READ_EVERY = 10.0
"""Seconds between two looks at the file of the same task."""
MOST = 50
"""Files that are looked at in one go, so that the results of other tasks need not wait."""
LARGEST_REPORT = 1024 * 1024
"""Bytes of a file that are read at most."""
UPDATES = {
    "tracking_url": "update_tracking_url",
    "status_message": "update_status_message",
    "progress_percentage": "update_progress_percentage",
}
"""What can be told, and the method of luigi's reporter for it."""


def report_beside(outcome: Path) -> Path:
    """Where the node of an attempt leaves what its task tells."""
    return outcome.with_suffix(".progress")


class NodeReporter:
    """What luigi's process of a task reports to on a node: a file, and the log of the job.

    `path`: the file; None if nobody will read it.
    """

    scheduler_messages = None

    def __init__(self, path: Path | None) -> None:
        self.told: dict[str, Any] = {}
        self._path = path
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._next_at = float("-inf")

    def update_tracking_url(self, tracking_url: str) -> None:
        """Called by luigi, like all of these."""
        self._tell("tracking_url", tracking_url)
        logger.info("tracking URL: %s", tracking_url)

    def update_status_message(self, message: str) -> None:
        """A text for the page of the task."""
        self._tell("status_message", message)
        logger.info("status: %s", message)

    def update_progress_percentage(self, percentage: float) -> None:
        """A number from 0 to 100."""
        self._tell("progress_percentage", percentage)
        logger.info("progress: %s %%", percentage)

    def decrease_running_resources(self, decrease_resources: Mapping[str, int]) -> None:
        """Told to the log only: a job keeps what it has of luigi's resources until it ends."""
        logger.info("resources given back: %s", dict(decrease_resources))

    def report_task_statistics(self, statistics: Mapping[str, Any]) -> None:
        """Told to the log only."""
        logger.info("statistics: %s", statistics)

    def close(self) -> None:
        """The task has ended: from now on the outcome tells it all."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            if self._path is not None:
                with contextlib.suppress(OSError):
                    self._path.unlink(missing_ok=True)
            self._path = None

    def _tell(self, name: str, value: Any) -> None:
        with self._lock:
            self.told[name] = plain(value)
            if self._path is None or self._timer is not None:
                return
            wait = self._next_at - time.monotonic()
            if wait <= 0:
                self._write()
            else:
                self._timer = threading.Timer(wait, self._write_later)
                self._timer.daemon = True
                self._timer.start()

    def _write_later(self) -> None:
        with self._lock:
            self._timer = None
            self._write()

    def _write(self) -> None:
        self._next_at = time.monotonic() + PAUSE
        if self._path is not None:
            with contextlib.suppress(OSError):  # a full disk is no reason to end the task
                write_atomically(self._path, json.dumps(self.told), 0o600)


class Forwarder:
    """Hands on to luigi's scheduler what one task tells, each piece once. Never raises an Exception.

    `reporter`: luigi's reporter of the task, on the submit host.
    """

    def __init__(self, reporter: Any) -> None:
        self._reporter = reporter
        self._known: dict[str, Any] = {}
        self._seen: object = None

    def read(self, path: Path) -> None:
        """What is new in the file of the task; costs one stat if nothing is."""
        try:
            found = os.stat(path)
            version = (str(path), found.st_ino, found.st_mtime_ns)
            if version != self._seen:
                with open(path, encoding="utf-8") as file:
                    self.forward(json.loads(file.read(LARGEST_REPORT)))
                self._seen = version
        except (OSError, ValueError):  # not there yet, not there any more, not whole
            return

    def forward(self, told: Any) -> None:
        """What is new in what the task has told."""
        for name, value in told.items() if isinstance(told, dict) else ():
            if name in UPDATES and (name not in self._known or self._known[name] != value):
                self._known[name] = value
                try:
                    getattr(self._reporter, UPDATES[name])(value)
                except Exception:
                    logger.warning("luigi's scheduler was not told the %s of a task.", name, exc_info=True)


class HasReport(Protocol):
    """A job whose task may tell something."""

    @property
    def is_running(self) -> bool:
        """Whether its batch system says that it runs."""

    def forward_report(self) -> None:
        """Looks at its file once."""


class Reports:
    """Looks at the files of all running tasks in turn: each seldom, and few at a time."""

    def __init__(self) -> None:
        self.clock = time.monotonic
        self._next_at = float("-inf")
        self._waiting: list[HasReport] = []

    def look(self, jobs: Iterable[HasReport]) -> None:
        """Called often. `jobs`: all there are."""
        if not self._waiting and self.clock() >= self._next_at:
            self._next_at = self.clock() + READ_EVERY
            self._waiting = [job for job in jobs if job.is_running]
        for job in self._waiting[:MOST]:
            job.forward_report()
        del self._waiting[:MOST]
