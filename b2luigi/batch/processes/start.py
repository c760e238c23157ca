"""How a task gets a job: a new one, that of an earlier run, or that of another run that is alive."""

from __future__ import annotations

import contextlib
import logging
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import luigi

from b2luigi.batch.attempts.artifacts import set_outputs_aside
from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.attempts.outcome import DONE, Outcome
from b2luigi.batch.attempts.record import ClaimedError, Record
from b2luigi.batch.messages import job_failures
from b2luigi.batch.processes import cleanup
from b2luigi.batch.processes.cleanup import NotYetError
from b2luigi.batch.processes.colleague import ColleagueError, explained, stand_back
from b2luigi.batch.processes.job import CLAIMED, GIVEN_UP, NOT_SUBMITTED, JobInFlight, Postponed
from b2luigi.batch.processes.preparation import NewJob, described, enter, written, written_if_new
from b2luigi.batch.processes.run import Run
from b2luigi.batch.processes.writer import Writing
from b2luigi.batch.queue.command import PASSING
from b2luigi.batch.queue.ticket import Queue, Ticket, TicketState
from b2luigi.batch.systems.model import JobSpec
from b2luigi.core.executable import SCRIPT_NAME
from b2luigi.core.paths import get_log_file_dir, get_task_file_dir
from b2luigi.core.read_once import read_once
from b2luigi.core.settings import get_merged_setting, get_seconds, get_setting

logger = logging.getLogger("luigi-interface.b2luigi")

PAUSE = 5.0
"""Seconds until that is tried again which a full disk, or another run, prevents for now."""
RESTORED = ("batch_system", "submit_host", "server", "inbox", "mark", "job_id", "given_up", "by")
"""What is needed, beside the token, to find the job of a record that was cut short."""
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
        return _handed_in(task, queue, run, beside.job, record) if record is not None else _begun(task, queue, run)

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
    number, found = _latest(task, queue, run, folder, *_former(task, run, folder))
    if found is not None and found.is_open and found.token not in run.judged:
        job = _resumed(task, run, found, grace)
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


# -- records that are lost, or cannot be read


def _former(task: luigi.Task, run: Run, folder: Path) -> tuple[int, Record | None]:
    """The number of the last attempt of a task that has a record, 0 if there was none, and that record.

    Jobs of earlier ones that were given up are cancelled.
    """
    if run.folders.make(folder):  # it is new, so that there is nothing to look for
        return 0, None
    number, records = Record.all_in(folder)
    given_up = [record for record in records if record.is_given_up]
    if given_up:
        _cancel_former(task, run, given_up)
        number, records = Record.all_in(folder)
    return number, records[-1] if records else None


def _latest(
    task: luigi.Task, queue: Queue, run: Run, folder: Path, number: int, found: Record | None
) -> tuple[int, Record | None]:
    """The last attempt of a task. What is lost of its record is restored, since its job may live.

    Raises ClaimedError while the run that claimed it may live, and ValueError if nothing can be known of its job.
    """
    lost = run.runs.lost_claim(folder, found)
    if lost is not None:
        _refuse_if_alive(lost[0], run)
        if lost[0].foreign is not None:
            restored = run.runs.restored(folder, lost)
            stand_back(task, run, restored, lost[0])
            return max(number, restored.number), restored
    if found is not None and found.is_open and found.foreign is not None:
        inbox = run.runs.claimant(found) if found.is_torn else run.runs.inbox_of(found)
        if inbox is None:  # it was judged, or its inbox would be there
            return number, None
        stand_back(task, run, found, inbox)
    elif lost is not None:
        found = run.runs.restored(folder, lost)
        found.note(restored=time.time())
    elif found is not None and found.is_torn and found.is_open:
        found = _legible(queue, run, found)
        _refuse_if_alive(run.runs.inbox_of(found), run)
        found.note(restored=time.time())
    return max(number, found.number if found is not None else 0), found


def _refuse_if_alive(inbox: Inbox, run: Run) -> None:
    if inbox is not run.runs.own and not inbox.is_abandoned():
        run.mention(inbox)
        raise ClaimedError(str(inbox.folder))


