"""Run with either package: `python tasks_of_script.py SCRIPT ...` prints the tasks of each, one line of JSON."""

import json
import os
import runpy
import sys
import warnings

import luigi

import b2luigi
from b2luigi.core.utils import get_log_file_dir, get_task_file_dir, task_iterator


def described(task):
    outputs = [one.path if hasattr(one, "path") else one for one in luigi.task.flatten(task.output())]
    return {
        "outputs": [os.path.relpath(path) for path in outputs],
        "log_dir": os.path.relpath(get_log_file_dir(task)),
        "task_file_dir": os.path.relpath(get_task_file_dir(task)),
    }


def tasks_of(script):
    """Runs a script in its folder; what it passes to process() is not run, but listed."""
    found = {}

    def process(tasks, **arguments):
        for root in tasks if isinstance(tasks, list) else [tasks]:
            found.update({task.task_id: described(task) for task in task_iterator(root)})

    b2luigi.process = process
    os.chdir(os.path.dirname(script))
    sys.argv = [script]
    runpy.run_path(script, run_name="__main__")
    return found


def main(scripts):
    for script in scripts:
        child = os.fork()  # a script leaves settings and classes behind
        if not child:
            print(json.dumps(tasks_of(script)), flush=True)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            sys.exit(f"{script} failed")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1:])
