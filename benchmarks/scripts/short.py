"""Short tasks with b2luigi, from the environment: DURATIONS (seconds, as JSON), TASKS_PER_JOB, FOLDER, SYSTEM."""

import json
import os
import sys
import time
import warnings

import b2luigi

FOLDER = os.environ["FOLDER"]
DURATIONS = json.loads(os.environ["DURATIONS"])


class Short(b2luigi.Task):
    i = b2luigi.IntParameter()
    batch_system = os.environ["SYSTEM"]
    tasks_per_job = json.loads(os.environ["TASKS_PER_JOB"])
    htcondor_settings = {"getenv": "true"}  # this script is configured by environment variables

    def get_log_file_dir(self):
        return os.path.join(FOLDER, "log_dir")

    def output(self):
        yield self.add_to_output("short.txt")

    def run(self):
        time.sleep(DURATIONS[self.i])
        with open(self.get_output_file_name("short.txt"), "w") as file:
            file.write("done\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for name in ("result_dir", "log_dir", "task_file_dir"):
        b2luigi.set_setting(name, os.path.join(FOLDER, name))
    tasks = [Short(i=i) for i in range(len(DURATIONS))]
    sys.exit(not b2luigi.process(tasks, batch=True, log_level="WARNING"))
