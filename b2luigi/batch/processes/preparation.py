"""From a task to a job: its settings are read and checked, its script is written, its attempt is claimed."""

from __future__ import annotations

import functools
import hashlib
import platform
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import luigi

from b2luigi.batch.attempts.artifacts import outputs_there, put_logs_aside
from b2luigi.batch.attempts.record import Attempt
from b2luigi.batch.attempts.runs import Runs
from b2luigi.batch.messages.outages import Outages
from b2luigi.batch.processes.circuit_breaker import Brake
from b2luigi.batch.queue.ticket import Queue
from b2luigi.batch.systems.model import JobSpec
from b2luigi.core.executable import SCRIPT_NAME, create_executable_wrapper, inputs_of
from b2luigi.core.paths import get_log_file_dir, get_task_file_dir
from b2luigi.core.settings import get_merged_setting, get_setting

NOT_SUBMITTED = "not submitted"
"""How an attempt ended that never became a job."""


@dataclass(frozen=True)
class Run:
    """What the jobs of one run share."""

    runs: Runs
    worker: Mapping[str, Any]
    """The values of luigi's section [worker] that matter on the node."""
    queue_of: Callable[[str], Queue]
    """The queue of a batch system, by its name: that of an earlier run may be another one."""
    fresh: bool = False
    """Jobs of earlier runs are cancelled instead of being attached to."""
    clock: Callable[[], float] = time.monotonic
    attached: list[str] = field(default_factory=list)
    """Tasks whose job is one of an earlier run, by task id."""
    judged: set[str] = field(default_factory=set)
    """Attempts that are over, by token, even if a full disk kept that from being noted."""
    brake: Brake = field(default_factory=Brake)
    rounds: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often a task yielded the very same requirements, by task id and these."""
    tries: Counter[str] = field(default_factory=Counter)
    """How often this run has submitted a task, by task id."""

    @functools.cached_property
    def outages(self) -> Outages:
        """What its tasks wait for."""
        return Outages(self.clock)


def prepare(task: luigi.Task, queue: Queue, run: Run, grace: float, after: int) -> tuple[Attempt, JobSpec]:
    """Does all that comes before a submission. The claim is on disk when this returns.

    `grace`: seconds for which the node waits for inputs that its file system still hides.
    `after`: number of the last attempt of the task, which was found to be over.

    Raises ValueError, naming the setting, for a value that can not work; OSError for a file that can not be
    written, and ClaimedError where another run was faster: then nothing may be submitted.
    """
    number = run.tries[task.task_id] + 1
    options = options_of(task, queue, number)
    setting = _settings_of(task)
    carried = queue.carries_files and bool(options.get("transfer_files"))
    inputs = inputs_of(task) if carried else ()
    folder, log_folder = Path(get_task_file_dir(task)), Path(get_log_file_dir(task))
    log_folder.mkdir(parents=True, exist_ok=True)
    inbox = run.runs.own.open()
    worker = {**run.worker, "result_grace": grace, "job_attempt": number}
    script = Path(create_executable_wrapper(task, inbox=inbox, carried=carried, worker=worker))
    run.runs.own.enter(folder)
    attempt = Attempt.claim(folder, _facts(task, queue, script, inbox), after)
    spec = JobSpec(
        token=attempt.token,
        name=f"{_job_name(setting, task)}-{attempt.token}",
        script=script,
        folder=folder,
        log_folder=log_folder,
        inbox=inbox,
        options=options,
        inputs=inputs,
    )
    try:
        queue.check(spec)
        put_logs_aside(attempt, log_folder)
        spec.report.unlink(missing_ok=True)  # once it is there again, the job has started
    except (ValueError, OSError):
        attempt.note(ended=time.time(), end=NOT_SUBMITTED)
        raise
    run.tries[task.task_id] = number
    return attempt, spec


def options_of(task: luigi.Task, queue: Queue, number: int) -> Mapping[str, Any]:
    """What the batch system is asked for at a certain try; `self.job_attempt` tells a task which one it is.

    Raises ValueError, naming the setting, for a value that can not work.
    """
    vars(task)["job_attempt"] = number
    return queue.options(_settings_of(task))


def spec_of(task: luigi.Task, attempt: Attempt) -> JobSpec:
    """The job of an attempt that an earlier run, or another one, has made."""
    folder = attempt.path.parent
    return JobSpec(
        token=attempt.token,
        name=str(attempt.facts.get("name") or attempt.token),
        script=folder / SCRIPT_NAME,
        folder=folder,
        log_folder=Path(get_log_file_dir(task)),
        inbox=Path(str(attempt.facts.get("inbox"))),
    )


def _facts(task: luigi.Task, queue: Queue, script: Path, inbox: Path) -> dict[str, Any]:
    return {
        "task_id": task.task_id,
        "class": f"{type(task).__module__}.{type(task).__qualname__}",
        "batch_system": queue.name,
        "submit_host": platform.node(),
        "outputs": outputs_there(task),
        "inbox": str(inbox),
        "script": hashlib.sha256(script.read_bytes()).hexdigest(),
        "python": platform.python_version(),
        "luigi": luigi.__version__,
    }


def _settings_of(task: luigi.Task) -> Callable[[str], Any]:
    """Settings of one task; dictionaries of options are merged, the task's own entries winning."""

    def setting(key: str) -> Any:
        return get_merged_setting(key, task) if key.endswith("_settings") else get_setting(key, task=task)

    return setting


def _job_name(setting: Callable[[str], Any], task: luigi.Task) -> str:
    return re.sub(r"[^\w.:+@-]", "_", str(setting("job_name") or task.get_task_family()))[:100]
