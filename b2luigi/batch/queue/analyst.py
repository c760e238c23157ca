"""Analyst: names jobs that cannot start as things are, with the batch system's own analysis."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from b2luigi.batch.queue.command import Running
from b2luigi.batch.queue.ticket import Ticket
from b2luigi.batch.systems.base import BatchSystem
from b2luigi.batch.systems.model import Command, JobStatus

logger = logging.getLogger("luigi-interface.b2luigi")

PENDING = 60.0
"""Seconds that a job has to wait before anybody asks why."""
EVERY, PAUSE = 10.0, 600.0
"""Seconds between two looks for such a job, and from one analysis to the next: it is not cheap for the batch system."""
LOOKED_AT = 500
"""Jobs that are looked at in one go."""


class Analyst:
    """Asks why a job does not start: once for each kind of job, rarely, and one at a time."""

    def __init__(
        self, system: BatchSystem, start: Callable[[Command], Running], clock: Callable[[], float], title: str
    ) -> None:
        self._system, self._start, self._clock, self._title = system, start, clock, title
        self._known: set[Hashable] = set()
        self._asked: tuple[Ticket, Running] | None = None
        self._next_look = self._next_analysis = float("-inf")

    def step(self, tickets: Iterable[Ticket]) -> None:
        """Moves an analysis a little, or starts one if it is time. `tickets`: the jobs in the batch system."""
        if self._asked is not None:
            self._read(*self._asked)
        elif self._clock() >= max(self._next_look, self._next_analysis):
            self._next_look = self._clock() + EVERY
            self._ask(tickets)

    def _ask(self, tickets: Iterable[Ticket]) -> None:
        for ticket in itertools.islice(filter(self._waits, tickets), LOOKED_AT):
            kind: Any = self._system.kind(ticket.spec)
            if kind not in self._known:
                self._known.add(kind)
                command = self._command(ticket)
                if command is not None:
                    self._next_analysis = self._clock() + PAUSE
                    self._asked = ticket, self._start(command)
                return

    def _waits(self, ticket: Ticket) -> bool:
        info = ticket.info
        pending = info is not None and info.status is JobStatus.idle and not info.held
        return pending and ticket.job_id is not None and self._clock() >= ticket.submitted_at + PENDING

    def _command(self, ticket: Ticket) -> Command | None:
        try:
            return self._system.analyse(str(ticket.job_id))
        except Exception:  # a language of somebody else's: it is only about advice
            logger.debug("The analysis of a job failed.", exc_info=True)
            return None

    def _read(self, ticket: Ticket, running: Running) -> None:
        answer = running.poll()
        if answer is None:
            return
        self._asked = None
        try:
            why = self._system.parse_analysis(answer) if answer.is_complete and not ticket.released else ""
        except Exception:
            logger.debug("The analysis of a job cannot be read.", exc_info=True)
            return
        if why:
            logger.warning(
                "%s job %s (%s) has not started, and cannot as things are. %s It stays in the queue: wait if that may "
                "change, or press Ctrl-C and correct the settings of its task.",
                *(self._title, ticket.job_id, ticket.spec.name, why),
            )
