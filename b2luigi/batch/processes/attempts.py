"""AttemptProcess: a task and its attempts, one after the other: followed, put off, given up, closed."""

from __future__ import annotations

import logging
import time
from typing import ClassVar

from b2luigi.batch.attempts.artifacts import set_outputs_aside
from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.attempts.outcome import Outcome
from b2luigi.batch.attempts.record import Attempt
from b2luigi.batch.messages import job_failures
from b2luigi.batch.processes import cleanup
from b2luigi.batch.processes.base import BatchProcess
from b2luigi.batch.processes.preparation import NOT_SUBMITTED, Run
from b2luigi.batch.processes.signs import Signs
from b2luigi.batch.queue.ticket import Queue, Ticket
from b2luigi.batch.systems.model import JobStatus

logger = logging.getLogger("luigi-interface.b2luigi")

PUT_OFF, CLAIMED = 5.0, 1.0
"""Seconds until that is tried again which a full disk, or the claim of another run, did not allow for now."""
CLAIMED_BY_ANOTHER = "another run is about to submit it"
CAN_SUBMIT, CAN_GIVE_UP = "Jobs can be submitted", "Jobs can be given up"
"""What tasks wait for while the disk is full."""
GIVEN_UP = "given up"


class LaterError(Exception):
    """What a verdict rests on can not be known, or written, for now; it may be another time."""


