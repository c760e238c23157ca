"""The process that runs a task of a project. Nodes import its module: there is no script that they could run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from b2luigi.cli.process import process
from b2luigi.cli.project import load
from b2luigi.core.bad_input import BadInputError
from b2luigi.core.process_call import ProcessCall, running

CODE = "from b2luigi.cli.project_run import main; main()"


def is_project(script: str | Path, arguments: Sequence[str]) -> bool:
    """Whether a run with this script and these arguments, as its journal has them, was one of a project."""
    return f"--task-file={script}" in arguments


def words_of_task(name: str, task_file: str | Path, params_file: str | Path, given: Sequence[str]) -> list[str]:
    """Arguments of a process that runs a task of a project; paths are absolute, so that it starts in any folder."""
    params = [f"--params-file={params_file}"] if params_file else []
    return [f"--task={name}", f"--task-file={task_file}", *params, *(f"--param={word}" for word in given)]


def main() -> NoReturn:
    """Runs the task; all other arguments are flags of `process`."""
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    for name in ("--task", "--task-file", "--params-file"):
        parser.add_argument(name, default="")
    parser.add_argument("--param", action="append", default=[])
    parser.add_argument("--workers", type=int)
    found, _ = parser.parse_known_args()
    try:
        project = load(found.task_file, found.params_file, found.param)
        cls = project.find(found.task)
        project.check_given([cls])
        tasks = project.tasks_of(cls)
    except BadInputError as error:
        sys.exit(str(error))
    workers = {} if found.workers is None else {"workers": found.workers}
    with running(ProcessCall(of_project=True)):
        succeeded = process(tasks, ignore_additional_command_line_args=True, **workers)
    sys.exit(0 if succeeded in (True, None) else 1)
