"""Jobs of another user in a project that a group shares: waited for, and taken over once they are not at work."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import luigi

from b2luigi.batch.attempts.artifacts import set_outputs_aside
from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.attempts.judge import wants_reason
from b2luigi.batch.attempts.outcome import DONE, Outcome
from b2luigi.batch.attempts.record import Record
from b2luigi.batch.attempts.users import foreign_owner, moment, user_name
from b2luigi.batch.processes.run import Run
from b2luigi.batch.queue.process_groups import leaders_by_last_argument

TAKEN_OVER = "taken over by another user"


class ColleagueError(Exception):
    """Another user's job keeps this task from being submitted for now; the text says why. Empty: it was logged."""


def stand_back(task: luigi.Task, run: Run, found: Record, inbox: Inbox) -> None:
    """Returns if the job of another user is over: its attempt is closed then. Nobody can cancel it but that user.

    Raises ColleagueError while it may be at work, and ValueError if only that user can read about it.
    """
    user = user_name(inbox.foreign or found.foreign)
    if found.is_torn:
        raise ValueError(_of_sealed(found, inbox, user))
    if not inbox.is_abandoned():
        run.mention(inbox)
        raise ColleagueError("")
    if not _is_over(found, inbox):
        raise ColleagueError(_of_job(found, user))
    if task.complete():
        found.close(DONE, Outcome(DONE))
    else:
        found.void()
        set_outputs_aside(task, found)
        found.close(TAKEN_OVER, None)
    inbox.remove(found.token)


def explained(error: PermissionError) -> str:
    """Whose file or folder it is that stands in the way."""
    path = Path(str(error.filename))
    while not path.exists() and path != path.parent:
        path = path.parent
    if os.access(path, os.W_OK) and path.is_dir():
        return str(error)
    return (
        f"{error}; {path} belongs to {user_name(foreign_owner(path))}. For a project that a group shares, its folders "
        "have to be writable for the group (chmod -R g+ws, umask 002); or else set result_dir, log_dir and "
        "task_file_dir to folders of your own."
    )


def _is_over(found: Record, inbox: Inbox) -> bool:
    outcome = found.path.with_name(f"{found.token}.outcome")
    # After a signal the batch system may run the job again: held, evicted or requeued.
    if outcome.exists() or (inbox.has(found.token) and not wants_reason(inbox.read(found.token))):
        return True
    is_here = found.facts.get("batch_system") == "local" and found.facts.get("submit_host") == platform.node()
    return is_here and found.token not in leaders_by_last_argument()


def _of_job(found: Record, user: str) -> str:
    facts, since = found.facts, moment(float(found.facts.get("claimed", 0)))
    job = f"{facts.get('batch_system')} job {facts['job_id']}" if "job_id" in facts else "a job"
    return (
        f"{user} has {job} for it, since {since}, submitted on {facts.get('submit_host')} by a run that has ended. "
        f"Only {user} can follow or cancel that job: ask them to run the script again. If there is no such job, remove "
        f"{found.path}"
    )


def _of_sealed(found: Record, inbox: Inbox, user: str) -> str:
    since = moment(found.path.stat().st_mtime)
    return (
        f"{user} has a job for the same outputs, since {since}; the run is {inbox.owner()}. Only {user} can read its "
        f"record: {found.path}. Wait for the end of that run, or set result_dir, log_dir and task_file_dir to folders "
        "of your own."
    )