class AttemptProcess(BatchProcess):
    """A task with at most one attempt at a time; subclasses say how it begins, and what becomes of it."""

    batch_system: ClassVar[str | None] = None
    """Name of the batch system for subclasses that are bound to one; None takes the setting of the task."""

    queue: Queue
    shared: Run
    ticket: Ticket | None = None
    attempt: Attempt | None = None
    _signs: Signs
    _inbox: Inbox
    _earlier = False
    """The attempt was made by another run, dead or alive."""
    _due: float | None = None
    """When to begin (again); None while a job is under way."""
    _noted = False
    _put_off_for = ""
    _grace = 0.0

    def connect(self, queue: Queue, shared: Run) -> None:
        """Says where the job goes; called once, before `run`."""
        self.queue, self.shared = queue, shared
        self._signs, self._inbox = Signs(shared.clock), shared.runs.own
        self.timeout_time = None  # its time starts when it runs, not while it waits in a queue

    # -- hooks

    def get_job_status(self) -> JobStatus:
        """What is known of the job by now; asks nobody."""
        info = self.ticket.info if self.ticket is not None else None
        return info.status if info is not None else JobStatus.idle

    def kill_job(self) -> None:
        """Takes the job out of its batch system, with the next command that does so."""
        ticket = self.ticket
        if ticket is None or self.attempt is None:
            return
        self.queue.cancel([ticket])
        if self.timeout_time is not None and time.time() > self.timeout_time:
            self.story = job_failures.of_timeout(self.task, self.queue.name, ticket, self.worker_timeout or 0.0)
            logger.error("%s", self.story)
        if not ticket.others:
            cleanup.set_aside(self.task, self.attempt, ticket.spec)
            self._close("stopped")

    def leave(self) -> bool:
        """Leaves the job where it is, for a later run to go on with; False if there is none."""
        ticket, self._done = self.ticket, True
        if ticket is None:
            return False
        self._note_job_id(ticket)
        if not ticket.may_be_there:
            self._close(NOT_SUBMITTED)
        return ticket.may_be_there

    # -- from one attempt to the next

    def _follow(self, attempt: Attempt, ticket: Ticket, inbox: Inbox) -> None:
        self.attempt, self.ticket, self._inbox = attempt, ticket, inbox
        self._signs, self._noted, self._due = Signs(self.shared.clock), False, None
        self._put_off_for = ""
        self.timeout_time = None
        self._waits_no_more(CAN_SUBMIT)

    def _put_off(self, why: str, seconds: float) -> None:
        if why != self._put_off_for:
            level = logging.INFO if why == CLAIMED_BY_ANOTHER else logging.WARNING
            logger.log(level, "%s waits: %s", self.task, why)
        self._put_off_for = why
        self._postpone(seconds)

    def _postpone(self, seconds: float) -> None:
        self._due = self.shared.clock() + seconds
        self._earlier = False
        self.attempt = self.ticket = None

    def _give_up(self, end: str) -> None:
        """Another attempt is to take the place of this one. Raises LaterError if its job could come after all."""
        if self.attempt is not None and not (self.ticket is not None and self.ticket.others):
            self._void(self.attempt)
        self._set_aside()
        self._close(end)
        self._earlier = False
        self.attempt = self.ticket = None

    def _void(self, attempt: Attempt) -> None:
        try:
            attempt.void()
        except OSError as error:
            self._waits(CAN_GIVE_UP, f"its job can not be given up for now: {error}")
            raise LaterError from error
        self._waits_no_more(CAN_GIVE_UP)

    def _waits(self, able: str, why: str) -> None:
        self.shared.outages.wait(str(self.task), able, why)

    def _waits_no_more(self, able: str) -> None:
        self.shared.outages.go_on(str(self.task), able)

    # -- the life of the job

    @property
    def token(self) -> str:
        """Names the attempt; empty while there is none."""
        return self.attempt.token if self.attempt is not None else ""

    @property
    def needs_looks(self) -> bool:
        """To be looked at without news.

        There was a sign of the end, it is to begin, another run may judge it, or its folder can not be read.
        """
        unwanted = self._earlier and self.shared.fresh
        unsettled = self.ticket is not None and bool(self.ticket.others or self.ticket.refused or unwanted)
        return not self._done and (self._signs.is_ending or self._due is not None or unsettled)

    @property
    def is_over(self) -> bool:
        """The verdict was given, or the job was stopped."""
        return self._done

    def _note_mark(self) -> None:
        """In an array a job is not known by its token: how to find it has to be on disk before it is submitted."""
        if self.ticket is not None and self.attempt is not None and self.ticket.mark != self.token:
            self.attempt.note(mark=self.ticket.mark)

    def _note_job_id(self, ticket: Ticket) -> None:
        if ticket.job_id is None or self._noted or self.attempt is None:
            return
        self._noted = True
        again = " (of an earlier run)" if self._earlier else ""
        logger.debug("%s is %s job %s%s", self.task.task_id, self.queue.name, ticket.job_id, again)
        try:
            if self.attempt.facts.get("job_id") != ticket.job_id:
                self.attempt.note(job_id=ticket.job_id, submitted=time.time())
        except OSError as error:
            logger.warning("The record of %s can not be written: %s", self.task.task_id, error)

    # -- what is left behind

    def _set_aside(self) -> list[str]:
        others = self.ticket is not None and self.ticket.others
        return set_outputs_aside(self.task, self.attempt) if self.attempt is not None and not others else []

    def _close(self, end: str, outcome: Outcome | None = None) -> None:
        attempt, ticket = self.attempt, self.ticket
        if attempt is None:
            return
        self.shared.judged.add(self.token)
        if ticket is not None and ticket.others:
            self.queue.release(ticket)
            return
        self._inbox.remove(self.token)
        if ticket is not None and self._may_be_at_work(ticket):
            cleanup.see_off(self.task, attempt, ticket, self.queue, self.shared, end, soon=not self._done)
            return
        cleanup.close(attempt, ticket.spec if ticket is not None else None, end, outcome)
        if ticket is not None:
            self.queue.release(ticket)

    def _may_be_at_work(self, ticket: Ticket) -> bool:
        """Nobody has said that the job ended, but that it is nowhere to be seen, or takes too long."""
        final = ticket.info is not None and ticket.info.status.is_final
        return ticket.job_id is not None and not (ticket.left or final or self._signs.is_told)
