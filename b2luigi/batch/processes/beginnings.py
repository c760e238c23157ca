"""BeginningProcess: how a task gets a job: one of its own, or that of an earlier run, or of another one."""

from __future__ import annotations

import logging
from pathlib import Path

from b2luigi.batch.attempts.outcome import Marker
from b2luigi.batch.attempts.record import Attempt, ClaimedError, read_outcome
from b2luigi.batch.messages import job_failures
from b2luigi.batch.processes import cleanup
from b2luigi.batch.processes.attempts import (
    CAN_SUBMIT,
    CLAIMED,
    CLAIMED_BY_ANOTHER,
    GIVEN_UP,
    PUT_OFF,
    AttemptProcess,
    LaterError,
)
from b2luigi.batch.processes.preparation import prepare, spec_of
from b2luigi.batch.queue.command import PASSING
from b2luigi.batch.queue.ticket import ABSENCES, Queue, Ticket
from b2luigi.core.paths import get_task_file_dir
from b2luigi.core.settings import get_seconds, get_setting

logger = logging.getLogger("luigi-interface.b2luigi")

NO_JOB = "an earlier run was about to submit it, and there is no such job"


class BeginningProcess(AttemptProcess):
    """A task that looks for a job that somebody has made for it before it makes one."""

    def start_job(self) -> None:
        """Goes on with the job of an earlier run, or claims an attempt and hands a new job in; returns at once."""
        self._grace = get_seconds("result_grace", task=self.task)
        self._begin()

    def _begin(self) -> None:
        try:
            folder = Path(get_task_file_dir(self.task))
            self._see_off_former(folder)
            number, found = Attempt.last(folder)
            if found is not None and found.token not in self.shared.judged:
                self._go_on_with(found)
            else:
                self._submit(number)
        except ClaimedError:
            self._put_off(CLAIMED_BY_ANOTHER, CLAIMED)
        except LaterError:  # told
            if self.ticket is None:  # or else that is looked at again
                self._postpone(PUT_OFF)
        except OSError as error:
            if error.errno not in PASSING and not self.shared.runs.own.is_shut:
                raise
            self._waits(CAN_SUBMIT, f"no job can be submitted for now: {error}")
            self._postpone(PUT_OFF)

    def _see_off_former(self, folder: Path) -> None:
        """A run that was killed may have given a job up, and not have had it cancelled.

        Raises ClaimedError if that run may live.
        """
        for former in Attempt.given_up(folder):
            if former.token not in self.shared.judged:
                if self.shared.runs.may_live(str(former.facts.get("by"))):
                    raise ClaimedError(str(former.path))
                queue, ticket = self._attach(former)
                end = str(former.facts.get("given_up", GIVEN_UP))
                if ticket is not None:
                    cleanup.see_off(self.task, former, ticket, queue, self.shared, end)
                else:
                    cleanup.close(former, None, end)

    def _attach(self, former: Attempt) -> tuple[Queue, Ticket | None]:
        """None for a job of which nothing can be known here, and nothing needs to (--fresh). Raises ValueError."""
        queue = self.shared.queue_of(str(former.facts.get("batch_system")))
        try:
            return queue, queue.attach(spec_of(self.task, former), former.facts)
        except ValueError:
            if not self.shared.fresh:
                raise
            return queue, None

    def _submit(self, after: int) -> None:
        most = get_setting("failure_brake", task=self.task)
        reason = self.shared.brake.holds(self.task.get_task_family(), most)
        if reason:
            self.fail(job_failures.of_brake(self.task, reason, most))
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
        self.queue, ticket = self._attach(found)
        if ticket is None:
            self.attempt = found
            self._start_anew("--fresh: its job is one of another machine, and is left to itself")
            return
        ticket.others = not is_abandoned
        self._earlier = True
        self._follow(found, ticket, inbox)
        if not self._is_unwanted(ticket) and not ticket.refused:  # or else what it may have left is looked for first
            self.shared.attached.append(self.task.task_id)

    def _is_unwanted(self, ticket: Ticket) -> bool:
        """--fresh: what an earlier run has left is taken out, as soon as it is known what that is."""
        unwanted = self.shared.fresh and self._earlier and not ticket.others
        if unwanted and ticket.job_id is not None:
            self._start_anew(f"--fresh: {self.queue.name} job {ticket.job_id} of an earlier run is cancelled")
        elif unwanted and ticket.refused:
            self._start_anew(NO_JOB)
        return unwanted

    def _came_and_went(self, ticket: Ticket, marker: Marker | None = None) -> bool:
        """A job that is nowhere to be found was there all the same if it left something: it is over, not refused.

        Raises OSError where that can not be seen for now.
        """
        left = marker is not None or self._inbox.has(self.token) or read_outcome(ticket.spec.outcome) is not None
        if left:
            ticket.refused, ticket.absent = "", ABSENCES
            self._signs.see(ticket, marker)
        return left

    def _start_anew(self, why: str) -> None:
        """The job of an earlier run counts for nothing: one of ours takes its place."""
        self._give_up(GIVEN_UP)
        logger.warning("%s: %s; it is submitted anew.", self.task, why)
        self._due = self.shared.clock()
