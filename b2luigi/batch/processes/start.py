"""How a task gets a job: a new one, that of an earlier run, or that of another run that is alive."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import platform
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import luigi

from b2luigi.batch.attempts.artifacts import outputs_there, put_logs_aside, set_outputs_aside
from b2luigi.batch.attempts.record import ClaimedError, Record
from b2luigi.batch.messages import job_failures
from b2luigi.batch.processes import cleanup
from b2luigi.batch.processes.cleanup import NotYetError
from b2luigi.batch.processes.job import CLAIMED, CLAIMED_BY_ANOTHER, GIVEN_UP, NOT_SUBMITTED, JobInFlight, Postponed
from b2luigi.batch.processes.run import Run
from b2luigi.batch.queue.command import PASSING
from b2luigi.batch.queue.ticket import Queue, Ticket, TicketState
from b2luigi.batch.systems.model import JobSpec
from b2luigi.core.executable import SCRIPT_NAME, create_executable_wrapper, inputs_of
from b2luigi.core.paths import get_log_file_dir, get_task_file_dir
from b2luigi.core.settings import get_merged_setting, get_seconds, get_setting

logger = logging.getLogger("luigi-interface.b2luigi")

PAUSE = 5.0
"""Seconds until that is tried again which a full disk, or another run, prevents for now."""
CAN_SUBMIT = "Jobs can be submitted"
"""What tasks wait for while the disk is full."""


@dataclass(frozen=True)
class Blocked:
    """The circuit breaker is open: no job is submitted, and the task fails."""

    story: str


def begin(task: luigi.Task, queue: Queue, run: Run) -> JobInFlight | Postponed | Blocked:
    """Resumes the job that an earlier run has made for a task, or claims an attempt and hands a new job in.

    Raises ValueError, naming the setting, for a value that cannot work, and OSError for a file that cannot be
    written and will not be: then nothing was submitted.
    """
    try:
        folder = Path(get_task_file_dir(task))
        grace = get_seconds("result_grace", task=task)
        _cancel_former(task, run, folder)
        number, found = Record.last(folder)
        if found is not None and found.token not in run.judged:
            job = _resumed(task, run, found, grace)
            if job is not None:
                return job
        return _submitted(task, queue, run, grace, number)
    except ClaimedError:
        return Postponed(CLAIMED_BY_ANOTHER, CLAIMED)
    except NotYetError:  # reported where it was raised
        return Postponed("", PAUSE)
    except OSError as error:
        if error.errno not in PASSING and not run.runs.own.is_shut:
            raise
        return Postponed(f"no job can be submitted for now: {error}", PAUSE, CAN_SUBMIT)


def options_of(task: luigi.Task, queue: Queue, number: int) -> Mapping[str, Any]:
    """What the batch system is asked for at try number `number`; `self.job_attempt` is that number meanwhile.

    Raises ValueError, naming the setting, for a value that cannot work.
    """
    with _job_attempt(task, number):
        return queue.options(partial(get_merged_setting, task=task))


# -- jobs of other runs


def _cancel_former(task: luigi.Task, run: Run, folder: Path) -> None:
    """A run that was killed may have given a job up without cancelling it. Raises ClaimedError if that run may live."""
    for former in Record.given_up(folder):
        if former.token in run.judged:
            continue
        if run.runs.may_live(str(former.facts.get("by"))):
            raise ClaimedError(str(former.path))
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
        return queue, queue.attach(_spec_of(task, former), former.facts)
    except ValueError:
        if not run.fresh:
            raise
        return queue, None


def _resumed(task: luigi.Task, run: Run, found: Record, grace: float) -> JobInFlight | Postponed | None:
    """The job of another run; None if it is of another machine, and one of ours is to take its place (--fresh)."""
    inbox = run.runs.inbox_of(found)
    ours = found.facts.get("inbox") == str(run.runs.own.folder)
    is_abandoned = ours or inbox.is_abandoned()
    if not is_abandoned and "job_id" not in found.facts:
        # A search would find nothing now, and prove nothing for later.
        return Postponed(CLAIMED_BY_ANOTHER, PAUSE)
    queue, ticket = _attach(task, run, found)
    if ticket is None:
        _replace_unreachable(task, run, found)
        return None
    watched = not is_abandoned
    unwanted = run.fresh and not watched
    if not unwanted and ticket.state is not TicketState.not_found:  # or else what it may have left is looked at first
        run.attached.append(task.task_id)
    return JobInFlight(task, run, queue, found, ticket, inbox, grace=grace, earlier=True, watched=watched)


def _replace_unreachable(task: luigi.Task, run: Run, found: Record) -> None:
    cleanup.void(task, found, run)
    set_outputs_aside(task, found)
    run.judged.add(found.token)
    cleanup.close(found, None, GIVEN_UP)
    logger.warning("%s: its job is one of another machine, and is not cancelled; it is submitted anew (--fresh).", task)


def _spec_of(task: luigi.Task, record: Record) -> JobSpec:
    folder = record.path.parent
    return JobSpec(
        token=record.token,
        name=str(record.facts.get("name") or record.token),
        script=folder / SCRIPT_NAME,
        folder=folder,
        log_folder=Path(get_log_file_dir(task)),
        inbox=Path(str(record.facts.get("inbox"))),
    )


# -- a new job


def _submitted(task: luigi.Task, queue: Queue, run: Run, grace: float, after: int) -> JobInFlight | Blocked:
    most = get_setting("failure_brake", task=task)
    reason = run.breaker.why_open(task.get_task_family(), most)
    if reason:
        return Blocked(job_failures.of_open_breaker(task, reason, most))
    number = run.tries[task.task_id] + 1
    with _job_attempt(task, number):
        record, spec = _prepared(task, queue, run, grace, after, number)
    run.tries[task.task_id] = vars(task)["job_attempt"] = number
    job = queue.submit(spec, before_sending=lambda ticket: _note_sending(record, ticket))
    return JobInFlight(task, run, queue, record, job, run.runs.own, grace=grace)


def _note_sending(record: Record, ticket: Ticket) -> None:
    """How and where to find a job is on disk before it is submitted: its label, and the batch server it goes to."""
    label = {"mark": ticket.label} if ticket.label != record.token else {}
    record.note(server=ticket.server, **label)


def _prepared(
    task: luigi.Task, queue: Queue, run: Run, grace: float, after: int, number: int
) -> tuple[Record, JobSpec]:
    """All that comes before a submission. The claim is on disk when this returns.

    Raises ValueError, OSError and ClaimedError: then nothing may be submitted.
    """
    options = queue.options(partial(get_merged_setting, task=task))
    carried = queue.carries_files and bool(options.get("transfer_files"))
    inputs = inputs_of(task) if carried else ()
    folder, log_folder = Path(get_task_file_dir(task)), Path(get_log_file_dir(task))
    log_folder.mkdir(parents=True, exist_ok=True)
    inbox = run.runs.own.open()
    # `grace`: the node waits that long for inputs which its file system still hides.
    worker = {**run.worker, "result_grace": grace, "job_attempt": number}
    script = Path(create_executable_wrapper(task, inbox=inbox, carried=carried, worker=worker))
    run.runs.own.enter(folder)
    record = Record.claim(folder, _facts(task, queue, script, inbox), after)
    spec = JobSpec(
        token=record.token,
        name=f"{_job_name(task)}-{record.token}",
        script=script,
        folder=folder,
        log_folder=log_folder,
        inbox=inbox,
        options=options,
        inputs=inputs,
    )
    try:
        queue.check(spec)
        put_logs_aside(record, log_folder)
        spec.report.unlink(missing_ok=True)  # once it is there again, the job has started
    except (ValueError, OSError):
        record.note(ended=time.time(), end=NOT_SUBMITTED)
        raise
    return record, spec


def _facts(task: luigi.Task, queue: Queue, script: Path, inbox: Path) -> dict[str, Any]:
    return {
        "task_id": task.task_id,
        "class": f"{type(task).__module__}.{type(task).__qualname__}",
        "batch_system": queue.name,
        "submit_host": platform.node(),
        "server": None,  # until it is submitted
        "outputs": outputs_there(task),
        "inbox": str(inbox),
        "script": hashlib.sha256(script.read_bytes()).hexdigest(),
        "python": platform.python_version(),
        "luigi": luigi.__version__,
    }


@contextlib.contextmanager
def _job_attempt(task: luigi.Task, number: int) -> Iterator[None]:
    """Meanwhile the settings of a task are those of one try; afterwards `task.job_attempt` is what it was."""
    before = getattr(task, "job_attempt", 1)
    vars(task)["job_attempt"] = number
    try:
        yield
    finally:
        vars(task)["job_attempt"] = before


def _job_name(task: luigi.Task) -> str:
    name = get_setting("job_name", task=task) or task.get_task_family()
    return re.sub(r"[^\w.:+@-]", "_", str(name))[:100]
