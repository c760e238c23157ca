"""What runs did: read from their journals, which lie below `task_file_dir`.

import b2luigi.monitor

last, *earlier = b2luigi.monitor.load("my_script.py")
rows = [task.row() for task in last.tasks.values()]  # pandas.DataFrame(rows)
"""

from b2luigi.monitor.journal.logs import log_files, log_folder
from b2luigi.monitor.journal.model import Attempt, Outage, Run, State, Task, Usage
from b2luigi.monitor.journal.reader import NoRunsError, load, load_run, run_folders

__all__ = [
    "Attempt",
    "NoRunsError",
    "Outage",
    "Run",
    "State",
    "Task",
    "Usage",
    "load",
    "load_run",
    "log_files",
    "log_folder",
    "run_folders",
]
