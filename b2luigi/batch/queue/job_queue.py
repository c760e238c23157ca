"""JobQueue: one live batch system, advanced a little at each turn of the loop, which it never blocks."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from b2luigi.batch.queue.canceller import Canceller
from b2luigi.batch.queue.command import Running, start
from b2luigi.batch.queue.poller import Poller
from b2luigi.batch.queue.submitter import Submitter
from b2luigi.batch.queue.ticket import Ticket, TicketState, counted, never
from b2luigi.batch.systems.base import BatchSystem, Setting
from b2luigi.batch.systems.model import Accepted, Command, JobSpec, Refused, Submitted

logger = logging.getLogger("luigi-interface.b2luigi")


class JobQueue:
    """The jobs of this run in one batch system.

    `start` runs commands, `clock` gives seconds, `sleep` waits for some: tests replace them.
    `poll_interval`: seconds, the longest wait between two queries.
    """

    def __init__(
        self,
        system: BatchSystem,
        *,
        start: Callable[[Command], Running] = start,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        poll_interval: float = 60.0,
    ) -> None:
        self.name, self.carries_files = system.name, system.carries_files
        self._system, self._clock, self._sleep = system, clock, sleep
        self._submitter = Submitter(system, start, clock)
        self._poller = Poller(system, start, clock, poll_interval, self._accept)
        self._canceller = Canceller(system, start, clock)

    def options(self, setting: Setting) -> Mapping[str, Any]:
        """The settings of one task that this system cares about. Raises ValueError, naming the setting."""
        return self._system.options(setting)

    def check(self, spec: JobSpec) -> None:
        """Raises ValueError for a job this system could not carry as it is."""
        self._system.check(spec)

    def submit(self, spec: JobSpec, before_sending: Callable[[Ticket], None] | None = None) -> Ticket:
        """Hands a job in; it is sent at the next `step`, together with others of equal options."""
        ticket = Ticket(spec, before_sending=before_sending)
        self._submitter.add(ticket)
        return ticket

    def attach(self, spec: JobSpec, facts: Mapping[str, Any]) -> Ticket:
        """Follows a job of another run, known by its id, or to be searched for by its label."""
        ticket = Ticket(spec, label=str(facts.get("mark") or ""))
        job_id = str(facts.get("job_id") or "")
        if re.fullmatch(r"[0-9A-Za-z][\w.+\[\]-]*", job_id):  # it becomes a word of commands
            self._accept(ticket, job_id)
            self._poller.hurry()
        else:
            ticket.move(TicketState.unsure, "it was about to be submitted when its run ended")
            self._poller.doubt(ticket)
        return ticket

    def step(self) -> list[Ticket]:
        """Advances everything a little without waiting for anything; returns the tickets with news."""
        news = self._read_submissions()
        news += self._poller.read()
        self._canceller.step()
        # A new attempt waits until there is no job of the one before: it was cancelled, or searched for in vain.
        searched_for = (ticket for ticket in self._poller.unsure.values() if ticket.cancelled)
        blocked = {ticket.spec.script for ticket in (*self._canceller.pending, *searched_for)}
        news += [self._refused(ticket, text) for ticket, text in self._submitter.send(blocked)]
        self._poller.ask()
        return news

    def hurry(self, ticket: Ticket) -> None:
        """Queries this job soon: it looks as if it had ended."""
        ticket.end_reported = True
        self._poller.hurry()

    def cancel(self, tickets: Iterable[Ticket], soon: bool = True) -> None:
        """Removes jobs from the batch system; those not sent yet are just dropped.

        `soon`: False for jobs that most probably ended by themselves, and only must not run again: they may wait
        some seconds, until there are more of them.
        """
        for ticket in tickets:
            if not ticket.cancelled:
                ticket.cancelled = True
                if ticket.job_id is not None:
                    self._canceller.add([ticket], soon)

    def cancel_then(self, ticket: Ticket, when_over: Callable[[], None], soon: bool = True) -> None:
        """Cancels a job, and calls `when_over` as soon as there is no such job any more: now, if there is none."""
        if ticket.is_over:
            when_over()
        else:
            ticket.when_over = when_over
            self.cancel([ticket], soon)

    def release(self, ticket: Ticket) -> None:
        """Forgets a job that was judged; if it was cancelled before its id is known, that is still done."""
        ticket.released = True
        self._poller.forget(ticket)

    def detach(self, ticket: Ticket) -> None:
        """Leaves a job to another run: there will be no news of it here, and it is not cancelled."""
        self.release(ticket)

    def leave(self, patience: float) -> None:
        """Leaves the jobs where they are; waits, at most `patience` seconds, for submit commands that are running."""
        end = self._clock() + patience
        self._submitter.drop_waiting()
        while self._submitter.under_way and self._clock() < end:
            self._read_submissions()
            self._sleep(0.01)

    def close(self, patience: float, enough: Callable[[], bool] = never) -> list[Ticket]:
        """Cancels all jobs and waits until the batch system accepted that.

        Waits at most `patience` seconds, or until `enough`, also for submit commands that are running. Jobs in doubt
        are searched for, so that they can be cancelled, too.
        Returns the tickets of jobs that may be left in the batch system.
        """
        end = self._clock() + patience
        self._submitter.drop_waiting()
        self.cancel([*self._submitter.under_way, *self._poller.stop()])
        self._canceller.hurry()
        while self._has_work() and self._clock() < end and not enough():
            self._read_submissions()
            self._poller.read()
            self._poller.ask()
            self._canceller.step()
            self._sleep(0.01)
        doubtful = [*self._submitter.under_way, *self._poller.unsure.values(), *self._poller.lost]
        return [*doubtful, *self._canceller.pending, *self._canceller.given_up]

    def _has_work(self) -> bool:
        return bool(self._submitter.under_way or self._poller.searching or self._canceller.pending)

    def _read_submissions(self) -> list[Ticket]:
        results = list(self._submitter.read())
        self._log_accepted([result.job_id for _, result in results if isinstance(result, Accepted)])
        return [ticket for ticket, result in results if self._settle(ticket, result)]

    def _log_accepted(self, job_ids: list[str]) -> None:
        if job_ids:
            span = " to ".join(dict.fromkeys([job_ids[0], job_ids[-1]]))
            logger.info("Submitted %s to %s: %s", counted(len(job_ids)), self.name, span)

    def _settle(self, ticket: Ticket, result: Submitted) -> bool:
        """True if that is news."""
        if isinstance(result, Accepted):
            self._accept(ticket, result.job_id)
        elif isinstance(result, Refused):
            self._refused(ticket, result.text)
        else:
            self._doubt(ticket, result.text)
            return False
        return True

    def _accept(self, ticket: Ticket, job_id: str) -> None:
        ticket.move(TicketState.queued)
        ticket.job_id = job_id
        if not ticket.released:
            self._poller.add(ticket)
        if ticket.cancelled:
            self._canceller.add([ticket])

    def _refused(self, ticket: Ticket, text: str) -> Ticket:
        ticket.move(TicketState.refused, text)
        return ticket

    def _doubt(self, ticket: Ticket, text: str) -> None:
        logger.warning(
            "Unclear whether %s accepted job %s; searching for it. Output: %s", self.name, ticket.spec.name, text
        )
        ticket.move(TicketState.unsure, text)
        self._poller.doubt(ticket)
