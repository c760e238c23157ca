"""What a job script starts where there is no script: it imports the task's module, and runs the task."""

from __future__ import annotations

import argparse
import os
import sys
from typing import NoReturn

from b2luigi.batch.node.runner import end_in_time, run_one
from b2luigi.core.description import adopt_settings
from b2luigi.core.job_script import SCRIPT_VARIABLE


def main() -> NoReturn:
    """Ends with the exit code of the task. The task is described in the job script that started this process."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--batch-runner", action="store_true")
    parser.add_argument("--task-id", required=True)
    found, _ = parser.parse_known_args()
    adopt_settings(os.environ.get(SCRIPT_VARIABLE, ""))
    sys.exit(run_one([], found.task_id, sys.maxsize, end_in_time))