def _legible(queue: Queue, run: Run, torn: Record) -> Record:
    """A torn record as far as it can be restored: its own lines, the claims of its run, files of its job."""
    inbox, claim = run.runs.claim_of_torn(torn) or (None, None)
    legible, beside = torn.legible(), torn.tokens_beside()
    found = [legible.get("token"), claim.token if claim is not None else None, *(beside if len(beside) == 1 else ())]
    facts = {"batch_system": queue.name, "submit_host": platform.node(), "inbox": str(run.runs.own.folder)}
    if inbox is not None and claim is not None:
        facts = {**facts, **claim.facts, "inbox": str(inbox.folder)}
    facts = {**facts, **{name: legible[name] for name in RESTORED if name in legible}}
    whole = (Record.of(torn.path.parent, torn.number, token, facts) for token in found if token)
    for record in whole:
        if not record.is_torn:
            logger.warning("The record of an attempt was cut short; its job is looked for by its name: %s", torn.path)
            return record
    raise ValueError(
        f"the record of its last attempt cannot be read, and its job may be at work: {torn.path}. Make sure that no "
        "such job is in the batch system, remove that file, and run the script again."
    )


# -- jobs of other runs


def _cancel_former(task: luigi.Task, run: Run, given_up: list[Record]) -> None:
    """A run that was killed may have given a job up without cancelling it. Raises ClaimedError if that run may live."""
    for former in given_up:
        if former.token in run.judged:
            continue
        if former.foreign is not None:
            stand_back(task, run, former, run.runs.inbox_of(former))
            continue
        _refuse_if_alive(run.runs.inbox_at(str(former.facts.get("by"))), run)
        queue, ticket = _attach(task, run, former)
        end = str(former.facts.get("given_up", GIVEN_UP))
        if ticket is not None:
            cleanup.cancel_then_close(task, former, ticket, queue, run, end)
        else:
            cleanup.close(former, None, end)


def _attach(task: luigi.Task, run: Run, former: Record) -> tuple[Queue, Ticket | None]:
    """None for a job of which nothing can be known here, and nothing needs to (--fresh). Raises ValueError."""
    queue = run.queue_of(str(former.facts.get("batch_system")))
    try:
        return queue, queue.attach(_spec_of(task, former, run), former.facts)
    except ValueError:
        if not run.fresh:
            raise
        return queue, None


def _resumed(task: luigi.Task, run: Run, found: Record, grace: float) -> JobInFlight | Postponed | None:
    """The job of another run; None if it is of another machine, and one of ours is to take its place (--fresh)."""
    inbox = run.runs.inbox_of(found)
    is_abandoned = inbox is run.runs.own or inbox.is_abandoned()
    if not is_abandoned:
        run.mention(inbox)
    if not is_abandoned and "job_id" not in found.facts:
        # A search would find nothing now, and prove nothing for later.
        return Postponed("", PAUSE)
    if found.facts.get("server", "") is None:
        found.facts.update(run.runs.noted_before_sending(found))
    queue, ticket = _attach(task, run, found)
    if ticket is None:
        _replace_unreachable(task, run, found)
        return None
    watched = not is_abandoned
    is_wanted = not (watched or run.fresh)
    if is_wanted and ticket.state is not TicketState.not_found:  # or else what it may have left is looked at first
        run.attached.append(task.task_id)
    return JobInFlight(task, run, queue, found, ticket, inbox, grace=grace, earlier=True, watched=watched)


def _replace_unreachable(task: luigi.Task, run: Run, found: Record) -> None:
    cleanup.void(task, found, run)
    set_outputs_aside(task, found)
    run.judged.add(found.token)
    cleanup.close(found, None, GIVEN_UP)
    logger.warning("%s: its job is one of another machine, and is not cancelled; it is submitted anew (--fresh).", task)


def _spec_of(task: luigi.Task, record: Record, run: Run) -> JobSpec:
    folder = record.path.parent
    return JobSpec(
        token=record.token,
        name=str(record.facts.get("name") or record.token),
        script=folder / SCRIPT_NAME,
        folder=folder,
        log_folder=Path(get_log_file_dir(task)),
        inbox=run.runs.inbox_of(record).folder,
    )


# -- a new job


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
    ticket = queue.submit(new.spec, before_sending=lambda ticket: _note_sending(record, ticket, run))
    return JobInFlight(task, run, queue, record, ticket, run.runs.own, grace=new.grace)


def _note_sending(record: Record, ticket: Ticket, run: Run) -> None:
    """How and where to find a job is on disk before it is submitted: its label, and the batch server it goes to."""
    label = {"mark": ticket.label} if ticket.label != record.token else {}
    record.note(server=ticket.server, **label)
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
