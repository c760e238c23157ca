"""How the record of an attempt is closed: at once, or, if its job may be at work, when the batch system let that go."""

from __future__ import annotations

import contextlib
import functools
import time

import luigi

from b2luigi.batch.attempts.artifacts import collect_logs, set_outputs_aside
from b2luigi.batch.attempts.outcome import DONE, Outcome
from b2luigi.batch.attempts.record import Attempt, read_outcome
from b2luigi.batch.node.reports import report_beside
from b2luigi.batch.processes.preparation import Run
from b2luigi.batch.queue.ticket import Queue, Ticket
from b2luigi.batch.systems.model import JobSpec


def close(attempt: Attempt, spec: JobSpec | None, end: str, outcome: Outcome | None = None) -> None:
    """Notes how an attempt ended, and tidies up. What a full disk keeps from being noted is left for a later run."""
    with contextlib.suppress(OSError):
        attempt.note(ended=time.time(), end=end, outcome=vars(outcome) if outcome is not None else None)
        attempt.drop_predecessors()
        if spec is not None:
            _clean_up(spec, end)


def see_off(
    task: luigi.Task, attempt: Attempt, ticket: Ticket, queue: Queue, run: Run, end: str, soon: bool = True
) -> None:
    """Cancels a job that may be at work, and closes its record as soon as the batch system has taken that.

    A run that is killed in between leaves a record that says so, and the next run does the same. `soon`: see `cancel`.
    """
    with contextlib.suppress(OSError):
        attempt.note(given_up=end, by=str(run.runs.own.open()))
    run.judged.add(attempt.token)
    run.runs.going.add(attempt.token)
    ticket.when_left = functools.partial(_has_left, task, attempt, ticket.spec, run, end)
    queue.cancel([ticket], soon)
    queue.release(ticket)


def _has_left(task: luigi.Task, attempt: Attempt, spec: JobSpec, run: Run, end: str) -> None:
    set_aside(task, attempt, spec)
    close(attempt, spec, end)
    run.runs.going.discard(attempt.token)


def set_aside(task: luigi.Task, attempt: Attempt, spec: JobSpec) -> None:
    """Puts the outputs of a job that was stopped aside, unless it had just done its work."""
    outcome = read_outcome(spec.outcome)
    if outcome is None or outcome.status != DONE:
        set_outputs_aside(task, attempt)


def _clean_up(spec: JobSpec, end: str) -> None:
    collect_logs(spec)
    with contextlib.suppress(OSError):
        spec.outcome.unlink(missing_ok=True)
        report_beside(spec.outcome).unlink(missing_ok=True)
        if end == DONE:
            spec.report.unlink(missing_ok=True)
