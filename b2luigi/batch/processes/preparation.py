"""From a task to a job: its settings are read and checked, its script is written, its attempt is claimed."""

from __future__ import annotations

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

from b2luigi.batch.attempt import Attempt, Inbox
from b2luigi.batch.model import JobSpec
from b2luigi.batch.ticket import Queue
from b2luigi.core.executable import create_executable_wrapper, inputs_of
from b2luigi.core.paths import get_log_file_dir, get_task_file_dir
from b2luigi.core.settings import get_merged_setting, get_setting


@dataclass(frozen=True)
class Run:
    """What the jobs of one run share."""

    inbox: Inbox
    worker: Mapping[str, Any]
    """The values of luigi's section [worker] that matter on the node."""
    clock: Callable[[], float] = time.monotonic
    rounds: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often a task yielded the very same requirements, by task id and these."""


def prepare(task: luigi.Task, queue: Queue, run: Run, grace: float) -> tuple[Attempt, JobSpec]:
    """Does all that comes before a submission. The claim is on disk when this returns.

    `grace`: seconds for which the node waits for inputs that its file system still hides.

    Raises ValueError, naming the setting, for a value that can not work, and OSError for a file that can not be
    written: then nothing may be submitted.
    """
    setting = _settings_of(task)
    options = queue.options(setting)
    carried = queue.carries_files and bool(options.get("transfer_files"))
    inputs = inputs_of(task) if carried else ()
    folder, log_folder = Path(get_task_file_dir(task)), Path(get_log_file_dir(task))
    log_folder.mkdir(parents=True, exist_ok=True)
    inbox = run.inbox.open()
    worker = {**run.worker, "result_grace": grace}
    script = Path(create_executable_wrapper(task, inbox=inbox, carried=carried, worker=worker))
    attempt = Attempt.claim(folder, _facts(task, queue, script, inbox))
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
    except ValueError:
        attempt.note(ended=time.time(), end="not submitted")
        raise
    for name in ("stdout", "stderr"):  # or else the last words of an earlier attempt would be told as this one's
        (log_folder / name).unlink(missing_ok=True)
    return attempt, spec


def _facts(task: luigi.Task, queue: Queue, script: Path, inbox: Path) -> dict[str, Any]:
    return {
        "task_id": task.task_id,
        "class": f"{type(task).__module__}.{type(task).__qualname__}",
        "batch_system": queue.name,
        "submit_host": platform.node(),
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
