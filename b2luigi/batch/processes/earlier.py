"""Earlier attempts of a task: what their records say, or what is left of them, and how their jobs are resumed."""

from __future__ import annotations

import contextlib
import logging
import platform
import time
from pathlib import Path

import luigi

from b2luigi.batch.attempts.artifacts import set_outputs_aside
from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.attempts.record import ClaimedError, Record
from b2luigi.batch.processes import cleanup
from b2luigi.batch.processes.colleague import stand_back
from b2luigi.batch.processes.job import CANCELLED, GIVEN_UP, JobInFlight, Postponed
from b2luigi.batch.processes.run import Run
from b2luigi.batch.queue.ticket import Queue, Ticket, TicketState
from b2luigi.batch.systems.model import JobSpec
from b2luigi.core.executable import SCRIPT_NAME
from b2luigi.core.paths import get_log_file_dir

logger = logging.getLogger("luigi-interface.b2luigi")

PAUSE = 5.0
"""Seconds until that is tried again which a full disk, or another run, prevents for now."""
RESTORED = ("batch_system", "submit_host", "server", "inbox", "mark", "pack", "job_id", "given_up", "by")
"""What is needed, beside the token, to find the job of a record that was cut short."""


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


def latest(task: luigi.Task, queue: Queue, run: Run, folder: Path) -> tuple[int, Record | None]:
    """The number of the last attempt of a task, 0 if there was none, and its record.

    What is lost of the record is restored, since its job may live. Jobs that were given up are cancelled. Raises
    ClaimedError while the run that claimed it may live, and ValueError if nothing can be known of its job.
    """
    number, found = _former(task, run, folder)
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
            logger.warning("The record of an attempt is truncated; searching for its job by name: %s", torn.path)
            return record
    raise ValueError(
        f"the record of its last attempt cannot be read, and its job may still be running: {torn.path}. Make sure that "
        "no such job is in the batch system, remove that file, and run the script again."
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
        if former.facts.get("over"):  # `b2luigi cancel` has seen that, without the task
            set_outputs_aside(task, former)
            cleanup.close(former, None, CANCELLED)
            continue
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


def resumed(task: luigi.Task, run: Run, found: Record, grace: float) -> JobInFlight | Postponed | None:
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
    with contextlib.suppress(OSError):  # a full disk: nobody can ask anything of this run then
        run.runs.own.open()
    watched = not is_abandoned
    is_wanted = not (watched or run.fresh)
    if is_wanted and ticket.state is not TicketState.not_found:  # or else what it may have left is looked at first
        run.attached.add(ticket.names_job)
    return JobInFlight(task, run, queue, found, ticket, inbox, grace=grace, earlier=True, watched=watched)


def _replace_unreachable(task: luigi.Task, run: Run, found: Record) -> None:
    cleanup.void(task, found, run)
    set_outputs_aside(task, found)
    run.judged.add(found.token)
    cleanup.close(found, None, GIVEN_UP)
    logger.warning("%s: its job belongs to another machine and is not cancelled; resubmitting (--fresh).", task)


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
