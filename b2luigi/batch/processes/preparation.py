"""What comes before a submission, in two halves: settings and code of users make plain values, those become files.

The first half belongs on the main thread. The second touches files only, and may run on any thread.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import luigi

from b2luigi.batch.attempts.artifacts import files_of, outputs_there, put_logs_aside
from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.attempts.outcome import DONE
from b2luigi.batch.attempts.record import Record
from b2luigi.batch.attempts.tokens import new_token
from b2luigi.batch.packs.share import Share
from b2luigi.batch.processes import cleanup
from b2luigi.batch.processes.job import NOT_SUBMITTED
from b2luigi.batch.processes.run import Run
from b2luigi.batch.processes.sharing import share_of
from b2luigi.batch.queue.ticket import Queue
from b2luigi.batch.systems.model import REPORT, JobSpec
from b2luigi.core.executable import SCRIPT_NAME, inputs_of, job_script_of, write_job_script
from b2luigi.core.files import Folders
from b2luigi.core.job_script import JobScript
from b2luigi.core.paths import get_log_file_dir, get_task_file_dir
from b2luigi.core.settings import get_merged_setting, get_setting
from b2luigi.core.version import VERSION
from b2luigi.monitor.journal.masks import is_secret

CLAIMED_FACTS = ("batch_system", "submit_host", "server", "mark", "pack", "outputs_there")
"""What a claim contains about a job: enough to find it, and to know which of its outputs it has made."""
TITLE = 150
"""Characters of the parameters of a task that its batch system shows."""


@dataclass(frozen=True)
class NewJob:
    """A job that can be made: plain values, for which no setting and no code of users is needed any more."""

    spec: JobSpec
    script: JobScript
    facts: Mapping[str, Any]
    """What its record says of it from the beginning, but for the outputs that are there already."""
    outputs: tuple[tuple[int, str], ...] | None
    """The places and paths of its outputs, as far as they are files; None if the task cannot say."""
    number: int
    """Counts the jobs of the task in this run."""
    grace: float
    """Seconds by which its outcome may be late."""
    share: Share | None = None
    """What it brings along if the task shares its job with others."""

    @property
    def has_script(self) -> bool:
        """Whether it has a job script of its own: in a pack, only where the script is started anew for each task."""
        return self.share is None or self.share.script.description["mode"] == "process"


def described(task: luigi.Task, queue: Queue, run: Run, grace: float, number: int) -> NewJob:
    """The first half: reads settings and calls code of users; touches no file but settings.json.

    `number`: counts the jobs of the task in this run; it is `task.job_attempt` meanwhile.
    Raises ValueError, naming the setting, for a value that cannot work, and whatever code of users raises.
    """
    options = queue.options(partial(get_merged_setting, task=task))
    carried = queue.carries_files and bool(options.get("transfer_files"))
    inputs = inputs_of(task) if carried else ()
    folder, inbox, token = Path(get_task_file_dir(task)), run.runs.own.folder, new_token(run.runs.kin(task.task_id))
    # `grace`: the node waits that long for inputs which its file system still hides.
    worker = {**run.worker, "result_grace": grace, "job_attempt": number, "b2luigi": VERSION}
    spec = JobSpec(
        token=token,
        name=f"{_job_name(task)}-{token}",
        title=_title(task),
        script=folder / SCRIPT_NAME,
        folder=folder,
        log_folder=Path(get_log_file_dir(task)),
        inbox=inbox,
        options=options,
        inputs=inputs,
        kin_of_inputs=lambda: [run.runs.kin(required.task_id) for required in task.deps()],
    )
    queue.check(spec)
    script = job_script_of(task, inbox=inbox, carried=carried, worker=worker)
    share = share_of(task, spec, script) if queue.shares_jobs else None
    return NewJob(spec, script, _facts(task, queue, run), files_of(task), number, grace, share)


def written(job: NewJob, after: int, own: Inbox, folders: Folders) -> Record:
    """The second half: claims the attempt after number `after`, and writes all files of the job; touches no setting.

    `own`: the inbox of this run; `folders`: makes its folders. The claim is on disk when this returns.
    Raises OSError, and ClaimedError if another run was faster: then nothing may be submitted.
    """
    spec = job.spec
    has_no_logs = folders.make(spec.log_folder)
    own.ready()
    facts = {**job.facts, "outputs_there": outputs_there(job.outputs)}
    _enter(spec.folder, after + 1, spec.token, facts, own)
    # First of all, since the job script names our inbox: where another run was faster, its own must stay.
    # Once there is a report again, the job has started.
    record = Record.claim(spec.folder, facts, after, spec.token, leftovers=[REPORT])
    try:
        if job.has_script:
            write_job_script(spec.folder, replace(job.script, record=record.path.name))
        if not has_no_logs:
            put_logs_aside(record, spec.log_folder)
    except Exception:
        cleanup.close(record, None, NOT_SUBMITTED)
        raise
    return record


def written_if_new(job: NewJob, own: Inbox, folders: Folders, judged: Collection[str]) -> Record | None:
    """The second half, unless an earlier attempt is to be looked at first, which is for the main thread.

    `judged`: the tokens of attempts that are over.
    """
    folder = job.spec.folder
    if folders.make(folder):
        return written(job, 0, own, folders)
    number, records = Record.all_in(folder)
    former = [record for record in records if record.is_given_up]
    former += [last for last in records[-1:] if last.is_open or _is_done(last)]
    if any(attempt.token not in judged for attempt in former):
        return None
    return written(job, number, own, folders)


def enter(record: Record, own: Inbox) -> None:
    """Notes in the claims of this run how to find a job, should its record be lost."""
    _enter(record.folder, record.number, record.token, record.facts, own)


def _enter(folder: Path, number: int, token: str, facts: Mapping[str, Any], own: Inbox) -> None:
    own.enter(folder, number, token, **{name: facts[name] for name in CLAIMED_FACTS if name in facts})


def _is_done(record: Record) -> bool:
    return record.facts.get("end") == DONE


def _facts(task: luigi.Task, queue: Queue, run: Run) -> dict[str, Any]:
    return {
        "task_id": task.task_id,
        "class": f"{type(task).__module__}.{type(task).__qualname__}",
        "batch_system": queue.name,
        "submit_host": platform.node(),
        "server": None,  # until it is submitted
        "inbox": str(run.runs.own.folder),
        "run": run.runs.own.process,
        "python": platform.python_version(),
        "luigi": luigi.__version__,
    }


def _job_name(task: luigi.Task) -> str:
    name = get_setting("job_name", task=task) or task.get_task_family()
    return re.sub(r"[^\w.:+@-]", "_", str(name))[:100]


def _title(task: luigi.Task) -> str:
    """Class and parameters, as other users of the batch system may read them."""
    shown = {name: value for name, value in task.to_str_params(only_public=True).items() if not is_secret(name)}
    family, values = _word(task.get_task_family()), ";".join(f"{name}={value}" for name, value in shown.items())
    return f"{family[:100]}({_word(values)[:TITLE]})"


def _word(text: str) -> str:
    return re.sub(r"[^\w.:+@=;-]", "_", text, flags=re.ASCII)
