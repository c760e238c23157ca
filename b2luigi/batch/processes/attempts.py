"""AttemptProcess: a task and its attempts, one after the other: claimed, attached to, put off, given up, closed."""

from __future__ import annotations

import contextlib
import logging
import time
from pathlib import Path
from typing import ClassVar

from b2luigi.batch.attempt import Attempt, ClaimedError, read_outcome
from b2luigi.batch.command import PASSING
from b2luigi.batch.inbox import Inbox
from b2luigi.batch.model import JobSpec, JobStatus
from b2luigi.batch.outcome import DONE, Marker, Outcome
from b2luigi.batch.processes import telling
from b2luigi.batch.processes.base import BatchProcess
from b2luigi.batch.processes.leftovers import collect_logs, set_outputs_aside
from b2luigi.batch.processes.preparation import NOT_SUBMITTED, Run, prepare, spec_of
from b2luigi.batch.processes.signs import Signs
from b2luigi.batch.reports import report_beside
from b2luigi.batch.ticket import ABSENCES, Queue, Ticket
from b2luigi.core.paths import get_task_file_dir
from b2luigi.core.settings import get_seconds, get_setting

logger = logging.getLogger("luigi-interface.b2luigi")

PUT_OFF, CLAIMED = 5.0, 1.0
"""Seconds until that is tried again which a full disk, or the claim of another run, did not allow for now."""
CLAIMED_BY_ANOTHER = "another run is about to submit it"
NO_JOB = "an earlier run was about to submit it, and there is no such job"


class AttemptProcess(BatchProcess):
    """What a task does to have a job; `ClusterProcess` says what becomes of it."""

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

    def start_job(self) -> None:
        """Goes on with the job of an earlier run, or claims an attempt and hands a new job in; returns at once."""
        self._grace = get_seconds("result_grace", task=self.task)
        self._begin()

    def get_job_status(self) -> JobStatus:
        """What is known of the job by now; asks nobody."""
        info = self.ticket.info if self.ticket is not None else None
        return info.status if info is not None else JobStatus.idle

    def kill_job(self) -> None:
        """Takes the job out of its batch system, with the next command that does so."""
        ticket = self.ticket
        if ticket is None:
            return
        self.queue.cancel([ticket])
        if self.timeout_time is not None and time.time() > self.timeout_time:
            self.story = telling.of_timeout(self.task, self.queue.name, ticket, self.worker_timeout or 0.0)
            logger.error("%s", self.story)
        if not ticket.others:
            outcome = read_outcome(ticket.spec.outcome)
            if outcome is None or outcome.status != DONE:  # or else it has just done its work
                self._set_aside()
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

    # -- the beginning

    def _begin(self) -> None:
        try:
            number, found = Attempt.last(Path(get_task_file_dir(self.task)))
            if found is not None and found.token not in self.shared.judged:
                self._go_on_with(found)
            else:
                self._submit(number)
        except ClaimedError:
            self._put_off(CLAIMED_BY_ANOTHER, CLAIMED)
        except OSError as error:
            if error.errno not in PASSING and not self.shared.runs.own.is_shut:
                raise
            self._put_off(f"no job can be submitted for now: {error}", PUT_OFF)

    def _submit(self, after: int) -> None:
        most = get_setting("failure_brake", task=self.task)
        reason = self.shared.brake.holds(self.task.get_task_family(), most)
        if reason:
            self.fail(telling.of_brake(self.task, reason, most))
            return
        attempt, spec = prepare(self.task, self.queue, self.shared, self._grace, after)
        self._follow(attempt, self.queue.submit(spec), self.shared.runs.own)
        assert self.ticket is not None
        self.ticket.about_to_send = self._note_mark

    def _go_on_with(self, found: Attempt) -> None:
        inbox = self.shared.runs.inbox_of(found)
        ours = found.facts.get("inbox") == str(self.shared.runs.own.folder)
        is_abandoned = ours or inbox.is_abandoned()
        if not is_abandoned and "job_id" not in found.facts:
            # Looking for the job would find nothing now, and prove nothing for later.
            self._put_off(CLAIMED_BY_ANOTHER, PUT_OFF)
            return
        self.queue = self.shared.queue_of(str(found.facts.get("batch_system")))
        ticket = self.queue.attach(spec_of(self.task, found), found.facts)
        ticket.others = not is_abandoned
        self._earlier = True
        self._follow(found, ticket, inbox)
        if ticket.refused and not self._came_and_went(ticket):
            self._start_anew(NO_JOB)
        elif self.shared.fresh and not ticket.others:
            self.queue.cancel([ticket])
            self._start_anew(f"--fresh: {self.queue.name} job {ticket.job_id} of an earlier run is cancelled")
        else:
            self.shared.attached.append(self.task.task_id)

    def _came_and_went(self, ticket: Ticket, marker: Marker | None = None) -> bool:
        """A job that is nowhere to be found was there all the same if it left something: it is over, not refused."""
        left = marker is not None or self._inbox.has(self.token) or read_outcome(ticket.spec.outcome) is not None
        if left:
            ticket.refused, ticket.absent = "", ABSENCES
            self._signs.see(ticket, marker)
        return left

    def _follow(self, attempt: Attempt, ticket: Ticket, inbox: Inbox) -> None:
        self.attempt, self.ticket, self._inbox = attempt, ticket, inbox
        self._signs, self._noted, self._due = Signs(self.shared.clock), False, None
        self._put_off_for = ""
        self.timeout_time = None

    def _put_off(self, why: str, seconds: float) -> None:
        if why != self._put_off_for:
            level = logging.INFO if why == CLAIMED_BY_ANOTHER else logging.WARNING
            logger.log(level, "%s waits: %s", self.task, why)
        self._put_off_for, self._due = why, self.shared.clock() + seconds
        self.attempt = self.ticket = None

    def _start_anew(self, why: str) -> None:
        """The job of an earlier run counts for nothing: one of ours takes its place."""
        logger.warning("%s: %s; it is submitted anew.", self.task, why)
        self._give_up("given up")
        self._due = self.shared.clock()

    def _give_up(self, end: str) -> None:
        """Another attempt is to take the place of this one."""
        self._set_aside()
        if self.attempt is not None and not (self.ticket is not None and self.ticket.others):
            self.attempt.void()
        self._close(end)
        self._earlier = False
        self.attempt = self.ticket = None

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
        unsettled = self.ticket is not None and bool(self.ticket.others or self.ticket.refused)
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
        if self.attempt is None:
            return
        others = self.ticket is not None and self.ticket.others
        self.shared.judged.add(self.token)
        if not others:
            self._inbox.remove(self.token)
            with contextlib.suppress(OSError):
                self.attempt.note(ended=time.time(), end=end, outcome=vars(outcome) if outcome is not None else None)
                self.attempt.drop_predecessors()
        if self.ticket is not None:
            self.queue.release(self.ticket)
            if not others:
                _clean_up(self.ticket.spec, end)


def _clean_up(spec: JobSpec, end: str) -> None:
    collect_logs(spec)
    with contextlib.suppress(OSError):
        spec.outcome.unlink(missing_ok=True)
        report_beside(spec.outcome).unlink(missing_ok=True)
        if end == DONE:
            spec.report.unlink(missing_ok=True)
