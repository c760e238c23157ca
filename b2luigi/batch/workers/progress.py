"""Progress: how far a run is, for whoever shows it; by default a line now and then in the log."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Protocol

from b2luigi.batch.queue.backoff import Backoff
from b2luigi.batch.workers.totals import JOBS, Totals, count_jobs

logger = logging.getLogger("luigi-interface.b2luigi")

FIRST, GROWTH, MOST = 10.0, 1.5, 60.0
"""Seconds to the first line, and so to any in a short run; how the wait for the next one grows, and to what."""


class Screen(Protocol):
    """Where a person sees how far a run is. What it does is short: the run waits for it."""

    @property
    def is_due(self) -> bool:
        """Whether it wants the totals now. Asked often."""

    def show_scheduling(self, totals: Totals) -> None:
        """The graph is still being read."""

    def show(self, totals: Totals) -> None:
        """The run is under way."""


class Progress:
    """What the loop knows of all tasks. Costs a look at the clock, and a look at the jobs in flight when one is due."""

    def __init__(self, screen: Screen | None = None) -> None:
        self.screen: Screen = screen or Lines()
        self._statuses: dict[str, str] = {}
        self._counts: dict[str, Counter[str]] = {}

    def note(self, task_id: str, family: str, status: str) -> None:
        """A task of this class has a (new) status, which is one of luigi's."""
        before, self._statuses[task_id] = self._statuses.get(task_id), status
        counts = self._counts.get(family)
        if counts is None:
            counts = self._counts[family] = Counter()
        if before is not None:
            counts[before] -= 1
        counts[status] += 1

    def status(self, task_id: str) -> str | None:
        """The last status of a task, one of luigi's; None if the run does not know it."""
        return self._statuses.get(task_id)

    def look_at_scheduling(self) -> None:
        """Shows how much of the graph was seen, if that is due. Called often."""
        if self.screen.is_due:
            self.screen.show_scheduling(self.totals(()))

    def look(self, processes: Collection[object]) -> None:
        """Shows how far the run is, if that is due. Called often.

        `processes`: those of all tasks that luigi takes as running.
        """
        if self.screen.is_due:
            self.screen.show(self.totals(processes))

    def totals(self, processes: Collection[object]) -> Totals:
        """What is known now."""
        return Totals(self._counts, count_jobs(processes))


class Lines:
    """A line in the log now and then, the same on a terminal and in a file. `clock`: seconds; tests replace it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._last_line = ""
        self._lines = Backoff(clock, first=FIRST, most=MOST, growth=GROWTH)
        self._lines.put_off()

    @property
    def is_due(self) -> bool:
        """Whether it is time for a line."""
        return self._lines.is_due

    def show_scheduling(self, totals: Totals) -> None:
        """How much of the graph was seen."""
        self._log(f"Checking the tasks: {totals.tasks:,} so far, {totals.done:,} of them done")

    def show(self, totals: Totals) -> None:
        """Tasks by what became of them, jobs by what they do; not the same line twice."""
        failed = f", {totals.failed:,} failed" if totals.failed else ""
        states = [(totals.of_jobs(state), state) for state in JOBS]
        jobs = ", ".join(f"{count:,} {state}" for count, state in states if count)
        self._log(f"{totals.done:,} of {totals.tasks:,} tasks done{failed}" + (f"; jobs: {jobs}" if jobs else ""))

    def _log(self, line: str) -> None:
        if line == self._last_line:
            self._lines.due_in(FIRST)
            return
        logger.info("%s", line, extra={"progress": True})
        self._last_line = line
        self._lines.put_off()


class NoScreen:
    """Nobody looks."""

    is_due = False

    def show_scheduling(self, totals: Totals) -> None:
        """Does nothing."""

    def show(self, totals: Totals) -> None:
        """Does nothing."""


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
