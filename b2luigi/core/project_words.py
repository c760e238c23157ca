"""The arguments of a process that runs a task of a project: written by the command, recognized in a journal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def is_project(script: str | Path, arguments: Sequence[str]) -> bool:
    """Whether a run with this script and these arguments, as its journal has them, was one of a project."""
    return f"--task-file={script}" in arguments


def words_of_task(name: str, task_file: str | Path, params_file: str | Path, given: Sequence[str]) -> list[str]:
    """Arguments of a process that runs a task of a project; paths are absolute, so that it starts in any folder."""
    params = [f"--params-file={params_file}"] if params_file else []
    return [f"--task={name}", f"--task-file={task_file}", *params, *(f"--param={word}" for word in given)]
