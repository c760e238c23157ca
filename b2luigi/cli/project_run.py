"""The process that runs a task of a project. Nodes import its module: there is no script that they could run."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from b2luigi.cli.process import process
from b2luigi.cli.project import load
from b2luigi.core.bad_input import BadInputError
from b2luigi.core.process_call import ProcessCall, running

CODE = "from b2luigi.cli.project_run import main; main()"


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
