"""ClusterProcess: a task as a job in a `Queue`: all that is known of it is weighed, and a verdict is given."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from luigi.task import flatten

from b2luigi.batch.attempts.judge import Deliver, Fail, Outputs, Verdict, judge, wants_reason
from b2luigi.batch.attempts.outcome import Marker, Outcome
from b2luigi.batch.attempts.record import look_again, look_at_folders_of, read_outcome
from b2luigi.batch.interrupts import Terminated
from b2luigi.batch.messages import job_failures
from b2luigi.batch.node.reports import Forwarder, report_beside
from b2luigi.batch.processes.attempts import CLAIMED, CLAIMED_BY_ANOTHER, LaterError
from b2luigi.batch.processes.preparation import NOT_SUBMITTED
from b2luigi.batch.processes.verdicts import VerdictProcess
from b2luigi.batch.queue.ticket import Ticket
from b2luigi.batch.systems.model import JobStatus

logger = logging.getLogger("luigi-interface.b2luigi")

GLANCE = 1.0
"""Seconds between two looks at the record of a job that another run looks after."""
_T = TypeVar("_T")


class ClusterProcess(VerdictProcess):
    """A task as a job of a batch system; luigi polls it in place of a process."""

    _glance_at = 0.0
    _told = ""

    @functools.cached_property
    def _forwarder(self) -> Forwarder:
        return Forwarder(self.status_reporter)

    @property
    def is_running(self) -> bool:
        """Whether its batch system says that it runs."""
        return not self._done and self.get_job_status() is JobStatus.running

    def forward_report(self) -> None:
        """Tells luigi's scheduler what the task has told since the last time: on its node, or in its outcome."""
        if self._last_report is not None:
            self._forwarder.forward(self._last_report)
        elif self.ticket is not None:
            self._forwarder.read(report_beside(self.ticket.spec.outcome))

    def look(self, marker: Marker | None = None) -> None:
        """Weighs what is known, and ends the task if that is enough. Never raises.

        `marker`: what the job script left in the inbox, if it did.
        """
        if self._done:
            return
        try:
            self._look_at_job(marker)
        except LaterError:
            return
        except Terminated:
            raise
        except (Exception, SystemExit) as error:
            self._hook_failed("look", error)
            self._kill_once()

    def _look(self) -> None:
        """luigi's poll: news comes by `look`."""

    def _hook_failed(self, hook: str, error: BaseException) -> None:
        """A setting that can not work, a file that can not be written: told without the insides of b2luigi."""
        if self.ticket is not None:
            super()._hook_failed(hook, error)
        else:
            self.fail(job_failures.of_error_before(self.task, self.queue.name, error))
            self._close(NOT_SUBMITTED)

    def _look_at_job(self, marker: Marker | None) -> None:
        if self._due is not None:
            if self.shared.clock() >= self._due:
                self._begin()
        elif self.ticket is not None and not self._judged_by_others(self.ticket):
            self._weigh(self.ticket, marker)

    def _weigh(self, ticket: Ticket, marker: Marker | None) -> None:
        if self._is_judged_already(ticket) or self._is_unwanted(ticket):
            return
        if ticket.refused and self._is_nowhere(ticket, marker):
            return
        self._note_job_id(ticket)
        ended = self._signs.see(ticket, marker)
        # Read after the batch system said its last word: what it tells is older than the outcome.
        outcome = read_outcome(ticket.spec.outcome)
        if outcome is None and ended:
            if not self._can_see_what_it_left(ticket):
                return
            outcome = read_outcome(ticket.spec.outcome)
        self._signs.see_outcome(outcome)
        if wants_reason(marker):
            self._ask_about(ticket)
        self._tell_if_held(ticket)
        self._start_clock(ticket)
        if outcome is not None and outcome.task_id not in ("", self.task.task_id):
            self._ran_another(ticket, outcome)
        else:
            evidence = self._signs.evidence(ticket, marker, outcome, self._grace)
            self._obey(ticket, judge(evidence, self._outputs()))
        if self._done or self.ticket is not ticket:
            self._take_out(ticket, marker)

    def _is_nowhere(self, ticket: Ticket, marker: Marker | None) -> bool:
        """False for a job that was looked for in vain, because it is over: there is something to weigh."""
        if self._earlier or ticket.doubt:
            if not self._can_see_what_it_left(ticket):
                return True
            try:
                if self._came_and_went(ticket, marker):
                    return False
            except OSError:
                self._waits_for_folder(self._inbox.folder)
                return True
        self._refused(ticket)
        return True

    def _can_see_what_it_left(self, ticket: Ticket) -> bool:
        """False if a token expired, or a file system is away: then nothing is judged."""
        readable = look_again(ticket.spec.folder)
        if readable:
            self._waits_no_more(self._readable)
        else:
            self._waits_for_folder(ticket.spec.folder)
        return readable

    def _waits_for_folder(self, folder: Path) -> None:
        self._waits(self._readable, f"its folder can not be read for now: {folder}")

    @property
    def _readable(self) -> str:
        return f"Folders of {self.queue.name} jobs can be read"

    def _obey(self, ticket: Ticket, verdict: Verdict) -> None:
        if isinstance(verdict, Deliver):
            death = self._death_in_disguise(verdict.outcome)
            if death is None:
                self._deliver(ticket, verdict.outcome)
                return
            verdict = death
        if isinstance(verdict, Fail):
            self._died(ticket, verdict)

    def _outputs(self) -> Outputs:
        return Outputs(self._asked(lambda: bool(self.task.complete())), self._asked(self._missing_outputs))

    def _missing_outputs(self) -> list[str]:
        missing = [target for target in flatten(self.task.output()) if not target.exists()]
        look_at_folders_of(missing)
        return [str(getattr(target, "path", target)) for target in missing]

    def _asked(self, question: Callable[[], _T]) -> Callable[[], _T]:
        """A question to the task: a file system that hiccups is asked again, while there is time."""

        def ask() -> _T:
            try:
                return question()
            except Exception as error:
                if self._signs.waited < self._grace:
                    raise LaterError from error
                raise

        return ask

    def _ask_about(self, ticket: Ticket) -> None:
        """Asks soon why a job was shot; one that is still there after a few answers was held, evicted or requeued."""
        alive = ticket.info is not None and not ticket.info.status.is_final
        if self._signs.may_ask(ticket):
            self.queue.hurry(ticket)
        elif alive and not ticket.absent:
            self._inbox.remove(self.token)  # its next run will leave another marker
            self._signs.forget_end()

    def _take_out(self, ticket: Ticket, marker: Marker | None) -> None:
        """Sees to it that a job that was judged does not run, or run again, whatever the batch system thinks of it."""
        final = ticket.info is not None and ticket.info.status.is_final and not ticket.info.lingers
        ended_well = marker is not None and marker.exit_code == 0
        if not final and not ended_well:
            # Its successor waits for it; nobody else does.
            self.queue.cancel([ticket], soon=not self._done)

    def _start_clock(self, ticket: Ticket) -> None:
        running = ticket.info is not None and ticket.info.status is JobStatus.running
        if not running or self._signs.is_ending:
            self.timeout_time = None
        elif self.timeout_time is None and self.worker_timeout:
            self.timeout_time = time.time() + self.worker_timeout

    def _tell_if_held(self, ticket: Ticket) -> None:
        held = ticket.info.native if ticket.info is not None and ticket.info.held else ""
        if held and held != self._told:
            logger.warning("%s job %s of %s waits for you: %s", self.queue.name, ticket.job_id, self.task, held)
        self._told = held

    # -- other runs

    def _judged_by_others(self, ticket: Ticket) -> bool:
        """True while another run that lives looks after the job; what that makes of it is told as it is."""
        if not ticket.others or self.attempt is None or self.shared.clock() < self._glance_at:
            return ticket.others
        self._glance_at = self.shared.clock() + GLANCE * (1 + len(self.shared.attached) / 100)
        self.attempt.reload()
        outcome = Outcome.from_record(self.attempt.facts.get("outcome"))
        if "ended" not in self.attempt.facts and "given_up" in self.attempt.facts:
            self.queue.release(ticket)
            self._put_off(CLAIMED_BY_ANOTHER, CLAIMED)
        elif "ended" not in self.attempt.facts:
            ticket.others = not self._inbox.is_abandoned()
        elif outcome is not None and self.attempt.facts.get("end") == outcome.status:
            self._deliver(ticket, outcome)
        else:
            self._start_anew(f"another run has given its job up ({self.attempt.facts.get('end')})")
        return True

    def _is_judged_already(self, ticket: Ticket) -> bool:
        """Two runs may go on with the job of a dead one, or of one that was silent like a dead one.

        The slower one has nothing to judge, and to set aside.
        """
        if self.attempt is None or not (self._earlier or self.shared.runs.own.was_silent):
            return False
        self.attempt.reload()
        if not {"ended", "given_up"} & self.attempt.facts.keys():
            return False
        ticket.others, self._glance_at = True, 0.0
        return self._judged_by_others(ticket)
