"""The arguments of a process that runs a task of a project: written by the command, recognized in a journal."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

TASK_FILE = "tasks.py"
"""The file of a project with its tasks, unless another one is named."""
ADDED = (["--batch"], ["--failure-exit-code", "1"])
"""What `b2luigi run` adds if nobody says something else."""


def is_project(script: str | Path, arguments: Sequence[str]) -> bool:
    """Whether a run with this script and these arguments, as its journal has them, was one of a project."""
    return f"--task-file={script}" in arguments


def words_of_task(name: str, task_file: str | Path, params_file: str | Path, given: Sequence[str]) -> list[str]:
    """Arguments of a process that runs a task of a project; paths are absolute, so that it starts in any folder."""
    params = [f"--params-file={params_file}"] if params_file else []
    return [f"--task={name}", f"--task-file={task_file}", *params, *(f"--param={word}" for word in given)]


def typed(arguments: Sequence[str]) -> list[str]:
    """What a person types, in the folder of the project, to start a process with these arguments."""
    words, task, options, others = list(arguments), "", list[str](), list[str]()
    for added in ADDED:
        start = words.index(added[0]) if added[0] in words else 0
        if words[start : start + len(added)] == added:
            del words[start : start + len(added)]
    for word in words:
        match word.partition("="):
            case "--task", _, task:
                pass
            case "--task-file", _, file:
                options += [] if os.path.basename(file) == TASK_FILE else ["-f", os.path.basename(file)]
            case "--params-file", _, file:
                options += ["-p", file]
            case "--param", _, value:
                options += ["-P", value]
            case _:
                others.append(word)
    return ["b2luigi", "run", task, *options, *(["--", *others] if others else [])]
