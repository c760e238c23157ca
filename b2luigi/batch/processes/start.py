"""How a task gets a job: a new one, that of an earlier run, or that of another run that is alive."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import luigi

from b2luigi.batch.attempts.outcome import DONE, Outcome
from b2luigi.batch.attempts.record import ClaimedError, Record
from b2luigi.batch.messages import job_failures
from b2luigi.batch.processes import cleanup
from b2luigi.batch.processes.cleanup import NotYetError
from b2luigi.batch.processes.colleague import ColleagueError, explained
from b2luigi.batch.processes.earlier import PAUSE, latest, resumed
from b2luigi.batch.processes.job import CLAIMED, NOT_SUBMITTED, JobInFlight, Postponed
from b2luigi.batch.processes.preparation import NewJob, described, enter, written, written_if_new
from b2luigi.batch.processes.run import Run
from b2luigi.batch.processes.writer import Writing
from b2luigi.batch.queue.command import PASSING
from b2luigi.batch.queue.ticket import Queue, Ticket
from b2luigi.core.paths import get_task_file_dir
from b2luigi.core.read_once import read_once
from b2luigi.core.settings import get_merged_setting, get_seconds, get_setting

logger = logging.getLogger("luigi-interface.b2luigi")

CAN_SUBMIT = "Jobs can be submitted"
"""What tasks wait for while the disk is full."""


@dataclass(frozen=True)
class Blocked:
    """The circuit breaker is open: no job is submitted, and the task fails."""

    story: str


@dataclass(frozen=True)
class Done:
    """Another run has done the task since this one looked."""

    outcome: Outcome


@dataclass(frozen=True)
class Beside:
    """The files of a new job are written beside the loop; `finish` hands the job in when that is over."""

    job: NewJob
    writing: Writing[Record | None]


Beginning = JobInFlight | Postponed | Blocked | Done | Beside


def begin(task: luigi.Task, queue: Queue, run: Run, owner: Any = None) -> Beginning:
    """Resumes the job that an earlier run has made for a task, or claims an attempt and hands a new job in.

    Where the disk is slow, files are written beside the loop; `owner` is who `Writer.finished` returns when that is
    over. Raises ValueError, naming the setting, for a value that cannot work, and OSError for a file that cannot be
    written and will not be: then nothing was submitted.
    """
    with read_once(task):
        if run.writer.is_slow:
            beside = _beside(task, queue, run, owner)
            if beside is not None:
                return beside
        return _or_postponed(run, lambda: _begun(task, queue, run))


def finish(task: luigi.Task, queue: Queue, run: Run, beside: Beside) -> Beginning:
    """Hands in the job whose files were written beside the loop; raises like `begin`."""

    def handed_in() -> Beginning:
        with _over_if_it_fails(beside.job, run):
            record = beside.writing.result()
        if record is None:
            return _begun(task, queue, run)
        blocked = _blocked(task, run)  # since it was begun
        if blocked is not None:
            run.judged.add(record.token)
            cleanup.close(record, None, NOT_SUBMITTED)
            return blocked
        return _handed_in(task, queue, run, beside.job, record)

    with read_once(task):
        return _or_postponed(run, handed_in)


def revoke(beside: Beside, run: Run) -> None:
    """There is to be no such job: closes its record, if there is one."""
    run.judged.add(beside.job.spec.token)
    if not beside.writing.revoke():
        with contextlib.suppress(Exception):  # it was not written, or takes too long: a later run sees to it
            record = beside.writing.result()
            if record is not None:
                cleanup.close(record, None, NOT_SUBMITTED)


def _begun(task: luigi.Task, queue: Queue, run: Run) -> Beginning:
    folder = Path(get_task_file_dir(task))
    grace = get_seconds("result_grace", task=task)
    number, found = latest(task, queue, run, folder)
    if found is not None and found.is_open and found.token not in run.judged:
        job = resumed(task, run, found, grace)
        if job is not None:
            return job
    elif found is not None and found.facts.get("end") == DONE and task.complete():
        return Done(Outcome.from_record(found.facts.get("outcome")) or Outcome(DONE))
    return _submitted(task, queue, run, grace, number)


def _or_postponed(run: Run, action: Callable[[], Beginning]) -> Beginning:
    """What prevents a job for now is no error."""
    try:
        return action()
    except ClaimedError:
        return Postponed("", CLAIMED)
    except ColleagueError as error:
        return Postponed(str(error), PAUSE)
    except NotYetError:  # reported where it was raised
        return Postponed("", PAUSE)
    except OSError as error:
        if error.errno not in PASSING and not run.runs.own.is_shut:
            if isinstance(error, PermissionError):
                raise ValueError(explained(error)) from error
            raise
        return Postponed(f"no job can be submitted for now: {error}", PAUSE, CAN_SUBMIT)


def options_of(task: luigi.Task, queue: Queue, number: int) -> Mapping[str, Any]:
    """What the batch system is asked for at try number `number`; `self.job_attempt` is that number meanwhile.

    Raises ValueError, naming the setting, for a value that cannot work.
    """
    with _job_attempt(task, number):
        return queue.options(partial(get_merged_setting, task=task))


def _submitted(task: luigi.Task, queue: Queue, run: Run, grace: float, after: int) -> Beginning:
    blocked = _blocked(task, run)
    if blocked is not None:
        return blocked
    new = _described(task, queue, run, grace)
    with _over_if_it_fails(new, run):
        record = run.writer.timed(lambda: written(new, after, run.runs.own, run.folders))
    return _handed_in(task, queue, run, new, record)


def _described(task: luigi.Task, queue: Queue, run: Run, grace: float) -> NewJob:
    number = run.tries[task.task_id] + 1
    with _job_attempt(task, number):
        return described(task, queue, run, grace, number)


def _blocked(task: luigi.Task, run: Run) -> Blocked | None:
    most = get_setting("failure_brake", task=task)
    reason = run.breaker.why_open(task.get_task_family(), most)
    return Blocked(job_failures.of_open_breaker(task, reason, most)) if reason else None


def _beside(task: luigi.Task, queue: Queue, run: Run, owner: Any) -> Beside | None:
    """None if that will not do: errors are reported, and jobs of other runs found, the usual way."""
    try:
        if _blocked(task, run) is not None:
            return None
        new = _described(task, queue, run, get_seconds("result_grace", task=task))
    except Exception:
        return None
    if run.runs.is_claimed(new.spec.folder):
        return None
    writing = run.writer.beside(owner, lambda: written_if_new(new, run.runs.own, run.folders, run.judged))
    return Beside(new, writing) if writing is not None else None


@contextlib.contextmanager
def _over_if_it_fails(new: NewJob, run: Run) -> Iterator[None]:
    """Whatever keeps its files from being written, the attempt is over."""
    try:
        yield
    except Exception:
        run.judged.add(new.spec.token)
        raise


def _handed_in(task: luigi.Task, queue: Queue, run: Run, new: NewJob, record: Record) -> JobInFlight:
    run.tries[task.task_id] = vars(task)["job_attempt"] = new.number
    ticket = queue.submit(new.spec, lambda ticket: _note_sending(record, ticket, run), new.share)
    return JobInFlight(task, run, queue, record, ticket, run.runs.own, grace=new.grace)


def _note_sending(record: Record, ticket: Ticket, run: Run) -> None:
    """How and where to find a job is on disk before it is submitted: its label, and the batch server it goes to."""
    label = {"mark": ticket.label} if ticket.label != record.token else {}
    pack = {"pack": ticket.spec.pack.name} if ticket.spec.pack is not None else {}
    record.note(server=ticket.server, **label, **pack)
    enter(record, run.runs.own)


@contextlib.contextmanager
def _job_attempt(task: luigi.Task, number: int) -> Iterator[None]:
    """Meanwhile the settings of a task are those of one try; afterwards `task.job_attempt` is what it was."""
    before = getattr(task, "job_attempt", 1)
    vars(task)["job_attempt"] = number
    try:
        yield
    finally:
        vars(task)["job_attempt"] = before
