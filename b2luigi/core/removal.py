"""Removing what tasks left behind: outputs, log files and task files."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import luigi
from luigi.task import flatten

from b2luigi.core.completeness import exists
from b2luigi.core.paths import get_log_file_dir, get_task_file_dir

OURS = re.compile(
    r"(stdout|stderr)(\.\d+)?|job\.log|executable_wrapper\.sh|job\.submit|attempt-\d+\.json|[0-9a-f]{16}\.\w+"
)
"""Names of files that b2luigi writes to the folders of a task."""
_KEPT: ContextVar[frozenset[str]] = ContextVar("_KEPT", default=frozenset())


@contextlib.contextmanager
def keeping(tasks: Iterable[luigi.Task]) -> Iterator[None]:
    """While entered, the outputs of these tasks are not removed, even if another task names them as its own, too."""
    token = _KEPT.set(frozenset(key for task in tasks for target in flatten(task.output()) if (key := _key(target))))
    try:
        yield
    finally:
        _KEPT.reset(token)


def remove_target(task: luigi.Task, target: Any) -> None:
    """Removes an output, if it exists and is not to be kept. Raises TypeError if it has no `remove`, or OSError."""
    if _key(target) in _KEPT.get() or not exists(target):
        return
    if not hasattr(target, "remove"):
        raise TypeError(
            f"{task.get_task_family()}: cannot remove the output {target}: {type(target).__name__} has no method "
            "remove. Define one, or a method remove_output of the task that removes it in another way."
        )
    with contextlib.suppress(FileNotFoundError):
        target.remove()


def remove_log_files(task: luigi.Task) -> None:
    """Removes the log folder of a task. Raises OSError, and RuntimeError while its job may be running."""
    _refuse_if_open(task)
    _remove_folder(task, get_log_file_dir(task), "get_log_file_dir")


def remove_task_files(task: luigi.Task) -> None:
    """Removes the task file folder of a task. Raises OSError, and RuntimeError while its job may be running."""
    _refuse_if_open(task)
    _remove_folder(task, get_task_file_dir(task), "get_task_file_dir")


def remove_directory(directory: str | os.PathLike[str]) -> None:
    """Removes a folder with all that is in it, if it exists. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(directory)


def _key(target: Any) -> str:
    path = getattr(target, "path", None)
    return "" if path is None else os.path.realpath(path) if isinstance(target, luigi.LocalTarget) else str(path)


def _remove_folder(task: luigi.Task, folder: str, method: str) -> None:
    """A folder that the task itself has chosen may hold other files: there, only ours are removed."""
    if not callable(getattr(task, method, None)):
        remove_directory(folder)
        return
    with contextlib.suppress(FileNotFoundError):
        for name in filter(OURS.fullmatch, os.listdir(folder)):
            os.unlink(os.path.join(folder, name))
        with contextlib.suppress(OSError):  # it holds other files
            os.rmdir(folder)


def _refuse_if_open(task: luigi.Task) -> None:
    """Without its records, a job that may be running would be submitted a second time."""
    folder = Path(get_task_file_dir(task))
    attempts = [path for path in folder.glob("attempt-*.json") if '"ended":' not in path.read_text(errors="replace")]
    if attempts:
        raise RuntimeError(
            f"{task}: its job may still be running (record {attempts[0]}), so nothing was removed. Run the script with "
            "--batch to resume this job, or with --batch --fresh to cancel it."
        )
