"""Progress: a line now and then that shows how far a run is, the same on a terminal and in a file."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

from b2luigi.batch.attempts.outcome import DONE, FAILED
from b2luigi.batch.processes.base import BatchProcess
from b2luigi.batch.processes.cluster import ClusterProcess
from b2luigi.batch.queue.backoff import Backoff
from b2luigi.batch.queue.ticket import Ticket
from b2luigi.batch.systems.model import JobStatus

logger = logging.getLogger("luigi-interface.b2luigi")

FIRST, GROWTH, MOST = 10.0, 1.5, 60.0
"""Seconds to the first line, and so to any in a short run; how the wait for the next one grows, and to what."""
STATES = ("running", "pending", "held", "ending", "to be submitted")
"""The states of jobs in that line, in this order."""
WORDS = {JobStatus.idle: "pending", JobStatus.running: "running"}
"""All others have ended: until they are judged, what they leave is waited for."""


class Progress:
    """How far a run is. Costs a look at the clock, and a look at the jobs in flight each time a line is due.

    `clock`: seconds; tests replace it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._statuses: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._last_line = ""
        self._lines = Backoff(clock, first=FIRST, most=MOST, growth=GROWTH)
        self._lines.put_off()

    @property
    def counts(self) -> Counter[str]:
        """How many tasks have which of luigi's statuses."""
        return self._counts

    def note(self, task_id: str, status: str) -> None:
        """A task has a (new) status, which is one of luigi's."""
        before, self._statuses[task_id] = self._statuses.get(task_id), status
        if before is not None:
            self._counts[before] -= 1
        self._counts[status] += 1

    def look_at_scheduling(self) -> None:
        """Logs how much of the graph was seen, if a line is due. Called often."""
        if self._lines.is_due:
            self._tell(f"Checking the tasks: {len(self._statuses):,} so far, {self._counts[DONE]:,} of them done")

    def look(self, processes: Collection[object]) -> None:
        """Logs how far the run is, if a line is due and something changed. Called often.

        `processes`: those of all tasks that luigi takes as running.
        """
        if self._lines.is_due:
            states = Counter(_states(processes))
            jobs = ", ".join(f"{states[state]:,} {state}" for state in STATES if states[state])
            self._tell(self._tasks() + (f"; jobs: {jobs}" if jobs else ""))

    def _tasks(self) -> str:
        failed = f", {self._counts[FAILED]:,} failed" if self._counts[FAILED] else ""
        return f"{self._counts[DONE]:,} of {len(self._statuses):,} tasks done{failed}"

    def _tell(self, line: str) -> None:
        if line == self._last_line:
            self._lines.due_in(FIRST)
            return
        logger.info("%s", line)
        self._last_line = line
        self._lines.put_off()


def _states(processes: Iterable[object]) -> Iterator[str]:
    for process in processes:
        if isinstance(process, ClusterProcess):
            if not process.is_over:
                ticket = process.job.ticket if process.job is not None else None
                yield _state(ticket, is_local=process.queue.name == "local")
        elif isinstance(process, BatchProcess) and process.last_seen in WORDS:
            yield WORDS[process.last_seen]


def _state(ticket: Ticket | None, is_local: bool) -> str:
    if ticket is None or (ticket.job_id is None and not is_local):
        return "to be submitted"
    if ticket.info is None:
        return "pending"
    return "held" if ticket.info.held else WORDS.get(ticket.info.status, "ending")


@contextmanager
def quiet_keepalive(thread: threading.Thread) -> Iterator[None]:
    """Hides, except at level DEBUG, what luigi logs about the end of its own keep-alive thread."""
    log = logging.getLogger("luigi-interface")

    def is_for_all(record: logging.LogRecord) -> bool:
        return record.thread != thread.ident or record.levelno > logging.INFO or log.isEnabledFor(logging.DEBUG)

    log.addFilter(is_for_all)
    try:
        yield
    finally:
        log.removeFilter(is_for_all)
