"""How an attempt is closed: at once, or, if its job may be at work, when the batch system no longer has it."""

from __future__ import annotations

import contextlib
import functools

import luigi

from b2luigi.batch.attempts.artifacts import collect_logs, set_outputs_aside
from b2luigi.batch.attempts.outcome import DONE, Outcome
from b2luigi.batch.attempts.record import Record, names_in, read_outcome
from b2luigi.batch.processes.run import Run
from b2luigi.batch.queue.ticket import Queue, Ticket
from b2luigi.batch.systems.model import REPORT, JobSpec

CAN_GIVE_UP = "Jobs can be given up"
"""What tasks wait for while the disk is full."""


class NotYetError(Exception):
    """What a decision rests on cannot be known, or written, for now; it may be another time."""


def close(record: Record, spec: JobSpec | None, end: str, outcome: Outcome | None = None) -> None:
    """Notes how an attempt ended, and removes its files. What a full disk prevents is left to a later run."""
    with contextlib.suppress(OSError):
        beside = names_in(record.folder)  # one look for all that follows: a slow disk charges for each
        record.close(end, outcome, beside)
        if spec is not None:
            collect_logs(spec, beside)
            if end == DONE and spec.pack is None and REPORT in beside:
                spec.report.unlink(missing_ok=True)
        record.sweep(beside)


def cancel_then_close(
    task: luigi.Task, record: Record, ticket: Ticket, queue: Queue, run: Run, end: str, soon: bool = True
) -> None:
    """Cancels a job that may be at work, and closes its record as soon as there is no such job any more.

    A run that is killed in between leaves a record that says so, and the next run does the same. `soon`: see `cancel`.
    """
    with contextlib.suppress(OSError):
        record.note(given_up=end, by=str(run.runs.own.open()))
    run.judged.add(record.token)
    run.runs.being_cancelled.add(record.token)
    queue.cancel_then(ticket, functools.partial(_close_cancelled, task, record, ticket.spec, run, end), soon)
    queue.release(ticket)


def void(task: luigi.Task, record: Record, run: Run) -> None:
    """Keeps the job of an attempt from starting its work. Raises NotYetError while that cannot be written."""
    try:
        record.void()
    except OSError as error:
        run.outages.wait(str(task), CAN_GIVE_UP, f"its job cannot be given up for now: {error}")
        raise NotYetError from error
    run.outages.go_on(str(task), CAN_GIVE_UP)


def set_aside_unless_done(task: luigi.Task, record: Record, spec: JobSpec) -> None:
    """Renames the outputs of a job that was stopped, unless it had just done its work."""
    outcome = read_outcome(spec.outcome)
    if outcome is None or outcome.status != DONE:
        set_outputs_aside(task, record)


def _close_cancelled(task: luigi.Task, record: Record, spec: JobSpec, run: Run, end: str) -> None:
    set_aside_unless_done(task, record, spec)
    close(record, spec, end)
    run.runs.inbox_of(record).remove(record.token)  # it may have left its marker on its way out
    run.runs.being_cancelled.discard(record.token)
