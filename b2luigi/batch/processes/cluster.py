"""ClusterProcess: a task as a job in a `Queue`, from its claim to the verdict on it."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable
from typing import ClassVar, TypeVar

from luigi.task import flatten
from luigi.task_register import load_task

from b2luigi.batch.attempt import Attempt, look_again, look_at_folders_of, read_outcome
from b2luigi.batch.interrupts import Terminated
from b2luigi.batch.judge import Deliver, Evidence, Fail, Outputs, Verdict, judge, wants_reason
from b2luigi.batch.model import JobSpec, JobStatus
from b2luigi.batch.outcome import DONE, FAILED, INTERRUPTED, PENDING, Marker, Outcome
from b2luigi.batch.processes import telling
from b2luigi.batch.processes.base import BatchProcess
from b2luigi.batch.processes.preparation import Run, prepare
from b2luigi.batch.ticket import Queue, Ticket
from b2luigi.core.settings import get_seconds

logger = logging.getLogger("luigi-interface.b2luigi")

ANSWERS = 3
"""So many answers about a job that was shot are asked for in a hurry; if all say that it lives, it does."""
ROUNDS = 5
"""How many jobs of a task may find the same yielded requirements missing."""
_T = TypeVar("_T")


class _LaterError(Exception):
    """The task could not be asked about its outputs; it may be another time."""


class ClusterProcess(BatchProcess):
    """A task as a job in a queue. The worker gives queue and run by `connect`, after construction."""

    batch_system: ClassVar[str | None] = None
    """Name of the batch system for subclasses that are bound to one; None takes the setting of the task."""

    queue: Queue
    shared: Run
    ticket: Ticket | None = None
    attempt: Attempt | None = None
    _ended_at: float | None = None
    _outcome_at: float | None = None
    _marker: Marker | None = None
    _answers_at_end = 0
    _noted = False
    _told = ""
    _grace = 0.0

    def connect(self, queue: Queue, shared: Run) -> None:
        """Says where the job goes; called once, before `run`."""
        self.queue, self.shared = queue, shared
        self.timeout_time = None  # its time starts when it runs, not while it waits in a queue

    # -- hooks

    def start_job(self) -> None:
        """Claims an attempt, writes the job script, hands the job in; returns at once."""
        self._grace = get_seconds("result_grace", task=self.task)
        self.attempt, spec = prepare(self.task, self.queue, self.shared, self._grace)
        self.ticket = self.queue.submit(spec)

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
        self._close("stopped")

    # -- the life of the job

    @property
    def token(self) -> str:
        """Names the attempt; empty before it is claimed."""
        return self.attempt.token if self.attempt is not None else ""

    @property
    def is_ending(self) -> bool:
        """There was a sign that the job ended, and no verdict yet."""
        return not self._done and (self._ended_at is not None or self._outcome_at is not None)

    @property
    def is_over(self) -> bool:
        """The verdict was given, or the job was stopped."""
        return self._done

    def look(self, marker: Marker | None = None) -> None:
        """Weighs what is known, and ends the task if that is enough. Never raises.

        `marker`: what the job script left in the inbox, if it did.
        """
        if self._done or self.ticket is None:
            return
        try:
            self._weigh(self.ticket, marker)
        except _LaterError:
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
            self.fail(telling.of_error_before(self.task, self.queue.name, error))
            self._close("not submitted")

    def _weigh(self, ticket: Ticket, marker: Marker | None) -> None:
        if ticket.refused:
            self._refused(ticket)
            return
        self._note_job_id(ticket)
        ended = self._sees_end(ticket, marker)
        # Read after the batch system said its last word: what it tells is older than the outcome.
        outcome = read_outcome(ticket.spec.outcome)
        if outcome is None and ended:
            look_again(ticket.spec.folder)
            outcome = read_outcome(ticket.spec.outcome)
        if outcome is not None and outcome.status != INTERRUPTED and self._outcome_at is None:
            self._outcome_at = self.shared.clock()
        if wants_reason(marker):
            self._ask_about(ticket)
        self._tell_if_held(ticket)
        self._start_clock(ticket)
        if outcome is not None and outcome.task_id not in ("", self.task.task_id):
            self._ran_another(ticket, outcome)
        else:
            self._obey(ticket, judge(self._evidence(ticket, marker, outcome), self._outputs()))
        if self._done:
            self._take_out(ticket, marker)

    def _obey(self, ticket: Ticket, verdict: Verdict) -> None:
        if isinstance(verdict, Deliver):
            self._deliver(ticket, verdict.outcome)
        elif isinstance(verdict, Fail):
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
                if self._waited() < self._grace:
                    raise _LaterError from error
                raise

        return ask

    def _ask_about(self, ticket: Ticket) -> None:
        """Asks soon why a job was shot; one that is still there after a few answers was held, evicted or requeued."""
        alive = ticket.info is not None and not ticket.info.status.is_final
        if ticket.answers - self._answers_at_end < ANSWERS:
            self.queue.hurry(ticket)
        elif alive and not ticket.absent:
            self.shared.inbox.remove(self.token)  # its next run will leave another marker
            self._ended_at = self._marker = None

    def _sees_end(self, ticket: Ticket, marker: Marker | None) -> bool:
        final = ticket.info is not None and ticket.info.status.is_final
        ended = marker is not None or ticket.gone or final
        if not ended:
            self._ended_at = None  # gone for a while, and there again
        elif self._ended_at is None or marker != self._marker:
            self._ended_at, self._answers_at_end = self.shared.clock(), ticket.answers
        self._marker = marker
        return ended

    def _take_out(self, ticket: Ticket, marker: Marker | None) -> None:
        """Sees to it that a job that was judged does not run, or run again, whatever the batch system thinks of it."""
        final = ticket.info is not None and ticket.info.status.is_final and not ticket.info.lingers
        ended_well = marker is not None and marker.exit_code == 0
        if not final and not ended_well:
            self.queue.cancel([ticket], soon=False)

    def _start_clock(self, ticket: Ticket) -> None:
        running = ticket.info is not None and ticket.info.status is JobStatus.running
        if not running or self._ended_at is not None or self._outcome_at is not None:
            self.timeout_time = None
        elif self.timeout_time is None and self.worker_timeout:
            self.timeout_time = time.time() + self.worker_timeout

    def _ended_for(self) -> float:
        return self.shared.clock() - self._ended_at if self._ended_at is not None else 0.0

    def _waited(self) -> float:
        seen = [moment for moment in (self._ended_at, self._outcome_at) if moment is not None]
        return self.shared.clock() - min(seen) if seen else 0.0

    def _tell_if_held(self, ticket: Ticket) -> None:
        held = ticket.info.native if ticket.info is not None and ticket.info.held else ""
        if held and held != self._told:
            logger.warning("%s job %s of %s waits for you: %s", self.queue.name, ticket.job_id, self.task, held)
        self._told = held

    def _evidence(self, ticket: Ticket, marker: Marker | None, outcome: Outcome | None) -> Evidence:
        return Evidence(
            outcome=outcome,
            marker=marker,
            info=ticket.info,
            gone=ticket.gone,
            ended_for=self._ended_for(),
            outcome_for=self.shared.clock() - self._outcome_at if self._outcome_at is not None else 0.0,
            grace=self._grace,
        )

    def _note_job_id(self, ticket: Ticket) -> None:
        if ticket.job_id is None or self._noted or self.attempt is None:
            return
        self._noted = True
        logger.info("%s is %s job %s", self.task.task_id, self.queue.name, ticket.job_id)
        try:
            self.attempt.note(job_id=ticket.job_id, submitted=time.time())
        except OSError as error:
            logger.warning("The record of %s can not be written: %s", self.task.task_id, error)

    # -- verdicts

    def _deliver(self, ticket: Ticket, outcome: Outcome) -> None:
        problem = self._problem_of_requirements(outcome) if outcome.status == PENDING else ""
        if outcome.status == FAILED:
            story = telling.of_exception(self.task, self.queue.name, ticket, outcome)
            self.fail(story, explanation=outcome.explanation, missing=list(outcome.missing))
        elif problem:
            self.fail(telling.of_requirements(self.task, self.queue.name, ticket, outcome.node, problem))
        else:
            self.finish(outcome.status, outcome.explanation, list(outcome.missing), list(outcome.new_requirements))
        self._close(FAILED if problem else outcome.status, outcome)

    def _problem_of_requirements(self, outcome: Outcome) -> str:
        key = (self.task.task_id, repr(outcome.new_requirements))
        self.shared.rounds[key] += 1
        if self.shared.rounds[key] > ROUNDS:
            return f"{ROUNDS} jobs in a row found them missing, though they are complete here: does the node see them?"
        return _first_unloadable(outcome)

    def _ran_another(self, ticket: Ticket, outcome: Outcome) -> None:
        self.fail(telling.of_another_task(self.task, self.queue.name, ticket, outcome))
        self._close(FAILED, outcome)

    def _died(self, ticket: Ticket, verdict: Fail) -> None:
        self._collect_logs(ticket.spec)
        self.fail(telling.of_death(self.task, self.queue.name, ticket, verdict), died=True)
        self._close(verdict.cause.name)

    def _refused(self, ticket: Ticket) -> None:
        self.fail(telling.of_refusal(self.task, self.queue.name, ticket))
        self._close("refused")

    # -- what is left behind

    def _close(self, end: str, outcome: Outcome | None = None) -> None:
        if self.attempt is None:
            return
        self.shared.inbox.remove(self.token)
        with contextlib.suppress(OSError):
            self.attempt.note(ended=time.time(), end=end, outcome=vars(outcome) if outcome is not None else None)
            self.attempt.drop_predecessors()
        if self.ticket is not None:
            self.queue.release(self.ticket)
            self._clean_up(self.ticket.spec, end)

    def _clean_up(self, spec: JobSpec, end: str) -> None:
        self._collect_logs(spec)
        with contextlib.suppress(OSError):
            spec.outcome.unlink(missing_ok=True)
            if end == DONE:
                spec.report.unlink(missing_ok=True)

    def _collect_logs(self, spec: JobSpec) -> None:
        """Logs that came home with the other files of a job."""
        for name in ("stdout", "stderr"):
            with contextlib.suppress(OSError):
                os.replace(spec.folder / f"{spec.token}.{name}", spec.log_folder / name)


def _first_unloadable(outcome: Outcome) -> str:
    for module, family, parameters in outcome.new_requirements:
        try:
            load_task(module, family, parameters)
        except Exception as error:
            return f"{module}.{family}: {type(error).__name__}: {error}"
    return ""
