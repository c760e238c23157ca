"""ClusterProcess: a task as a job in a `Queue`, one attempt after the other, until luigi gets a result."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from luigi.task_register import load_task

from b2luigi.batch.attempts.artifacts import collect_logs
from b2luigi.batch.attempts.judge import (
    AGAIN,
    ALWAYS,
    CHANGED,
    NO_JOB,
    Anew,
    Another,
    Deliver,
    Fail,
    NotBegun,
    Refused,
    Wait,
)
from b2luigi.batch.attempts.outcome import DONE, FAILED, PENDING, Marker, Outcome
from b2luigi.batch.interrupts import Terminated
from b2luigi.batch.messages import job_failures
from b2luigi.batch.node.reports import Forwarder, report_path
from b2luigi.batch.processes.base import BatchProcess, cancelled_by
from b2luigi.batch.processes.cleanup import NotYetError
from b2luigi.batch.processes.job import GIVEN_UP, NOT_BEGUN, NOT_SUBMITTED, JobInFlight, Postponed
from b2luigi.batch.processes.run import Run
from b2luigi.batch.processes.start import (
    CAN_SUBMIT,
    Beginning,
    Beside,
    Blocked,
    Done,
    begin,
    finish,
    options_of,
    revoke,
)
from b2luigi.batch.queue.ticket import Queue
from b2luigi.batch.systems.model import Cause, JobStatus
from b2luigi.core.deadline import Deadline
from b2luigi.core.executable import create_executable_wrapper
from b2luigi.core.settings import get_setting

logger = logging.getLogger("luigi-interface.b2luigi")

ROUNDS = 5
"""How many jobs of a task may find the same yielded requirements missing."""
SURE = 30.0
"""Seconds from the last search for a job of doubtful submission to the next submission."""
DOUBTS = 5
"""Submissions of one task that may end in doubt, and without a job, before it fails."""


class ClusterProcess(BatchProcess):
    """A task as a job of a batch system; luigi polls it in place of a process."""

    batch_system: ClassVar[str | None] = None
    """Name of the batch system for subclasses that are bound to one; None takes the setting of the task."""

    queue: Queue
    shared: Run
    job: JobInFlight | None = None
    _due: float | None = None
    """When to begin (again); None while a job is in flight."""
    _beside: Beside | None = None
    """A job whose files are being written."""
    _retries = _doubts = 0
    _last_report: Mapping[str, Any] | None = None
    _postponed_for = ""
    _page = ("", "")
    """Where luigi's page has the job, and since when."""

    def connect(self, queue: Queue, shared: Run) -> None:
        """Names the queue for its jobs; called once, before `run`."""
        self.queue, self.shared = queue, shared
        self.timeout_time = None  # its time starts when it runs, not while it waits in a queue

    # -- hooks

    def start_job(self) -> None:
        """Resumes the job of an earlier run, or claims an attempt and hands a new job in; returns at once."""
        self._begin()

    def get_job_status(self) -> JobStatus:
        """What is known of the job by now; asks nobody."""
        return self.job.status if self.job is not None else JobStatus.idle

    def kill_job(self) -> None:
        """Takes the job out of its batch system, with the next command that does so."""
        self._revoke()
        job = self.job
        if job is None:
            return
        if self.timeout_time is not None and self.timeout_time.remaining < 0:
            self.story = job_failures.of_timeout(self.task, job.queue.name, job.ticket, self.worker_timeout or 0.0)
            logger.error("%s", self.story, extra={"failure": self.story})
        job.stop()

    def cancel(self, by: str) -> str:
        """A person does not want the task any more. Returns why that cannot be; empty if it is over now."""
        job = self.job
        if job is None:
            return super().cancel(by)
        why_not = job.why_not_cancelled
        if not why_not and not self._done:
            aside = job_failures.aside(job.cancel(cancelled_by(by)))
            self.fail(job_failures.of_cancellation(self.task, job.queue.name, job.ticket, cancelled_by(by)) + aside)
        return why_not

    def leave(self) -> bool:
        """Leaves the job where it is, for a later run to resume; False if there is none."""
        self._done = True
        self._revoke()
        return self.job is not None and self.job.leave()

    def _revoke(self) -> None:
        beside, self._beside = self._beside, None
        if beside is not None:
            revoke(beside, self.shared)

    def detach_if_watched(self) -> None:
        """Leaves a job that another run follows to that run."""
        if self.job is not None and self.job.watched:
            self.job.queue.detach(self.job.ticket)

    # -- what the loop asks

    @property
    def token(self) -> str:
        """Names the attempt; empty while there is none."""
        return self.job.token if self.job is not None else ""

    @property
    def needs_looks(self) -> bool:
        """To be looked at without news."""
        return not self._done and (self._due is not None or (self.job is not None and self.job.needs_looks))

    @property
    def is_over(self) -> bool:
        """The verdict was given, or the job was stopped."""
        return self._done

    @property
    def may_report(self) -> bool:
        """Whether there may be something new for luigi's page: its task runs, or it stands otherwise than before."""
        if self._done:
            return False
        return self.get_job_status() is JobStatus.running or self._stands != self._page[0]

    @property
    def _stands(self) -> str:
        return self.job.stands if self.job is not None else ""

    def forward_report(self) -> None:
        """Forwards to luigi's scheduler what is new: where the job is, and what the task reports, from its node or in
        its outcome."""
        if self._last_report is not None:
            self._forwarder.forward_of_task(self._last_report)
        elif self.job is not None:
            if self._stands != self._page[0]:
                self._page = self._stands, time.strftime("%H:%M")
                logs = self.job.ticket.spec.log_folder
                message = f"{self._stands} since {self._page[1]}; logs: {logs}" if self._stands else ""
                self._forwarder.forward_state(message, logs.as_uri())
            self._forwarder.read(report_path(self.job.ticket.spec.outcome))

    @functools.cached_property
    def _forwarder(self) -> Forwarder:
        return Forwarder(self.status_reporter)

    # -- from one attempt to the next

    def look(self, marker: Marker | None = None) -> None:
        """Weighs what is known, and ends the task if that is enough. Never raises.

        `marker`: what the job script left in the inbox, if it did.
        """
        if self._done:
            return
        try:
            self._look_at_job(marker)
        except NotYetError:
            return
        except Terminated:
            raise
        except (Exception, SystemExit) as error:
            self._hook_failed("look", error)
            self._kill_once()

    def _look_at_job(self, marker: Marker | None) -> None:
        if self._beside is not None:
            if self._beside.writing.is_over:
                beside, self._beside = self._beside, None
                self._go_on(finish(self.task, self.queue, self.shared, beside))
        elif self._due is not None:
            if self.shared.clock() >= self._due:
                self._begin()
        elif self.job is not None:
            self._react(self.job, marker)

    def _react(self, job: JobInFlight, marker: Marker | None) -> None:
        verdict = job.look(marker)
        self._start_clock(job)
        match verdict:
            case Wait():
                pass
            case Deliver(outcome):
                self._deliver(job, outcome)
            case Fail():
                self._died(job, verdict)
            case Anew(why):
                self._start_anew(job, why)
            case NotBegun():
                self._submit_rest(job)
            case Refused():
                self._refused(job, verdict)
            case Another(outcome):
                story = job_failures.of_another_task(self.task, job.queue.name, job.ticket, outcome)
                self._fail(job, story, "it ran another task")
                job.close(FAILED, outcome)
            case Postponed():
                job.queue.detach(job.ticket)
                self._postpone(verdict)

    def _begin(self) -> None:
        self._go_on(begin(self.task, self.queue, self.shared, self))

    def _go_on(self, beginning: Beginning) -> None:
        match beginning:
            case Beside() as beside:
                self._beside, self.job, self._due = beside, None, None
            case JobInFlight() as job:
                self.job, self._due, self._postponed_for, self.timeout_time = job, None, "", None
                self.shared.outages.go_on(str(self.task), CAN_SUBMIT)
            case Postponed() as postponed:
                self._postpone(postponed)
            case Blocked(story):
                self.fail(story)
            case Done(outcome):
                self._last_report = outcome.reports
                self.finish(DONE, outcome.explanation)

    def _postpone(self, postponed: Postponed) -> None:
        why = postponed.why
        if postponed.outage:
            self.shared.outages.wait(str(self.task), postponed.outage, why)
        elif why and why != self._postponed_for:
            logger.warning("%s waits: %s", self.task, why)
            self._postponed_for = why
        self.job, self._due = None, self.shared.clock() + postponed.seconds

    def _start_anew(self, job: JobInFlight, why: str) -> None:
        """The job of an earlier run counts for nothing: one of ours takes its place."""
        job.give_up(GIVEN_UP)
        if why == NO_JOB:  # there may be thousands
            self.shared.unsubmitted.append(self.task.task_id)
        else:
            logger.warning("%s: %s; resubmitting.", self.task, why)
        self.shared.journal.add("again", id=self.task.task_id, why=why)
        self.job, self._due = None, self.shared.clock()

    def _submit_rest(self, job: JobInFlight) -> None:
        """The job that the task shared with others has not come to it, which costs none of its retries."""
        job.give_up(NOT_BEGUN)
        self.shared.not_begun[f"{job.queue.name} job {job.ticket.job_id}"] += 1
        self.shared.journal.add("again", id=self.task.task_id, why="its job ended before it began")
        self.shared.tries[self.task.task_id] -= 1
        self.job, self._due = None, self.shared.clock()
        self._begin()

    def _start_clock(self, job: JobInFlight) -> None:
        if job.watched or job.status is not JobStatus.running or job.is_ending:
            self.timeout_time = None
        elif self.timeout_time is None and self.worker_timeout:
            self.timeout_time = Deadline(self.worker_timeout, self.shared.clock)

    # -- verdicts

    def _deliver(self, job: JobInFlight, outcome: Outcome) -> None:
        self._last_report = outcome.reports
        if not job.earlier:  # the environment of an earlier run has nothing to do with that of this one
            self.shared.mention_version(outcome, f"{job.queue.name} job {job.ticket.job_id}")
        problem = self._problem_of_requirements(outcome) if outcome.status == PENDING else ""
        if outcome.status == FAILED:
            self._failed(job, outcome)
        elif problem:
            story = job_failures.of_requirements(self.task, job.queue.name, job.ticket, outcome.node, problem)
            self._fail(job, story, problem)
            job.close(FAILED, outcome)
        else:
            self.shared.breaker.succeeded(self.task.get_task_family())
            self.finish(outcome.status, outcome.explanation, list(outcome.missing), list(outcome.new_requirements))
            job.close(outcome.status, outcome)

    def _failed(self, job: JobInFlight, outcome: Outcome) -> None:
        """The task raised an exception; one of memory is no fault of its code if the next try asks for more."""
        if job_failures.is_of_memory(outcome.headline) and self._is_worth_another(job, Cause.memory):
            self._died(job, job_failures.out_of_memory(outcome))
            return
        story = job_failures.of_exception(self.task, job.queue.name, job.ticket, outcome)
        self._fail(job, story, outcome.headline, explanation=outcome.explanation, missing=list(outcome.missing))
        job.close(FAILED, outcome)

    def _problem_of_requirements(self, outcome: Outcome) -> str:
        key = (self.task.task_id, repr(outcome.new_requirements))
        self.shared.rounds[key] += 1
        if self.shared.rounds[key] > ROUNDS:
            return f"{ROUNDS} jobs in a row found them missing, though they are complete here: does the node see them?"
        return _first_unloadable(outcome)

    def _refused(self, job: JobInFlight, verdict: Refused) -> None:
        job.diary.reason = verdict.reason
        if not verdict.in_doubt:
            self.fail(job_failures.of_refusal(self.task, job.queue.name, job.ticket))
            job.close("refused")
            return
        job.give_up(NOT_SUBMITTED)
        self._doubts += 1
        if self._doubts < DOUBTS:
            why = f"{job.queue.name} may have received its job, and has no such job: {verdict.reason}"
            self._postpone(Postponed(f"{why} (submission {self._doubts} of {DOUBTS})", SURE))
        else:
            self.fail(job_failures.of_doubt(self.task, job.queue.name, job.ticket, DOUBTS))

    def _died(self, job: JobInFlight, verdict: Fail) -> None:
        collect_logs(job.ticket.spec)
        explained, peak = job_failures.explained(job.ticket, verdict)
        job.diary.reason, job.diary.peak = explained.what, peak
        if self._is_worth_another(job, verdict.cause):
            self._try_again(job, explained)
        else:
            story = job_failures.of_death(self.task, job.queue.name, job.ticket, explained)
            self._fail(job, story, verdict.what, died=True)
            job.close(verdict.cause.name)

    def _is_worth_another(self, job: JobInFlight, cause: Cause) -> bool:
        if self._retries >= int(get_setting("job_retries", task=self.task)):
            return False
        if AGAIN[cause] == CHANGED and job.ticket.pack is not None and job.ticket.pack.size > 1:
            return True  # the next one shares its job with fewer
        if AGAIN[cause] == CHANGED:  # the same again would end the same way
            options = options_of(self.task, self.queue, self.shared.tries[self.task.task_id] + 1)
            return dict(options) != dict(job.ticket.spec.options)
        return AGAIN[cause] == ALWAYS

    def _try_again(self, job: JobInFlight, verdict: Fail) -> None:
        job.give_up(verdict.cause.name)
        self.job, self._due = None, self.shared.clock()
        self.shared.journal.add("again", id=self.task.task_id, why=verdict.what)
        self._retries += 1
        logger.warning(
            "%s: %s job %s is over: %s. Retrying (%d of %d).",
            *(self.task, job.queue.name, job.ticket.job_id, verdict.what),
            *(self._retries, int(get_setting("job_retries", task=self.task))),
        )
        self._begin()

    def _fail(
        self,
        job: JobInFlight,
        story: str,
        reason: str,
        *,
        explanation: object = None,
        missing: list[str] | None = None,
        died: bool = False,
    ) -> None:
        self.shared.breaker.failed(self.task.get_task_family(), reason)
        if job.ticket.pack is not None:  # it has no job script of its own, with which a person could run it again
            with contextlib.suppress(Exception):
                create_executable_wrapper(self.task)
        job.diary.reason = job.diary.reason or reason
        aside = job_failures.aside(job.set_outputs_aside())
        self.fail(story + aside, explanation=explanation, missing=missing, died=died)

    # -- luigi's poll

    def _make_log_folder(self) -> None:
        """Made with the other files of a job."""

    def _look(self) -> None:
        """News comes by `look`."""

    def _hook_failed(self, hook: str, error: BaseException) -> None:
        """A setting that cannot work, a file that cannot be written: reported without the insides of b2luigi."""
        if self.job is not None:
            super()._hook_failed(hook, error)
        else:
            self.fail(job_failures.of_error_before(self.task, self.queue.name, error))


def _first_unloadable(outcome: Outcome) -> str:
    for module, family, parameters in outcome.new_requirements:
        try:
            load_task(module, family, parameters)
        except Exception as error:
            return f"{module}.{family}: {type(error).__name__}: {error}"
    return ""
