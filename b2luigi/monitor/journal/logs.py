"""Where the logs of an attempt are: those of earlier ones were renamed."""

from __future__ import annotations

import glob
import os
from pathlib import Path

from b2luigi.monitor.journal.left import later_attempt
from b2luigi.monitor.journal.model import Attempt, Run, Task
from b2luigi.monitor.journal.names import MASK

LOG_NAMES = ("stdout", "stderr")


def log_folder(attempt: Attempt) -> Path | None:
    """The folder with stdout and stderr of an attempt, also if part of its path is masked; None if it is not there."""
    if not attempt.log_dir:
        return None
    if MASK not in attempt.log_dir:
        path = Path(attempt.log_dir)
        return path if path.is_dir() else None
    pattern = "*".join(map(glob.escape, attempt.log_dir.split(MASK)))
    return next((Path(path) for path in sorted(glob.glob(pattern)) if os.path.isdir(path)), None)


def log_files(run: Run, task: Task, number: int = 0) -> dict[str, Path]:
    """The paths of stdout and stderr of an attempt of a task, by name; the files need not exist.

    `number`: of the attempt; 0 for the last one of this run, which a later run may have followed with others. Empty if
    the task had no job in this run.
    """
    last = task.last
    if last is None or not last.log_dir:
        return {}
    folder = log_folder(last) or Path(last.log_dir)
    number = number or last.number
    renamed = {name: folder / f"{name}.{number}" for name in LOG_NAMES}
    newest = max(attempt.number for attempt in task.attempts)
    if number < newest or any(path.exists() for path in renamed.values()):
        return renamed
    is_former = number < later_attempt(run.folder, task.task_id)
    return renamed if is_former else {name: folder / name for name in LOG_NAMES}
